package stripe_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/money/fx"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// ratesDay is the day of the tests' exchange rates.
var ratesDay = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func ratesOf(t *testing.T, margin, list string) *fx.Table {
	t.Helper()
	table, err := fx.Parse([]byte("as_of: 2026-11-24\nmax_age: 48h\nmargin: \"" + margin + "\"\nrates: {" + list + "}\n"))
	require.NoError(t, err)
	return table
}

const someRates = `eur: "1.10", jpy: "0.0067", kwd: "3.25", isk: "0.0072", ugx: "0.00027", huf: "0.0028", twd: "0.031", mga: "0.00022"`

// abroad is an account whose proxy has exchange rates with a margin of 3 %.
func abroad(t *testing.T) *account {
	t.Helper()
	return &account{rates: ratesOf(t, "0.03", someRates), now: ratesDay.Add(time.Hour)}
}

func TestMeter_PricesOtherCurrenciesByStripesMinorUnits(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		currency string
		amount   int64
		want     money.USD
	}{
		"dollars without a margin":                    {"usd", 1999, 19_990_000},
		"euros in cents":                              {"eur", 1000, 11_330_000},
		"euros in capitals":                           {"EUR", 1000, 11_330_000},
		"yen have no cents":                           {"jpy", 1500, 10_351_500},
		"one yen":                                     {"jpy", 1, 6_901},
		"ariary have no cents, whatever ISO says":     {"mga", 5000, 1_133_000},
		"dinars in thousandths":                       {"kwd", 5120, 17_139_200},
		"krónur are whole, and written in hundredths": {"isk", 50_000, 3_708_000},
		"forints are charged in hundredths":           {"huf", 17_555, 506_287},
		"Taiwan dollars are charged in hundredths":    {"twd", 12_345, 3_941_759}, // 3941758.5
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{intents, "/v1/charges"} {
				q, err := meter(t, abroad(t), path, fmt.Sprintf("amount=%d&currency=%s", tc.amount, tc.currency))
				require.NoError(t, err)
				require.Equal(t, tc.want, q.Price)
				require.Equal(t, q.Rate == nil, tc.currency == "usd", "what was priced by a rate says so")
			}
		})
	}
}

func TestMeter_RefusesAmountsThatStripeHasNoUnitFor(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a thousandth of a dinar": "amount=5124&currency=kwd",
		"a fraction of a króna":   "amount=150&currency=isk",
		"and so in capitals":      "amount=150&currency=ISK",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := meter(t, abroad(t), intents, body)
			requireRefusal(t, err, vendors.AmountInvalid, "amount")
		})
	}
}

func TestMeter_TakesPayoutsInWholeForintsOnly(t *testing.T) {
	t.Parallel()
	for _, currency := range []string{"huf", "twd", "isk"} {
		_, err := meter(t, abroad(t), "/v1/payouts", "amount=150&currency="+currency)
		requireRefusal(t, err, vendors.AmountInvalid, "amount")
		_, err = meter(t, abroad(t), "/v1/payouts", "amount=200&currency="+currency)
		require.NoError(t, err)
	}
	_, err := meter(t, abroad(t), "/v1/payouts", "amount=151&currency=eur")
	require.NoError(t, err)
}

func TestMeter_RefusesACurrencyWithoutARateAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := meter(t, abroad(t), intents, "amount=100&currency=gbp")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
	require.ErrorContains(t, err, "gbp")
	require.ErrorContains(t, err, "--fx-file")
	_, err = meter(t, &account{}, intents, "amount=100&currency=gbp")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
	require.ErrorContains(t, err, "--fx-file")
	for _, currency := range []string{"Eur", "eu", "euro", "e%C3%BC", "", "eur,usd", "us%C5%BF"} {
		_, err = meter(t, abroad(t), intents, "amount=100&currency="+currency)
		requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
	}
}

// Stripe's own pages differ by a factor of a hundred on what 500 UGX are.
func TestMeter_RefusesACurrencyThatHasTwoReadings(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"amount=500&currency=ugx", "amount=500&currency=UGX", "amount=5&currency=ugx"} {
		_, err := meter(t, abroad(t), intents, body)
		requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
		require.ErrorContains(t, err, "two ways")
	}
}

// Between the look-up and the update another one may give the payment another currency.
func TestMeter_PinsAnUpdateToTheCurrencyThatItWasMeteredIn(t *testing.T) {
	t.Parallel()
	a := abroad(t)
	a.answers = map[string]string{intents + "/pi_1": strings.Replace(intent("requires_confirmation", 100, 0, 0), "usd", "jpy", 1)}
	q, err := meter(t, a, intents+"/pi_1", "amount=99999")
	require.NoError(t, err)
	require.Equal(t, "amount=99999&currency=jpy", q.Request.Body.Encode())
}

func TestMeter_RefusesRatesThatAreTooOld(t *testing.T) {
	t.Parallel()
	a := abroad(t)
	a.now = ratesDay.Add(48*time.Hour + time.Second)
	_, err := meter(t, a, intents, "amount=100&currency=eur")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
	require.ErrorContains(t, err, "2026-11-24")
	require.ErrorContains(t, err, "restart")
	q, err := meter(t, a, intents, "amount=100&currency=usd")
	require.NoError(t, err)
	require.Equal(t, money.Dollar, q.Price)
	a.now = ratesDay.Add(-72 * time.Hour)
	_, err = meter(t, a, intents, "amount=100&currency=eur")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
}

// intentIn is a PaymentIntent in a currency.
func intentIn(currency, status string, amount, capturable, received int64) string {
	return fmt.Sprintf(`{"id":"pi_1","object":"payment_intent","status":%q,"currency":%q,"amount":%d,"amount_capturable":%d,"amount_received":%d,"last_payment_error":null}`,
		status, currency, amount, capturable, received)
}

// madeBy is a call that was metered in an account, as it is stored.
func madeBy(t *testing.T, a *account, path, body, operation, target string) (vendors.Quote, vendors.Sent) {
	t.Helper()
	q, err := meter(t, a, path, body)
	require.NoError(t, err)
	w := newProfile(t).Wire(q, vendors.Stamp{CallID: "call_1", Run: "run"})
	return q, vendors.Sent{CallID: "call_1", Operation: operation, Target: target, Wire: w, Hold: q.Price, FirstSentAt: firstSent}
}

func TestJudge_BooksAtTheRateOfTheHoldWhateverTheTableIsByThen(t *testing.T) {
	t.Parallel()
	q, s := madeBy(t, abroad(t), intents, "amount=1501&currency=jpy&confirm=true&off_session=true", "payment_intents.create", "")
	require.Equal(t, money.USD(10_358_401), q.Price) // 10358401.0
	for name, table := range map[string]*fx.Table{
		"the same table": ratesOf(t, "0.03", someRates), "dearer yen": ratesOf(t, "0.10", `jpy: "0.0099"`),
		"cheaper yen": ratesOf(t, "0", `jpy: "0.0001"`), "no yen": ratesOf(t, "0.03", `eur: "1.1"`), "no table": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := stripe.New(stripe.Config{Secret: secret, Rates: table})
			require.NoError(t, err)
			v := p.Judge(s, answer(200, intentIn("jpy", "succeeded", 1501, 0, 1501)))
			require.Equal(t, ledger.OutcomeSettled, v.Outcome)
			require.Equal(t, q.Price, v.Amount, "in full: what was held, to the micro-dollar")
			v = p.Judge(s, answer(200, intentIn("jpy", "succeeded", 1501, 0, 500)))
			require.Equal(t, money.USD(3_450_500), v.Amount, "in part: by the same rate")
			v = p.Judge(s, answer(200, intentIn("jpy", "succeeded", 1501, 0, 1502)))
			require.Greater(t, v.Amount, q.Price, "more is booked only if Stripe took more yen")
			v = p.Judge(s, answer(200, intentIn("jpy", "requires_capture", 1501, 1501, 0)))
			require.Equal(t, ledger.OutcomeCommitted, v.Outcome)
			require.Equal(t, q.Price, v.Amount)
			a := &account{answers: map[string]string{"/v1/payment_intents/pi_1": intentIn("jpy", "succeeded", 1501, 0, 1501)}}
			found, err := p.Follow(t.Context(), s, "pi_1", a)
			require.NoError(t, err)
			require.Equal(t, q.Price, found.Verdict.Amount)
		})
	}
}

func TestJudge_LeavesUnknownWhatItHasNoRateFor(t *testing.T) {
	t.Parallel()
	s := sent("payment_intents.create", "", "amount=1501&currency=jpy")
	v := newProfile(t).Judge(s, answer(200, intentIn("jpy", "succeeded", 1501, 0, 1501)))
	require.Equal(t, ledger.OutcomeUnknown, v.Outcome)
	p, err := stripe.New(stripe.Config{Secret: secret, Rates: ratesOf(t, "0.03", someRates)})
	require.NoError(t, err)
	v = p.Judge(s, answer(200, intentIn("jpy", "succeeded", 1501, 0, 1501)))
	require.Equal(t, ledger.OutcomeSettled, v.Outcome, "without a stored rate the table counts, however old it is")
	require.Equal(t, money.USD(10_358_401), v.Amount)
}

func TestMeter_TakesAHoldOverAtItsOwnRate(t *testing.T) {
	t.Parallel()
	made, _ := madeBy(t, abroad(t), intents, "amount=1501&currency=jpy", "payment_intents.create", "")
	object := intentIn("jpy", "requires_capture", 1501, 1501, 0)
	dearer := func(old bool) *account {
		a := &account{
			rates:    ratesOf(t, "0.03", `jpy: "0.0080"`),
			bookings: map[string]vendors.Booking{"pi_1": {Seq: 17, SameRun: true, Committed: true, Hold: made.Price, Rate: made.Rate}},
			answers:  map[string]string{"/v1/payment_intents/pi_1": object}, now: ratesDay,
		}
		if old {
			a.now = ratesDay.AddDate(1, 0, 0)
		}
		return a
	}
	for _, body := range []string{"", "amount_to_capture=1501", "amount_to_capture=700"} {
		q, s := madeBy(t, dearer(true), intents+"/pi_1/capture", body, "payment_intents.capture", "pi_1")
		require.EqualValues(t, 17, q.TakeOver)
		require.Equal(t, made.Price, q.Price, "what is held covers it, however the market has moved")
		v := newProfile(t).Judge(s, answer(200, intentIn("jpy", "succeeded", 1501, 0, 1501)))
		require.Equal(t, made.Price, v.Amount)
	}
	q, s := madeBy(t, dearer(true), intents+"/pi_1/confirm", "", "payment_intents.confirm", "pi_1")
	require.Equal(t, made.Price, q.Price)
	v := newProfile(t).Judge(s, answer(200, intentIn("jpy", "succeeded", 1501, 0, 1501)))
	require.Equal(t, made.Price, v.Amount)

	_, err := meter(t, dearer(true), intents+"/pi_1/capture", "amount_to_capture=1600")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
	q, s = madeBy(t, dearer(false), intents+"/pi_1/capture", "amount_to_capture=1600", "payment_intents.capture", "pi_1")
	require.Equal(t, money.USD(13_184_000), q.Price, "more than is held is new, at today's rate")
	v = newProfile(t).Judge(s, answer(200, intentIn("jpy", "succeeded", 1600, 0, 1600)))
	require.Equal(t, q.Price, v.Amount)
}

func TestMeter_RefundsInTheCurrencyOfTheObject(t *testing.T) {
	t.Parallel()
	a := abroad(t)
	a.answers = map[string]string{"/v1/charges/ch_1": `{"id":"ch_1","object":"charge","status":"succeeded","currency":"jpy","amount":1500,"amount_captured":1500,"amount_refunded":500,"captured":true}`}
	for body, want := range map[string]money.USD{
		"charge=ch_1&amount=300":              2_070_300,
		"charge=ch_1&amount=300&currency=JPY": 2_070_300,
		"charge=ch_1":                         6_901_000,
	} {
		q, s := madeBy(t, a, "/v1/refunds", body, "refunds.create", "")
		require.Equal(t, want, q.Price)
		amount, _ := q.Request.Body.Get("amount")
		v := newProfile(t).Judge(s, answer(200, `{"id":"re_1","object":"refund","status":"succeeded","currency":"jpy","amount":`+amount+`}`))
		require.Equal(t, ledger.OutcomeSettled, v.Outcome)
		require.Equal(t, want, v.Amount)
	}
	_, err := meter(t, a, "/v1/refunds", "charge=ch_1&amount=300&currency=usd")
	requireRefusal(t, err, vendors.CurrencyUnsupported, "currency")
}

func TestPrice_OfAHoldIsNeverPassedByTheSettlementOfAsMuch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		currency := rapid.SampledFrom([]string{"usd", "eur", "jpy", "kwd", "isk", "mga"}).Draw(r, "currency")
		amount := 100 * rapid.Int64Range(1, 999_999).Draw(r, "amount")
		received := rapid.Int64Range(0, amount).Draw(r, "received")
		a := abroad(t)
		q, s := madeBy(t, a, intents, fmt.Sprintf("amount=%d&currency=%s", amount, currency), "payment_intents.create", "")
		p, err := stripe.New(stripe.Config{Secret: secret, Rates: ratesOf(t, "0.5", `eur: "2", jpy: "2", kwd: "9", isk: "2", mga: "2"`)})
		if err != nil {
			r.Fatal(err)
		}
		full := p.Judge(s, answer(200, intentIn(currency, "succeeded", amount, 0, amount)))
		part := p.Judge(s, answer(200, intentIn(currency, "succeeded", amount, 0, received)))
		if full.Amount != q.Price || part.Amount > q.Price || q.Price <= 0 {
			r.Fatalf("held %s, settled in full %s, in part %s", q.Price, full.Amount, part.Amount)
		}
	})
}
