package stripe

import (
	"strconv"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// maxAmount is Stripe's largest amount, in the currency's minor unit: eight
// digits (https://docs.stripe.com/api/payment_intents/create#create_payment_intent-amount).
const maxAmount = 99_999_999

// price is what an amount in a currency's minor unit comes to, in micro-USD. It
// is the one place where an amount of Stripe's becomes money. *vendors.Refusal:
// currency_unsupported, amount_invalid.
func (*Profile) price(currency string, minor int64) (money.USD, error) {
	if err := checkCurrency(currency); err != nil {
		return 0, err
	}
	if minor < 0 {
		return 0, refuse(vendors.AmountInvalid, "Stripe reports a negative amount for this object")
	}
	return money.Cents(minor)
}

func checkCurrency(currency string) error {
	// No Unicode folding: it takes a long s for an s, and Stripe does not.
	if currency == "usd" || currency == "USD" {
		return nil
	}
	return &vendors.Refusal{
		Code: vendors.CurrencyUnsupported, Param: "currency",
		Message: "only usd is metered: Tollgate has no exchange rate for another currency",
	}
}

// parseAmount reads an amount in a currency's minor unit: digits only, no leading zero.
func parseAmount(name, text string) (int64, error) {
	bad := &vendors.Refusal{
		Code: vendors.AmountInvalid, Param: name,
		Message: name + " must be a whole number of cents from 1 to 99999999, in plain digits",
	}
	if text == "" || len(text) > 8 || text[0] == '0' {
		return 0, bad
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, bad
		}
	}
	minor, err := strconv.ParseInt(text, 10, 64)
	if err != nil || minor > maxAmount {
		return 0, bad
	}
	return minor, nil
}
