package stripe_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// FuzzStripeMeter holds metering to its one promise: the amount that was priced
// is the amount in the bytes that are sent, however the request was written.
func FuzzStripeMeter(f *testing.F) {
	paths := []struct{ path, amount string }{
		{intents, "amount"}, {"/v1/charges", "amount"}, {"/v1/refunds", "amount"},
		{intents + "/pi_1/capture", "amount_to_capture"}, {"/v1/charges/ch_1/capture", "amount"},
		{"/v1/payouts", "amount"}, {"/v1/topups", "amount"}, {"/v1/transfers/tr_1/reversals", "amount"},
		{intents + "/pi_1", "amount"}, {intents + "/pi_1/increment_authorization", "amount"},
	}
	for _, body := range []string{
		"amount=100&currency=usd", "amount=100&currency=usd&amount[]=1", "amount=1&amount=2&currency=usd", "%61mount=5&currency=usd",
		"amount=100%26amount=1&currency=usd", "amount=0100&currency=usd", "amount=1e5&currency=usd", "AMOUNT=5&amount=1&currency=USD",
		"charge=ch_1", "charge=ch_1&amount=7", "payment_intent=pi_1&amount=7&currency=usd", "amount_to_capture=9", "final_capture=false",
		`{"amount":100,"currency":"usd"}`, `{"amount":1,"amount":100,"currency":"usd"}`, `{"amount":"100","currency":"usd"}`,
		`{"amount":[100],"currency":"usd"}`, `{"charge":"ch_1","metadata":{"a":"b&amount=1"}}`, `{"amount_to_capture":5}`,
		"amount=5&currency=usd&metadata[]=x", "amount=5&currency=usd&metadata[a][amount]=9", "amount=5&currency=usd&expand[]=amount",
		"amount=5&currency=usd&Amount=9", "amount=5&currency=usd;amount=9", "\uff41mount=9&amount=5&currency=usd", "amount=5&currency=usd&amount.=9",
		`{"amount":5,"Amount":9,"currency":"usd"}`, `{"amount":5,"currency":"usd","metadata":{"a]":"1"}}`, `{"amount":5,"currency":"usd"}{"amount":9}`,
		"amount=5&currency=usd&metadata[tollgate_call]=x", "amount=5&currency=usd&description=%26amount%3D9",
	} {
		for which := range byte(len(paths)) {
			f.Add(which, strings.HasPrefix(body, "{"), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, isJSON bool, body []byte) {
		target := paths[int(which)%len(paths)]
		raw := vendors.Raw{
			Method: "POST", Path: target.path, ContentType: "application/x-www-form-urlencoded", Header: http.Header{}.Get, Body: body,
		}
		if isJSON {
			raw.ContentType = "application/json"
		}
		p := newProfile(t)
		r, err := p.Parse(raw)
		if err != nil {
			requireAnyRefusal(t, err)
			return
		}
		a := &account{answers: map[string]string{
			intents + "/pi_1":                        intent("requires_capture", 1, 1, 0),
			intents + "/pi_1?expand[]=latest_charge": `{"id":"pi_1","object":"payment_intent","currency":"usd","latest_charge":` + charge(1000, 600, 500) + `}`,
			"/v1/charges/ch_1":                       charge(1, 1, 0),
			"/v1/transfers/tr_1":                     `{"id":"tr_1","object":"transfer","currency":"usd","amount":900,"amount_reversed":200}`,
		}}
		q, err := p.Meter(t.Context(), r, a)
		if err != nil {
			requireAnyRefusal(t, err)
			return
		}
		w := p.Wire(q, vendors.Stamp{CallID: "call_1", Run: "run"})
		require.Equal(t, target.path, w.Target)

		// Read with another reader than ours.
		sent, err := url.ParseQuery(string(w.Body))
		require.NoError(t, err)
		if q.Operation == "payment_intents.update" && sent[target.amount] == nil {
			require.Zero(t, q.Price, "it changes no amount")
			require.NotContains(t, sent, "currency")
			return
		}
		require.Len(t, sent[target.amount], 1)
		requireNoOtherReading(t, string(w.Body), target.amount, sent.Get(target.amount))
		if currency := sent.Get("currency"); currency != "" {
			requireNoOtherReading(t, string(w.Body), "currency", currency)
		}
		cents := int64(0)
		for _, digit := range sent.Get(target.amount) {
			require.True(t, '0' <= digit && digit <= '9')
			cents = 10*cents + int64(digit-'0')
		}
		if strings.Contains(target.path, "/pi_1") || strings.HasSuffix(target.path, "/capture") {
			require.GreaterOrEqual(t, q.Price, money.USD(cents)*money.Cent, "a move may hold more than it asks for, never less")
		} else {
			require.Equal(t, money.USD(cents)*money.Cent, q.Price)
			require.Equal(t, []string{"call_1"}, sent["metadata[tollgate_call]"])
			require.Empty(t, sent["metadata[]"], "a list would take the stamp away")
		}
		require.Positive(t, q.Price)
		for name := range sent {
			require.Equal(t, strings.ToLower(vendors.Root(name)), vendors.Root(name))
			require.NotContains(t, []string{"transfer_data", "on_behalf_of", "application_fee_amount"}, vendors.Root(name))
			if name == "destination" {
				require.Equal(t, "/v1/payouts", target.path, "there it is a bank account of one's own")
			}
		}
	})
}

func requireAnyRefusal(t *testing.T, err error) {
	t.Helper()
	var refusal *vendors.Refusal
	require.ErrorAs(t, err, &refusal)
}
