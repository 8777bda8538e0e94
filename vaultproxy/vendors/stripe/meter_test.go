package stripe_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

func TestMeter_PricesCreationsByTheirAmount(t *testing.T) {
	t.Parallel()
	for _, path := range []string{intents, "/v1/charges"} {
		for amount, want := range map[string]money.USD{
			"1": money.Cent, "100": money.Dollar, "49999": 49_999 * money.Cent, "99999999": 99_999_999 * money.Cent,
		} {
			for _, currency := range []string{"usd", "USD"} {
				a := &account{}
				q, err := meter(t, a, path, "amount="+amount+"&currency="+currency)
				require.NoError(t, err)
				require.Equal(t, want, q.Price)
				require.Equal(t, path, q.Template)
				require.Empty(t, q.Target)
				require.Empty(t, a.asked, "a creation needs no look-up")
			}
		}
	}
}

func TestMeter_RefusesAmountsThatHaveToBeInterpreted(t *testing.T) {
	t.Parallel()
	for name, amount := range map[string]string{
		"nothing":           "",
		"zero":              "0",
		"a negative number": "-100",
		"a plus sign":       "%2B100",
		"a leading zero":    "0100",
		"a fraction":        "1.00",
		"a comma":           "1,000",
		"an underscore":     "1_000",
		"an exponent":       "1e5",
		"hexadecimal":       "0x64",
		"a space before":    "+100",
		"a space behind":    "100+",
		"a newline behind":  "100%0A",
		"full-width digits": "%EF%BC%91%EF%BC%90%EF%BC%90",
		"Arabic digits":     "%D9%A1%D9%A0%D9%A0",
		"nine digits":       "100000000",
		"an int64 overflow": "9223372036854775808",
		"a uint64 wrap":     "18446744073709551716",
		"a word":            "all",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := meter(t, &account{}, intents, "currency=usd&amount="+amount)
			requireRefusal(t, err, vendors.AmountInvalid, "amount")
			_, err = meter(t, &account{}, intents+"/pi_1/capture", "amount_to_capture="+amount)
			requireRefusal(t, err, vendors.AmountInvalid, "amount_to_capture")
			a := &account{answers: map[string]string{"/v1/charges/ch_1": charge(100, 100, 0)}}
			_, err = meter(t, a, "/v1/refunds", "charge=ch_1&amount="+amount)
			requireRefusal(t, err, vendors.AmountInvalid, "amount")
		})
	}
}

func TestMeter_RefusesCurrenciesThatItHasNoRateFor(t *testing.T) {
	t.Parallel()
	for name, currency := range map[string]string{
		"another": "eur", "zero-decimal": "jpy", "nothing": "", "mixed case": "Usd", "a space": "+usd", "a long s": "u%C5%BFd", "two": "usd,eur",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := meter(t, &account{}, intents, "amount=1&currency="+currency)
			requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
		})
	}
	_, err := meter(t, &account{}, intents, "amount=1")
	requireRefusal(t, err, vendors.Invalid, "currency")
	_, err = meter(t, &account{}, intents, "currency=usd")
	requireRefusal(t, err, vendors.Invalid, "amount")
}

func intent(status string, amount, capturable, received int64) string {
	return fmt.Sprintf(`{"id":"pi_1","object":"payment_intent","status":%q,"currency":"usd","amount":%d,"amount_capturable":%d,"amount_received":%d,"last_payment_error":null,"latest_charge":"ch_1"}`,
		status, amount, capturable, received)
}

func charge(amount, captured, refunded int64) string {
	return fmt.Sprintf(`{"id":"ch_1","object":"charge","status":"succeeded","currency":"usd","amount":%d,"amount_captured":%d,"amount_refunded":%d,"captured":%t}`,
		amount, captured, refunded, captured > 0)
}

func TestMeter_PricesMovesByWhatTheRunHoldsOrByTheObject(t *testing.T) {
	t.Parallel()
	held := vendors.Booking{Seq: 17, SameRun: true, Committed: true, Hold: 10 * money.Dollar}
	othersHold, gone := held, held
	othersHold.SameRun = false
	gone.Committed = false
	for name, test := range map[string]struct {
		path, body string
		booking    vendors.Booking
		object     string // as Stripe shows it
		price      money.USD
		takeOver   int64
		sends      string
		lookUps    int
	}{
		"a confirmation takes the hold over": {
			intents + "/pi_1/confirm", "payment_method=pm_1", held, intent("requires_confirmation", 1000, 0, 0), 10 * money.Dollar, 17, "payment_method=pm_1", 1},
		"a confirmation of what has grown since costs the difference": {
			intents + "/pi_1/confirm", "", held, intent("requires_confirmation", 1700, 0, 0), 17 * money.Dollar, 17, "", 1},
		"an update to a larger amount holds the difference": {
			intents + "/pi_1", "amount=1500", held, intent("requires_confirmation", 1000, 0, 0), 15 * money.Dollar, 17, "amount=1500&currency=usd", 1},
		"an update to a smaller amount takes the whole hold over": {
			intents + "/pi_1", "amount=600", held, intent("requires_confirmation", 1000, 0, 0), 10 * money.Dollar, 17, "amount=600&currency=usd", 1},
		"an update of another run's object costs the new amount": {
			intents + "/pi_1", "amount=600", othersHold, intent("requires_confirmation", 1000, 0, 0), 6 * money.Dollar, 0, "amount=600&currency=usd", 1},
		"an update after a release costs the new amount": {
			intents + "/pi_1", "amount=1500", gone, intent("requires_payment_method", 1000, 0, 0), 15 * money.Dollar, 0, "amount=1500&currency=usd", 1},
		"an update of the currency alone is pinned to the amount": {
			intents + "/pi_1", "currency=usd", vendors.Booking{}, intent("requires_confirmation", 1000, 0, 0), 10 * money.Dollar, 0, "amount=1000&currency=usd", 1},
		"an update of neither costs nothing and asks nothing": {
			intents + "/pi_1", "description=x", held, "", 0, 0, "description=x", 0},
		"an increment holds the difference": {
			intents + "/pi_1/increment_authorization", "amount=1300", held, intent("requires_capture", 1000, 1000, 0), 13 * money.Dollar, 17, "amount=1300", 1},
		"an increment of an unknown object costs the new amount": {
			intents + "/pi_1/increment_authorization", "amount=1300", vendors.Booking{}, intent("requires_capture", 1000, 1000, 0), 13 * money.Dollar, 0, "amount=1300", 1},
		"a charge's update costs nothing and asks nothing": {
			"/v1/charges/ch_1", "description=x", held, "", 0, 0, "description=x", 0},
		"a confirmation of another run's object costs its amount": {
			intents + "/pi_1/confirm", "", othersHold, intent("requires_confirmation", 1000, 0, 0), 10 * money.Dollar, 0, "", 1},
		"a confirmation after a decline costs the amount again": {
			intents + "/pi_1/confirm", "", gone, intent("requires_payment_method", 1000, 0, 0), 10 * money.Dollar, 0, "", 1},
		"a confirmation of an unknown object costs its amount": {
			intents + "/pi_1/confirm", "", vendors.Booking{}, intent("requires_confirmation", 2500, 0, 0), 25 * money.Dollar, 0, "", 1},
		"a partial capture takes the whole hold over": {
			intents + "/pi_1/capture", "amount_to_capture=400", held, intent("requires_capture", 1000, 1000, 0), 10 * money.Dollar, 17, "amount_to_capture=400", 1},
		"a capture above the hold costs what is asked": {
			intents + "/pi_1/capture", "amount_to_capture=1500", held, intent("requires_capture", 1000, 1000, 0), 15 * money.Dollar, 17, "amount_to_capture=1500", 1},
		"a capture without an amount is pinned to what can be captured": {
			intents + "/pi_1/capture", "", held, intent("requires_capture", 1000, 1000, 0), 10 * money.Dollar, 17, "amount_to_capture=1000", 1},
		"a pinned capture above the hold costs what is pinned": {
			intents + "/pi_1/capture", "", held, intent("requires_capture", 1500, 1500, 0), 15 * money.Dollar, 17, "amount_to_capture=1500", 1},
		"a pinned capture below the hold takes the hold over": {
			intents + "/pi_1/capture", "", held, intent("requires_capture", 1000, 700, 0), 10 * money.Dollar, 17, "amount_to_capture=700", 1},
		"a capture of an unknown object costs its amount": {
			intents + "/pi_1/capture", "amount_to_capture=400", vendors.Booking{}, intent("requires_capture", 1000, 1000, 0), 10 * money.Dollar, 0, "amount_to_capture=400", 1},
		"a capture of an unknown object above its amount costs what is asked": {
			intents + "/pi_1/capture", "amount_to_capture=1400", vendors.Booking{}, intent("requires_capture", 1000, 1000, 0), 14 * money.Dollar, 0, "amount_to_capture=1400", 1},
		"a charge's capture is pinned to its amount": {
			"/v1/charges/ch_1/capture", "", vendors.Booking{}, charge(800, 0, 0), 8 * money.Dollar, 0, "amount=800", 1},
		"a charge's partial capture": {
			"/v1/charges/ch_1/capture", "amount=300", held, charge(1000, 0, 0), 10 * money.Dollar, 17, "amount=300", 1},
		"a cancel costs nothing and asks nothing": {
			intents + "/pi_1/cancel", "cancellation_reason=abandoned", held, "", 0, 0, "cancellation_reason=abandoned", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{bookings: map[string]vendors.Booking{}, answers: map[string]string{}}
			if test.booking.Seq != 0 {
				a.bookings["pi_1"], a.bookings["ch_1"] = test.booking, test.booking
			}
			if test.object != "" {
				a.answers[intents+"/pi_1"], a.answers["/v1/charges/ch_1"] = test.object, test.object
			}
			q, err := meter(t, a, test.path, test.body)
			require.NoError(t, err)
			require.Equal(t, test.price, q.Price)
			require.Equal(t, test.takeOver, q.TakeOver)
			require.Len(t, a.asked, test.lookUps)
			require.Equal(t, test.sends, string(newProfile(t).Wire(q, vendors.Stamp{CallID: "c", Run: "r"}).Body), "a move is sent unstamped")
			require.Contains(t, []string{"pi_1", "ch_1"}, q.Target)
		})
	}
}

func TestMeter_PinsARefundToWhatIsLeft(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		charge string
		want   int64 // cents; zero: there is nothing
	}{
		"a whole charge":                          {charge(1000, 1000, 0), 1000},
		"a charge that was refunded in part":      {charge(1000, 1000, 300), 700},
		"a charge that was refunded":              {charge(1000, 1000, 1000), 0},
		"a charge that was captured in part":      {charge(1000, 600, 400), 600},
		"the same, and refunded in part":          {charge(1000, 600, 500), 500},
		"the same, and refunded":                  {charge(1000, 600, 1000), 0},
		"captured in part under a later version":  {charge(1000, 600, 0), 600},
		"the same, and refunded in part by a bit": {charge(1000, 600, 100), 500},
		"an authorisation":                        {charge(1000, 0, 0), 0},
		"an authorisation that was voided":        {charge(1000, 0, 1000), 0},
		"a charge that does not tell":             {`{"id":"ch_1","object":"charge","status":"succeeded","currency":"usd","amount":5,"captured":true}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{
				"/v1/charges/ch_1":                          test.charge,
				intents + "/pi_1?expand[]=latest_charge":    `{"id":"pi_1","object":"payment_intent","currency":"usd","amount":1000,"latest_charge":` + test.charge + `}`,
				intents + "/pi_bare?expand[]=latest_charge": `{"id":"pi_bare","object":"payment_intent","currency":"usd","amount":1000,"latest_charge":"ch_1"}`,
			}}
			for _, body := range []string{"charge=ch_1", "payment_intent=pi_1"} {
				q, err := meter(t, a, "/v1/refunds", body)
				if test.want == 0 {
					requireRefusal(t, err, vendors.AmountInvalid, "amount")
					continue
				}
				require.NoError(t, err)
				require.Equal(t, money.USD(test.want)*money.Cent, q.Price)
				pinned, _ := q.Request.Body.Get("amount")
				require.Equal(t, fmt.Sprint(test.want), pinned)
			}
			_, err := meter(t, a, "/v1/refunds", "payment_intent=pi_bare")
			requireRefusal(t, err, vendors.AmountInvalid, "amount")
		})
	}
}

func TestMeter_PricesARefundWithAnAmountByIt(t *testing.T) {
	t.Parallel()
	a := &account{answers: map[string]string{"/v1/charges/ch_1": charge(1000, 1000, 0)}}
	q, err := meter(t, a, "/v1/refunds", "charge=ch_1&amount=250")
	require.NoError(t, err)
	require.Equal(t, 250*money.Cent, q.Price)

	a.answers["/v1/charges/ch_1"] = `{"id":"ch_1","object":"charge","currency":"jpy","amount":1000,"captured":true,"amount_captured":1000}`
	_, err = meter(t, a, "/v1/refunds", "charge=ch_1&amount=250")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
	_, err = meter(t, a, "/v1/refunds", "charge=ch_1")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
	_, err = meter(t, a, "/v1/refunds", "charge=ch_1&amount=250&currency=eur")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
}

func TestMeter_RefusesRefundsOfWhatIsNoPayment(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"of nothing":                  "amount=5",
		"of two things":               "charge=ch_1&payment_intent=pi_1&amount=5",
		"of a path":                   "charge=ch_1/../../customers/cus_1&amount=5",
		"of an escaped path":          "charge=ch_1%252fx&amount=5",
		"of a query":                  "charge=ch_1?expand[]=x&amount=5",
		"of a customer":               "charge=cus_1&amount=5",
		"of a charge as an intent":    "payment_intent=ch_1&amount=5",
		"of an intent as a charge":    "charge=pi_1&amount=5",
		"of an empty ID":              "charge=&amount=5",
		"of what Stripe has not seen": "charge=ch_404&amount=5",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{}
			_, err := meter(t, a, "/v1/refunds", body)
			requireRefusal(t, err, vendors.Invalid, "")
			if name != "of what Stripe has not seen" {
				require.Empty(t, a.asked)
			}
		})
	}
}

func TestMeter_DoesNotPriceByAnAnswerThatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"another object":   `{"id":"pi_2","object":"payment_intent","currency":"usd","amount":1}`,
		"no object":        `{"amount":1,"currency":"usd"}`,
		"no JSON":          `<html>`,
		"a fraction":       `{"id":"pi_1","currency":"usd","amount":1.5}`,
		"an amount in all": `{"id":"pi_1","currency":"usd","amount":1e30}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{intents + "/pi_1": body}}
			_, err := meter(t, a, intents+"/pi_1/confirm", "")
			var lookup *vendors.LookupError
			require.ErrorAs(t, err, &lookup)
		})
	}
	for name, test := range map[string]struct{ body, code, param string }{
		"no amount":         {`{"id":"pi_1","currency":"usd"}`, vendors.AmountInvalid, ""},
		"a negative amount": {`{"id":"pi_1","currency":"usd","amount":-5}`, vendors.AmountInvalid, ""},
		"no currency":       {`{"id":"pi_1","amount":5}`, vendors.CurrencyUnsupported, "currency"},
		"another currency":  {`{"id":"pi_1","amount":5,"currency":"jpy"}`, vendors.CurrencyUnsupported, "currency"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{intents + "/pi_1": test.body}}
			_, err := meter(t, a, intents+"/pi_1/confirm", "")
			requireRefusal(t, err, test.code, test.param)
		})
	}
}

func TestMeter_PassesOnThatALookUpFailed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusFound, http.StatusInternalServerError} {
		a := &account{status: map[string]int{intents + "/pi_1": status}}
		_, err := meter(t, a, intents+"/pi_1/confirm", "")
		var lookup *vendors.LookupError
		require.ErrorAs(t, err, &lookup)
		require.Equal(t, status, lookup.Status)
		require.Contains(t, err.Error(), fmt.Sprint(status))
	}
	broken := errors.New("the connection was closed")
	_, err := meter(t, &account{err: broken}, "/v1/refunds", "charge=ch_1")
	require.ErrorIs(t, err, broken)
}
