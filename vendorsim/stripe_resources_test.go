package vendorsim_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/tollgate/tollgate/vendorsim"
)

func chargeParams() *stripe.ChargeParams {
	params := &stripe.ChargeParams{Amount: stripe.Int64(1000), Currency: stripe.String("usd"), Customer: stripe.String("cus_a")}
	params.AddMetadata("a", "b")
	return params
}

func TestCharge_TakesHoldsOrDeclines(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	ch, err := b.stripe.Charges.New(chargeParams())
	require.NoError(t, err)
	require.True(t, ch.Paid)
	require.True(t, ch.Captured)
	require.Equal(t, map[string]string{"a": "b"}, ch.Metadata)

	params := chargeParams()
	params.Capture = stripe.Bool(false)
	held, err := b.stripe.Charges.New(params)
	require.NoError(t, err)
	require.False(t, held.Captured)
	held, err = b.stripe.Charges.Capture(held.ID, &stripe.ChargeCaptureParams{Amount: stripe.Int64(300)})
	require.NoError(t, err)
	require.EqualValues(t, 300, held.AmountCaptured)
	_, err = b.stripe.Charges.Capture(held.ID, nil)
	var refusal *stripe.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, stripe.ErrorCodeChargeAlreadyCaptured, refusal.Code)

	params = chargeParams()
	require.NoError(t, params.SetSource("tok_chargeDeclined"))
	_, err = b.stripe.Charges.New(params)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, stripe.ErrorCodeCardDeclined, refusal.Code)
	failed, err := b.stripe.Charges.Get(refusal.ChargeID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.ChargeStatusFailed, failed.Status)
	require.False(t, failed.Paid)

	truth := b.sim.Truth()
	require.EqualValues(t, 13_000_000, truth.SucceededTotalMicroUSD)
	require.Equal(t, map[string]int{"cus_a": 2}, truth.PerCustomer)
	require.Equal(t, 1, truth.Declined)
}

func TestCharge_OfAPaymentIntentIsCapturedThroughIt(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	pi := b.post(t, "/v1/payment_intents", "", payment("cus_a", "capture_method", "manual")).object(t)
	r := b.post(t, "/v1/charges/"+pi["latest_charge"].(string)+"/capture", "", url.Values{})
	require.Equal(t, http.StatusBadRequest, r.status)
	require.Zero(t, b.sim.Truth().Charges)
}

func TestCharge_NeedsSomethingToCharge(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	for name, source := range map[string]string{"nothing": "", "payment method": "pm_card_visa", "missing": "tok_missing"} {
		form := url.Values{"amount": {"1000"}, "currency": {"usd"}}
		if source != "" {
			form.Set("source", source)
		}
		r := b.post(t, "/v1/charges", "", form)
		require.Equal(t, http.StatusBadRequest, r.status, name)
		require.Equal(t, "source", r.failure(t)["param"], name)
	}
}

func TestRefund_GivesBackNoMoreThanWasTaken(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	pi, err := b.stripe.PaymentIntents.New(intentParams("cus_a", "pm_card_visa"))
	require.NoError(t, err)

	r, err := b.stripe.Refunds.New(&stripe.RefundParams{PaymentIntent: stripe.String(pi.ID), Amount: stripe.Int64(400), Reason: stripe.String("duplicate")})
	require.NoError(t, err)
	require.Equal(t, stripe.RefundStatusSucceeded, r.Status)
	_, err = b.stripe.Refunds.New(&stripe.RefundParams{Charge: stripe.String(pi.LatestCharge.ID), Amount: stripe.Int64(601)})
	require.Error(t, err)
	r, err = b.stripe.Refunds.New(&stripe.RefundParams{Charge: stripe.String(pi.LatestCharge.ID)})
	require.NoError(t, err)
	require.EqualValues(t, 600, r.Amount)
	_, err = b.stripe.Refunds.New(&stripe.RefundParams{Charge: stripe.String(pi.LatestCharge.ID)})
	var refusal *stripe.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, stripe.ErrorCodeChargeAlreadyRefunded, refusal.Code)

	got, err := b.stripe.Refunds.Get(r.ID, nil)
	require.NoError(t, err)
	require.Equal(t, pi.ID, got.PaymentIntent.ID)
	ch, err := b.stripe.Charges.Get(pi.LatestCharge.ID, nil)
	require.NoError(t, err)
	require.True(t, ch.Refunded)
	truth := b.sim.Truth()
	require.EqualValues(t, 10_000_000, truth.SucceededTotalMicroUSD)
	require.EqualValues(t, 10_000_000, truth.RefundedTotalMicroUSD)
	require.EqualValues(t, 1000, truth.Charged[0].RefundedAmount)
}

func TestRefund_RefusesWhatCannotBeRefunded(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	held := b.post(t, "/v1/payment_intents", "", payment("cus_a", "capture_method", "manual")).object(t)
	open := b.post(t, "/v1/payment_intents", "", payment("cus_a", "confirm", "-", "off_session", "-")).object(t)
	for name, form := range map[string]url.Values{
		"neither charge nor intent": {},
		"both":                      {"charge": {"ch_1"}, "payment_intent": {"pi_1"}},
		"unknown charge":            {"charge": {"ch_1"}},
		"unknown intent":            {"payment_intent": {"pi_1"}},
		"money only held":           {"payment_intent": {held["id"].(string)}},
		"nothing charged":           {"payment_intent": {open["id"].(string)}},
		"nothing to give back":      {"charge": {held["latest_charge"].(string)}, "amount": {"0"}},
		"reason of no known kind":   {"charge": {held["latest_charge"].(string)}, "reason": {"whim"}},
	} {
		require.Equal(t, http.StatusBadRequest, b.post(t, "/v1/refunds", "", form).status, name)
	}
	require.Zero(t, b.sim.Truth().RefundedTotalMicroUSD)
}

func TestCustomer_ExistsByItsIDOrByCreation(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	implied, err := b.stripe.Customers.Get("cus_0001", nil)
	require.NoError(t, err)
	again, err := setup(t, vendorsim.Config{Seed: 9}).stripe.Customers.Get("cus_0001", nil)
	require.NoError(t, err)
	require.Equal(t, implied.Created, again.Created)
	require.Equal(t, implied.Email, again.Email)

	made, err := b.stripe.Customers.New(&stripe.CustomerParams{Email: stripe.String("a@example.com"), Name: stripe.String("A")})
	require.NoError(t, err)
	got, err := b.stripe.Customers.Get(made.ID, nil)
	require.NoError(t, err)
	require.Equal(t, "a@example.com", got.Email)
	list := b.get(t, "/v1/customers?email=a@example.com").object(t)
	require.Len(t, list["data"], 1)
	require.Empty(t, b.get(t, "/v1/customers?email=b@example.com").object(t)["data"])
}

func TestList_PagesNewestFirstThroughOneCustomer(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	var want []string
	for i := range 25 {
		for _, customer := range []string{"cus_a", "cus_b"} {
			params := intentParams(customer, "pm_card_visa")
			pi, err := b.stripe.PaymentIntents.New(params)
			require.NoError(t, err)
			if customer == "cus_a" {
				want = append([]string{pi.ID}, want...)
			}
		}
		b.clock.advance(time.Duration(i%2) * time.Second)
	}
	for _, limit := range []int64{0, 1, 7, 25, 100} {
		params := &stripe.PaymentIntentListParams{Customer: stripe.String("cus_a")}
		if limit > 0 {
			params.Limit = stripe.Int64(limit)
		}
		var got []string
		for it := b.stripe.PaymentIntents.List(params); it.Next(); {
			got = append(got, it.PaymentIntent().ID)
		}
		require.Equal(t, want, got, "limit %d", limit)
	}

	// Backwards: the page before the 20th newest, nearest first cut off, still newest first.
	page := b.get(t, "/v1/payment_intents?customer=cus_a&limit=5&ending_before="+want[20]).object(t)
	require.Equal(t, true, page["has_more"])
	require.Equal(t, want[15:20], ids(page))
	page = b.get(t, "/v1/payment_intents?customer=cus_a&limit=100&ending_before="+want[3]).object(t)
	require.Equal(t, false, page["has_more"])
	require.Equal(t, want[:3], ids(page))
	require.Len(t, b.get(t, "/v1/payment_intents?customer=cus_a").object(t)["data"], 10)
}

func ids(page map[string]any) []string {
	var got []string
	for _, o := range page["data"].([]any) {
		got = append(got, o.(map[string]any)["id"].(string))
	}
	return got
}

func TestList_FiltersByCreationAndParent(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	start := b.clock.Now().Unix()
	var intents []map[string]any
	for range 5 {
		intents = append([]map[string]any{b.post(t, "/v1/payment_intents", "", payment("cus_a")).object(t)}, intents...)
		b.clock.advance(time.Second)
	}
	of := func(from, to int) []string {
		var want []string
		for _, in := range intents[from:to] {
			want = append(want, in["id"].(string))
		}
		return want
	}
	at := func(offset int64) string { return strconv.FormatInt(start+offset, 10) }
	for query, want := range map[string][]string{
		"created[gte]=" + at(3):                           of(0, 2),
		"created[gt]=" + at(3):                            of(0, 1),
		"created[lte]=" + at(1):                           of(3, 5),
		"created[lt]=" + at(1):                            of(4, 5),
		"created=" + at(2):                                of(2, 3),
		"created[gte]=" + at(1) + "&created[lt]=" + at(3): of(2, 4),
		"created[gt]=" + at(9):                            nil,
		"customer=cus_b":                                  nil,
	} {
		require.Equal(t, want, ids(b.get(t, "/v1/payment_intents?"+query).object(t)), query)
	}

	first := intents[4]
	charges := b.get(t, "/v1/charges?customer=cus_a&payment_intent="+first["id"].(string)).object(t)
	require.Equal(t, []string{first["latest_charge"].(string)}, ids(charges))
	require.Empty(t, ids(b.get(t, "/v1/charges?customer=cus_b&payment_intent="+first["id"].(string)).object(t)))
	refund := b.post(t, "/v1/refunds", "", url.Values{"payment_intent": {first["id"].(string)}}).object(t)
	require.Equal(t, []string{refund["id"].(string)}, ids(b.get(t, "/v1/refunds?charge="+first["latest_charge"].(string)).object(t)))
	require.Empty(t, ids(b.get(t, "/v1/refunds?payment_intent="+intents[0]["id"].(string)).object(t)))

	expanded := b.get(t, "/v1/payment_intents?limit=1&expand[]=data.latest_charge").object(t)
	charge := expanded["data"].([]any)[0].(map[string]any)["latest_charge"].(map[string]any)
	require.Equal(t, intents[0]["latest_charge"], charge["id"])
}

func TestList_RefusesAPageThatMakesNoSense(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	for _, query := range []string{
		"limit=0", "limit=101", "limit=x", "created[since]=1", "created[gte]=soon", "created=soon",
		"starting_after=pi_1", "ending_before=pi_1", "starting_after=pi_1&ending_before=pi_2",
		"customer=", "colour=red", "payment_intent=pi_1", "limit=1&limit=2",
	} {
		r := b.get(t, "/v1/payment_intents?"+query)
		require.Equal(t, http.StatusBadRequest, r.status, query)
		require.Equal(t, "invalid_request_error", r.failure(t)["type"], query)
	}
}

func TestIDs_DifferAcrossRestarts(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 2 {
		clock := &clock{now: time.Unix(int64(i), 0)}
		sim, err := vendorsim.New(vendorsim.Config{Seed: 1, Now: clock.Now})
		require.NoError(t, err)
		b := serve(t, sim)
		for range 100 {
			seen[b.post(t, "/v1/payment_intents", "", payment("cus_a")).object(t)["id"].(string)] = true
		}
	}
	require.Len(t, seen, 200, "a client may have kept ids of the first run")
}

// Clients measure the vendor's clock by the Date of its answers, and take it for
// the clock of its objects.
func TestAnswers_AreDatedByTheClockOfTheObjects(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	require.Equal(t, "Mon, 02 Nov 2026 12:00:00 GMT", b.get(t, "/v1/payment_intents").header.Get("Date"))
	b.clock.advance(time.Hour)
	require.Equal(t, "Mon, 02 Nov 2026 13:00:00 GMT", b.post(t, "/v1/payment_intents", "", payment("cus_1")).header.Get("Date"))
}
