package vendorsim

import "maps"

// stripeOperations are the endpoints that are modelled. Parameters are those of Stripe's API
// reference for the version modelled; see paramKind for what becomes of each.
func stripeOperations() map[string]operation {
	all := paymentOperations()
	for _, more := range []map[string]operation{balanceOperations(), invoiceOperations(), catalogOperations()} {
		maps.Copy(all, more)
	}
	return all
}

func paymentOperations() map[string]operation {
	return map[string]operation{
		"POST /v1/payment_intents": {money: true, prepare: (*stripe).createIntent, params: paramSpec{
			"amount": scalar, "currency": scalar, "customer": scalar, "payment_method": scalar,
			"payment_method_types": list, "automatic_payment_methods": hash, "confirm": scalar,
			"off_session": scalar, "return_url": scalar, "capture_method": scalar,
			"confirmation_method": scalar, "setup_future_usage": scalar, "metadata": hash,
			"description": scalar, "receipt_email": scalar, "statement_descriptor": scalar,
			"statement_descriptor_suffix": scalar, "transfer_group": scalar, "expand": list,
			"use_stripe_sdk": ignored, "radar_options": ignored, "shipping": ignored,
			"application_fee_amount": unmodelled, "error_on_requires_action": unmodelled,
			"mandate": unmodelled, "mandate_data": unmodelled, "on_behalf_of": unmodelled,
			"payment_method_configuration": unmodelled, "payment_method_data": unmodelled,
			"payment_method_options": unmodelled, "transfer_data": unmodelled,
		}},
		"POST /v1/payment_intents/{id}": {money: true, prepare: (*stripe).updateIntent, params: paramSpec{
			"amount": scalar, "currency": scalar, "payment_method": scalar, "metadata": hash, "description": scalar, "expand": list,
			"receipt_email": scalar, "statement_descriptor": scalar, "statement_descriptor_suffix": scalar, "transfer_group": scalar,
			"shipping": ignored, "customer": unmodelled, "payment_method_types": unmodelled, "capture_method": unmodelled,
			"setup_future_usage": unmodelled, "application_fee_amount": unmodelled, "transfer_data": unmodelled,
			"payment_method_data": unmodelled, "payment_method_options": unmodelled,
		}},
		"POST /v1/payment_intents/{id}/increment_authorization": {money: true, prepare: (*stripe).incrementIntent, params: paramSpec{
			"amount": scalar, "description": ignored, "metadata": ignored, "statement_descriptor": ignored, "expand": list,
			"application_fee_amount": unmodelled, "transfer_data": unmodelled,
		}},
		"POST /v1/payment_intents/{id}/confirm": {money: true, prepare: (*stripe).confirmIntent, params: paramSpec{
			"payment_method": scalar, "payment_method_types": list, "off_session": scalar,
			"return_url": scalar, "capture_method": scalar, "setup_future_usage": scalar,
			"receipt_email": scalar, "expand": list,
			"use_stripe_sdk": ignored, "radar_options": ignored, "shipping": ignored, "client_secret": ignored,
			"error_on_requires_action": unmodelled, "mandate": unmodelled, "mandate_data": unmodelled,
			"payment_method_data": unmodelled, "payment_method_options": unmodelled,
		}},
		"POST /v1/payment_intents/{id}/capture": {money: true, prepare: (*stripe).captureIntent, params: paramSpec{
			"amount_to_capture": scalar, "metadata": hash, "expand": list,
			"statement_descriptor": scalar, "statement_descriptor_suffix": scalar,
			"application_fee_amount": unmodelled, "final_capture": unmodelled, "transfer_data": unmodelled,
		}},
		"POST /v1/payment_intents/{id}/cancel": {prepare: (*stripe).cancelIntent, params: paramSpec{
			"cancellation_reason": scalar, "expand": list,
		}},
		"GET /v1/payment_intents/{id}": {prepare: (*stripe).getIntent, params: paramSpec{
			"expand": list, "client_secret": ignored,
		}},
		"GET /v1/payment_intents": listOperation(
			func(st *stripeStore) *table[*intent] { return &st.intents }, []string{"customer"},
			"data.latest_charge", (*intent).field, showIntent),

		"POST /v1/charges": {money: true, prepare: (*stripe).createCharge, params: paramSpec{
			"amount": scalar, "currency": scalar, "customer": scalar, "source": scalar, "capture": scalar,
			"metadata": hash, "description": scalar, "receipt_email": scalar, "expand": list,
			"statement_descriptor": scalar, "statement_descriptor_suffix": scalar, "transfer_group": scalar,
			"radar_options": ignored, "shipping": ignored,
			"application_fee": unmodelled, "application_fee_amount": unmodelled, "card": unmodelled,
			"destination": unmodelled, "on_behalf_of": unmodelled, "transfer_data": unmodelled,
		}},
		"POST /v1/charges/{id}": {prepare: (*stripe).updateCharge, params: paramSpec{
			"description": scalar, "metadata": hash, "receipt_email": ignored, "fraud_details": ignored, "shipping": ignored, "expand": list,
			"customer": unmodelled, "transfer_group": unmodelled,
		}},
		"POST /v1/charges/{id}/capture": {money: true, prepare: (*stripe).captureCharge, params: paramSpec{
			"amount": scalar, "receipt_email": scalar, "expand": list, "statement_descriptor": scalar,
			"statement_descriptor_suffix": scalar, "transfer_group": scalar,
			"application_fee": unmodelled, "application_fee_amount": unmodelled, "transfer_data": unmodelled,
		}},
		"GET /v1/charges/{id}": {prepare: (*stripe).getCharge, params: paramSpec{"expand": list}},
		"GET /v1/charges": listOperation(
			func(st *stripeStore) *table[*charge] { return &st.charges }, []string{"customer", "payment_intent"},
			"", (*charge).field, func(_ *stripe, _ *call, o *charge, _ bool) any { return o.view() }),

		"POST /v1/refunds": {money: true, prepare: (*stripe).createRefund, params: paramSpec{
			"charge": scalar, "payment_intent": scalar, "amount": scalar, "reason": scalar,
			"metadata": hash, "expand": list, "instructions_email": ignored,
			"currency": unmodelled, "customer": unmodelled, "origin": unmodelled,
			"refund_application_fee": unmodelled, "reverse_transfer": unmodelled,
		}},
		"POST /v1/refunds/{id}":        {prepare: (*stripe).updateRefund, params: paramSpec{"metadata": hash, "expand": list}},
		"POST /v1/refunds/{id}/cancel": {prepare: (*stripe).cancelRefund, params: paramSpec{"expand": list}},
		"GET /v1/refunds/{id}":         {prepare: (*stripe).getRefund, params: paramSpec{"expand": list}},
		"GET /v1/refunds": listOperation(
			func(st *stripeStore) *table[*refund] { return &st.refunds }, []string{"charge", "payment_intent"},
			"", (*refund).field, func(s *stripe, _ *call, o *refund, _ bool) any {
				s.see(o.id)
				return o.view()
			}),

		"POST /v1/customers": {prepare: (*stripe).createCustomer, params: paramSpec{
			"name": scalar, "email": scalar, "phone": scalar, "description": scalar,
			"metadata": hash, "expand": list, "address": ignored, "shipping": ignored,
			"preferred_locales": ignored, "tax_exempt": ignored, "payment_method": ignored,
			"invoice_settings": ignored, "invoice_prefix": ignored, "next_invoice_sequence": ignored,
			"balance": unmodelled, "cash_balance": unmodelled, "coupon": unmodelled,
			"promotion_code": unmodelled, "source": unmodelled, "tax": unmodelled,
			"tax_id_data": unmodelled, "test_clock": unmodelled,
		}},
		"POST /v1/customers/{id}": {prepare: (*stripe).updateCustomer, params: paramSpec{
			"name": scalar, "email": scalar, "phone": scalar, "description": scalar, "metadata": hash, "expand": list,
			"address": ignored, "shipping": ignored, "invoice_settings": ignored, "preferred_locales": ignored, "tax_exempt": ignored,
			"balance": unmodelled, "source": unmodelled, "default_source": unmodelled,
		}},
		"GET /v1/customers/{id}": {prepare: (*stripe).getCustomer, params: paramSpec{"expand": list}},
		"GET /v1/customers": listOperation(
			func(st *stripeStore) *table[*customer] { return &st.customers }, []string{"email"},
			"", (*customer).field, func(_ *stripe, _ *call, o *customer, _ bool) any { return o.view() }),
	}
}
