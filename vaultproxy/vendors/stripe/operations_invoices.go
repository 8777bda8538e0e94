package stripe

import "github.com/tollgate/tollgate/vaultproxy/vendors"

const (
	collects = "Stripe would finalise and collect the invoice by itself, later and outside of the proxy"
	moving   = "it would change the amount after it was metered"
)

// https://docs.stripe.com/api/invoices and https://docs.stripe.com/api/invoiceitems
//
// A draft asks nothing of anybody. What is added to it is held on the invoice,
// finalising and paying it take that over, metered by what the invoice comes to
// then; paid, it is settled, void, it is free. An open invoice can be paid by its
// customer at any time. https://docs.stripe.com/invoicing/overview#invoice-statuses
func invoiceOperations() []operation {
	manual := rule{value: "false", pinned: true, reason: collects}
	return []operation{
		{
			name: "invoices.create", path: "/v1/invoices", object: "invoice", list: "/v1/invoices", filters: []string{"customer"},
			params: shapes("auto_advance collection_method currency customer days_until_due default_payment_method description due_date"+
				" footer pending_invoice_items_behavior statement_descriptor", "custom_fields expand metadata"),
			only: map[string]rule{
				"auto_advance":                   manual,
				"pending_invoice_items_behavior": {value: "exclude", pinned: true, reason: "what is pending for the customer was not metered for this invoice"},
			},
			denied: map[string]string{
				"automatic_tax": moving, "default_tax_rates": moving, "discounts": moving, "shipping_cost": moving,
				"subscription": "a subscription charges later, outside of the proxy", "from_invoice": moving,
			},
		},
		{
			name: "invoices.finalize", path: "/v1/invoices/{id}/finalize", prefix: "in_", price: byInvoice("draft"), effect: moves,
			object: "invoice", past: "finalized", untouched: func(o object) bool { return o.Status == "draft" },
			params: shapes("auto_advance", "expand"), only: map[string]rule{"auto_advance": manual},
		},
		{
			name: "invoices.pay", path: "/v1/invoices/{id}/pay", prefix: "in_", price: byInvoice("open"), effect: moves,
			object: "invoice", past: "paid", untouched: func(o object) bool { return o.Status == "open" && !o.Attempted },
			unclear: func(o object, _ vendors.Sent) bool { return o.Status == "open" },
			params:  shapes("mandate off_session payment_method source", "expand"),
		},
		{
			name: "invoices.void", path: "/v1/invoices/{id}/void", prefix: "in_", effect: ends, end: "void", object: "invoice", past: "voided",
			params: shapes("", "expand"),
		},
		{
			name: "invoiceitems.create", path: "/v1/invoiceitems", price: byItem, effect: adds, object: "invoiceitem",
			list: "/v1/invoiceitems", filters: []string{"invoice", "customer"},
			params: shapes("amount currency customer description discountable invoice price quantity tax_behavior unit_amount", "expand metadata period"),
			denied: map[string]string{
				"discounts": moving, "price_data": "its amount may be given in fractions; give amount, or unit_amount and quantity",
				"subscription": "a subscription charges later, outside of the proxy", "tax_rates": moving,
				"unit_amount_decimal": "its amount may be given in fractions; give amount, or unit_amount and quantity",
			},
		},
	}
}
