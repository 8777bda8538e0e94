package stripe

// What is only written down. It moves no money, and what moves it later is
// metered then.
//
// https://docs.stripe.com/api/setup_intents, https://docs.stripe.com/api/customers,
// https://docs.stripe.com/api/products, https://docs.stripe.com/api/prices,
// https://docs.stripe.com/api/payment_methods
func recordOperations() []operation {
	const (
		owed   = "it changes what later invoices come to, outside of the proxy"
		retry  = "Stripe retries unpaid subscriptions with it, outside of the proxy"
		person = "description email invoice_prefix name next_invoice_sequence phone tax_exempt"
		ways   = "expand metadata payment_method_data payment_method_options"
	)
	customer := map[string]string{
		"balance": owed, "cash_balance": owed, "coupon": owed, "promotion_code": owed, "default_source": retry, "source": retry,
		"bank_account": retry, "card": retry,
	}
	return []operation{
		{
			name: "setup_intents.create", path: "/v1/setup_intents", object: "setup_intent", list: "/v1/setup_intents", filters: []string{"customer"},
			params: shapes("confirm customer description payment_method payment_method_configuration return_url usage use_stripe_sdk",
				ways+" automatic_payment_methods flow_directions mandate_data payment_method_types"),
			denied: map[string]string{"single_use": "a mandate for one payment names an amount that is taken later"},
		},
		{
			name: "setup_intents.update", path: "/v1/setup_intents/{id}", prefix: "seti_", object: "setup_intent", past: "updated",
			params: shapes("customer description payment_method payment_method_configuration", ways+" flow_directions payment_method_types"),
		},
		{
			name: "setup_intents.confirm", path: "/v1/setup_intents/{id}/confirm", prefix: "seti_", object: "setup_intent", past: "confirmed",
			params: shapes("payment_method return_url use_stripe_sdk", "expand mandate_data payment_method_data payment_method_options"),
		},
		{
			name: "setup_intents.cancel", path: "/v1/setup_intents/{id}/cancel", prefix: "seti_", object: "setup_intent", past: "canceled",
			params: shapes("cancellation_reason", "expand"),
		},
		{
			name: "customers.create", path: "/v1/customers", object: "customer", list: "/v1/customers",
			params: shapes(person+" payment_method", "address expand invoice_settings metadata preferred_locales shipping tax tax_id_data"),
			denied: customer,
		},
		{
			name: "customers.update", path: "/v1/customers/{id}", prefix: "cus_", object: "customer", past: "updated",
			params: shapes(person, "address expand invoice_settings metadata preferred_locales shipping tax"),
			denied: customer,
		},
		{
			name: "products.create", path: "/v1/products", object: "product", list: "/v1/products",
			params: shapes("active description id name shippable statement_descriptor tax_code unit_label url",
				"default_price_data expand images metadata package_dimensions"),
		},
		{
			name: "products.update", path: "/v1/products/{id}", object: "product", past: "updated",
			params: shapes("active default_price description name shippable statement_descriptor tax_code unit_label url",
				"expand images metadata package_dimensions"),
		},
		{
			name: "prices.create", path: "/v1/prices", object: "price", list: "/v1/prices",
			filters: []string{"active", "product"}, // inactive ones are listed only where they are asked for
			params: shapes("active billing_scheme currency lookup_key nickname product tax_behavior tiers_mode transfer_lookup_key unit_amount unit_amount_decimal",
				"currency_options custom_unit_amount expand metadata product_data recurring tiers transform_quantity"),
		},
		{
			name: "prices.update", path: "/v1/prices/{id}", prefix: "price_", object: "price", past: "updated",
			params: shapes("active lookup_key nickname tax_behavior transfer_lookup_key", "expand metadata"),
		},
		{
			name: "payment_methods.attach", path: "/v1/payment_methods/{id}/attach", prefix: "pm_", object: "payment_method", past: "attached",
			params: shapes("customer", "expand"),
		},
		{
			name: "payment_methods.detach", path: "/v1/payment_methods/{id}/detach", prefix: "pm_", object: "payment_method", past: "detached",
			params: shapes("", "expand"),
		},
	}
}
