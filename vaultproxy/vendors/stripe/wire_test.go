package stripe_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

func TestWire_StampsWhatItCreates(t *testing.T) {
	t.Parallel()
	a := &account{answers: map[string]string{"/v1/charges/ch_1": charge(100, 100, 0)}}
	p := newProfile(t)
	for path, body := range map[string]string{
		intents: "amount=5&currency=usd&metadata[order]=7", "/v1/charges": "amount=5&currency=usd", "/v1/refunds": "charge=ch_1",
	} {
		q, err := meter(t, a, path, body)
		require.NoError(t, err)
		w := p.Wire(q, vendors.Stamp{CallID: "call_1", Run: "temporal/default/run 1", Item: "7"})
		require.Equal(t, "POST", w.Method)
		require.Equal(t, path, w.Target)
		require.Equal(t, "application/x-www-form-urlencoded", w.ContentType)
		require.Equal(t, map[string]string{"Stripe-Version": "2023-10-16"}, w.Header)

		sent, err := vendors.ParseForm(string(w.Body))
		require.NoError(t, err)
		for name, want := range map[string]string{
			"metadata[tollgate_call]": "call_1", "metadata[tollgate_run]": "temporal/default/run 1", "metadata[tollgate_item]": "7",
		} {
			got, ok := sent.Get(name)
			require.True(t, ok, name)
			require.Equal(t, want, got)
		}
		require.Equal(t, w, p.Wire(q, vendors.Stamp{CallID: "call_1", Run: "temporal/default/run 1", Item: "7"}), "every send is the same")
	}
}

func TestWire_SendsNoEmptyItem(t *testing.T) {
	t.Parallel()
	q, err := meter(t, &account{}, intents, "amount=5&currency=usd")
	require.NoError(t, err)
	require.Equal(t, "amount=5&currency=usd&metadata%5Btollgate_call%5D=c&metadata%5Btollgate_run%5D=r",
		string(newProfile(t).Wire(q, vendors.Stamp{CallID: "c", Run: "r"}).Body))
}

func TestWire_OfAMoveWithoutParametersHasAnEmptyFormBody(t *testing.T) {
	t.Parallel()
	q, err := meter(t, &account{}, intents+"/pi_1/cancel", "")
	require.NoError(t, err)
	w := newProfile(t).Wire(q, vendors.Stamp{CallID: "c", Run: "r", Item: "1"})
	require.Empty(t, w.Body)
	require.Equal(t, "application/x-www-form-urlencoded", w.ContentType)
	require.Equal(t, intents+"/pi_1/cancel", w.Target)
}
