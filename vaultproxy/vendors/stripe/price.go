package stripe

import (
	"strconv"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// maxAmount is Stripe's largest amount, in the currency's minor unit: eight
// digits (https://docs.stripe.com/api/payment_intents/create#create_payment_intent-amount).
const maxAmount = 99_999_999

// parseAmount reads an amount in a currency's minor unit: digits only, no leading zero.
func parseAmount(name, text string) (int64, error) {
	bad := &vendors.Refusal{
		Code: vendors.AmountInvalid, Param: name,
		Message: name + " must be a whole number of minor units, such as cents, from 1 to 99999999, in plain digits",
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
