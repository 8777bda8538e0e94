package stripe

import (
	"strconv"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// https://docs.stripe.com/api/payment_intents
func intentOperations() []operation {
	const confirming = "capture_method error_on_requires_action mandate off_session payment_method receipt_email return_url" +
		" setup_future_usage use_stripe_sdk"
	const texts = " customer description statement_descriptor statement_descriptor_suffix"
	const ways = " expand payment_method_data payment_method_options payment_method_types shipping"
	return []operation{
		{
			name: intentCreate, path: "/v1/payment_intents", price: byAmount, effect: makes, object: "payment_intent",
			list: "/v1/payment_intents", filters: []string{"customer"},
			params: shapes(confirming+texts+" amount currency confirm confirmation_method payment_method_configuration",
				"automatic_payment_methods mandate_data metadata radar_options"+ways),
		},
		{
			name: "payment_intents.update", path: "/v1/payment_intents/{id}", prefix: "pi_", price: byUpdate, effect: moves,
			moneyParams: []string{"amount", "currency"}, object: "payment_intent", past: "updated", unclear: otherAmount,
			params: shapes("amount capture_method currency payment_method payment_method_configuration receipt_email setup_future_usage"+texts,
				"metadata"+ways),
		},
		{
			name: intentConfirm, path: "/v1/payment_intents/{id}/confirm", prefix: "pi_", price: byObject, effect: moves,
			object: "payment_intent", past: "confirmed", untouched: unconfirmed,
			// The failure may be an earlier confirmation's: a resend under the same key will tell.
			unclear: func(o object, _ vendors.Sent) bool { return o.Status == "requires_payment_method" && o.failed() },
			params:  shapes(confirming, "mandate_data radar_options"+ways),
		},
		{
			name: "payment_intents.capture", path: "/v1/payment_intents/{id}/capture", prefix: "pi_", price: byCapture("amount_to_capture"),
			effect: moves, object: "payment_intent", past: "captured",
			untouched: func(o object) bool { return o.Status == "requires_capture" },
			params:    shapes("amount_to_capture final_capture statement_descriptor statement_descriptor_suffix", "expand metadata"),
			// After a lost answer nothing would show whether this capture was made:
			// the payment stays requires_capture either way.
			only: map[string]rule{"final_capture": {value: "true", reason: "a capture that leaves the rest open for further captures is not metered; capture once"}},
		},
		{
			name: "payment_intents.increment_authorization", path: "/v1/payment_intents/{id}/increment_authorization", prefix: "pi_",
			price: byNewAmount, effect: moves, object: "payment_intent", past: "incremented", unclear: otherAmount,
			params: shapes("amount description statement_descriptor", "expand metadata"),
		},
		{
			name: "payment_intents.cancel", path: "/v1/payment_intents/{id}/cancel", prefix: "pi_", effect: ends, end: "canceled",
			object: "payment_intent", past: "canceled", params: shapes("cancellation_reason", "expand"),
		},
	}
}

// https://docs.stripe.com/api/charges and https://docs.stripe.com/api/refunds
func chargeOperations() []operation {
	return []operation{
		{
			name: "charges.create", path: "/v1/charges", price: byAmount, effect: makes, object: "charge", list: "/v1/charges", filters: []string{"customer"},
			params: shapes("amount currency capture customer description receipt_email source statement_descriptor statement_descriptor_suffix",
				"expand metadata radar_options shipping"),
		},
		{
			name: "charges.update", path: "/v1/charges/{id}", prefix: "ch_", object: "charge", past: "updated",
			params: shapes("customer description receipt_email", "expand fraud_details metadata shipping"),
		},
		{
			name: "charges.capture", path: "/v1/charges/{id}/capture", prefix: "ch_", price: byCapture("amount"), effect: moves, object: "charge",
			past: "captured", untouched: func(o object) bool { return !o.Captured && o.AmountRefunded == 0 },
			params: shapes("amount receipt_email statement_descriptor statement_descriptor_suffix", "expand"),
		},
		{
			name: "refunds.create", path: "/v1/refunds", price: byRefund, effect: makes, object: "refund", list: "/v1/refunds",
			filters: []string{"charge", "payment_intent"},
			params:  shapes("amount charge currency payment_intent reason", "expand metadata"),
		},
		{
			name: "refunds.update", path: "/v1/refunds/{id}", prefix: "re_", object: "refund", past: "updated",
			params: shapes("", "expand metadata"),
		},
		{
			name: "refunds.cancel", path: "/v1/refunds/{id}/cancel", prefix: "re_", effect: ends, end: "canceled", object: "refund", past: "canceled",
			params: shapes("", "expand"),
		},
	}
}

// unconfirmed: no confirmation of the payment has begun.
func unconfirmed(o object) bool {
	return o.Status == "requires_confirmation" || (o.Status == "requires_payment_method" && !o.failed())
}

// otherAmount: the payment is still open and does not have the amount that the
// call was to give it. It may have been given another one since.
func otherAmount(o object, s vendors.Sent) bool {
	if o.Status == "succeeded" || o.Status == "canceled" {
		return false
	}
	if code, ok := currencyCode(sentParam(s, "currency")); ok && code != o.Currency {
		return true
	}
	return sentParam(s, "amount") != strconv.FormatInt(o.Amount, 10)
}
