package vaultproxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/money/fx"
	"github.com/tollgate/tollgate/vendorsim"
)

// yenAt is a table of today with a margin of 3 %.
func yenAt(t *testing.T, rate string) *fx.Table {
	t.Helper()
	table, err := fx.Parse([]byte("as_of: " + time.Now().UTC().Format(time.RFC3339) + "\nmax_age: 48h\nmargin: \"0.03\"\nrates: {jpy: \"" + rate + "\"}\n"))
	require.NoError(t, err)
	return table
}

// inYen is a call's body with another amount and currency.
func inYen(body, amount string) string {
	return strings.NewReplacer("amount=100&", "amount="+amount+"&", "amount=400&", "amount="+amount+"&", "usd", "jpy").Replace(body)
}

// yen1501 are 1501 yen at 0.0067 and 3 %.
const yen1501 = money.USD(10_358_401)

func TestCurrency_IsHeldAndSettledToTheMicroDollar(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{rates: yenAt(t, "0.0067")})
	key := b.issue(yen1501)
	got := b.post(key.VaultKey, intents, "item-1", inYen(charge, "1501"))
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, yen1501)
	require.Equal(t, yen1501, b.call("item-1").HoldUSD)
	got = b.post(key.VaultKey, intents, "item-2", inYen(charge, "50"))
	require.Equal(t, "cap_exhausted", got.code(), "the cap is in dollars, whatever is paid in")
	require.EqualValues(t, 1501, b.sim.Truth().SucceededMinor["jpy"])

	charged := b.sim.Truth().Charged[0]
	got = b.post(key.VaultKey, refunds, "refund", "charge="+charged.Charge)
	require.Equal(t, "cap_exhausted", got.code(), "a refund is spending, in the currency of its charge")
	require.Equal(t, yen1501.String(), got.text("price_usd"))
}

func TestCurrency_IsBookedAtTheRateOfItsHoldAfterARestartWithOtherRates(t *testing.T) {
	t.Parallel()
	for name, rates := range map[string]*fx.Table{"dearer": yenAt(t, "0.0090"), "cheaper": yenAt(t, "0.0001"), "none": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{rates: yenAt(t, "0.0067")})
			key := b.issue(2 * yen1501)
			made := b.create(key, "made", inYen(unconfirmed, "1501"))
			b.sim.NextFaults(vendorsim.AnswerLost)
			lost := b.post(key.VaultKey, intents, "lost", inYen(charge, "1501"))
			require.Equal(t, "outcome_unknown", lost.code())

			b.stop()
			b.opt.rates = rates
			b.start()
			b.reconcile()
			b.requireBudget(yen1501, yen1501)
			got := b.post(key.VaultKey, intents+"/"+made+"/confirm", "confirm", "off_session=true")
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireBudget(0, 2*yen1501)
			require.Zero(t, b.report().Budget.OverrunUSD)
		})
	}
}

func TestCurrency_OfATableThatIsTooOldIsRefusedAndWhatIsHeldIsNot(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{rates: yenAt(t, "0.0067")})
	key := b.issue(2*yen1501, longLived)
	made := b.create(key, "made", inYen(unconfirmed, "1501"))
	b.clock.advance(49 * time.Hour)
	got := b.post(key.VaultKey, intents, "new", inYen(charge, "1501"))
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.Equal(t, "currency_unsupported", got.code(), got.raw)
	require.Contains(t, got.text("message"), "--fx-file")
	require.Equal(t, "false", got.header.Get("Stripe-Should-Retry"))
	got = b.post(key.VaultKey, intents, "dollars", charge)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	got = b.post(key.VaultKey, intents+"/"+made+"/confirm", "confirm", "off_session=true")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, yen1501+money.Dollar)
}

func TestCurrency_WithoutATableIsTheDollarAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	got := b.post(key.VaultKey, intents, "item-1", inYen(charge, "100"))
	require.Equal(t, "currency_unsupported", got.code(), got.raw)
	require.Empty(t, b.seen.of(http.MethodPost))
}

// yenAndDinar is a table with Kuwait's dinar, which has three decimals, and the yen.
func yenAndDinar(t *testing.T) *fx.Table {
	t.Helper()
	table, err := fx.Parse([]byte("as_of: " + time.Now().UTC().Format(time.RFC3339) +
		"\nmax_age: 48h\nmargin: \"0.03\"\nrates: {jpy: \"0.0067\", kwd: \"3.25\"}\n"))
	require.NoError(t, err)
	return table
}

func TestCurrency_HoldsSettlesAndReleasesWithoutAndWithThreeDecimals(t *testing.T) {
	t.Parallel()
	for currency, c := range map[string]struct {
		amount string
		price  money.USD
		part   string // of it, captured
		booked money.USD
	}{
		"jpy": {"1501", yen1501, "1000", 6_901_000},
		"kwd": {"5120", 17_139_200, "2000", 6_695_000},
	} {
		t.Run(currency, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{rates: yenAndDinar(t)})
			key := b.issue(10 * c.price)
			in := func(body string) string {
				return strings.NewReplacer("amount=400&", "amount="+c.amount+"&", "amount=100&", "amount="+c.amount+"&", "usd", currency).Replace(body)
			}
			id := b.create(key, "open", in(unconfirmed))
			b.requireBudget(c.price, 0)
			got := b.post(key.VaultKey, intents+"/"+id+"/cancel", "cancel", "")
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireBudget(0, 0)

			id = b.create(key, "authorised", in(unconfirmed)+"&confirm=true&off_session=true&capture_method=manual")
			b.requireBudget(c.price, 0)
			got = b.post(key.VaultKey, intents+"/"+id+"/capture", "capture", "amount_to_capture="+c.part)
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireBudget(0, c.booked)

			got = b.post(key.VaultKey, intents, "declined", strings.Replace(in(charge), "pm_card_visa", "pm_card_chargeDeclined", 1))
			require.Equal(t, http.StatusPaymentRequired, got.status, got.raw)
			b.requireBudget(0, c.booked)

			got = b.post(key.VaultKey, charges, "charge", "amount="+c.amount+"&currency="+currency+"&source=tok_visa")
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireBudget(0, c.booked+c.price)
			got = b.post(key.VaultKey, refunds, "refund", "charge="+got.text("id"))
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireBudget(0, c.booked+2*c.price)
			require.Equal(t, currency, b.sim.Truth().Charged[0].Currency)
		})
	}
}

func TestCurrency_WithThreeDecimalsEndsInZero(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{rates: yenAndDinar(t)})
	key := b.issue(1000 * money.Dollar)
	got := b.post(key.VaultKey, intents, "item-1", strings.NewReplacer("amount=100&", "amount=5121&", "usd", "kwd").Replace(charge))
	require.Equal(t, http.StatusUnprocessableEntity, got.status, got.raw)
	require.Equal(t, "amount_invalid", got.code())
	require.Empty(t, b.seen.of(http.MethodPost))
}
