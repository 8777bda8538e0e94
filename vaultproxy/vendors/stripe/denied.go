package stripe

import (
	"net/http"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// deniedOperation is a part of Stripe's API whose writes are refused, since what
// they cost cannot be bounded before they are made.
type deniedOperation struct {
	path   string // what begins with its segments is meant
	reason string
}

// denied gives the reasons. What is in neither table is refused as well.
func denied() []deniedOperation {
	const (
		later   = "it charges later, outside of the proxy"
		visitor = "whoever opens its page decides what is paid, and when, outside of the proxy"
	)
	return []deniedOperation{
		{"/v1/subscriptions", "a subscription charges by itself each period; " + later},
		{"/v1/subscription_items", "it changes what a subscription charges; " + later},
		{"/v1/subscription_schedules", "it starts and changes subscriptions by itself; " + later},
		{"/v1/checkout/sessions", visitor},
		{"/v1/payment_links", "anybody may pay by a link, any number of times, outside of the proxy"},
		{"/v1/quotes", "an accepted quote becomes an invoice or a subscription; " + later},
		{"/v1/invoices/{id}/send", "it may finalise a draft on its way: finalise the invoice, which is metered, and let its customer have the link"},
		{"/v1/invoices/{id}/mark_uncollectible", "the invoice can still be paid, so that this would free nothing; void it instead"},
		{"/v1/invoices/{id}", "an update may hand the invoice over to automatic collection; void it and make another"},
		{"/v1/invoiceitems/{id}", "it changes an amount that is held on the invoice; add another item, or void the invoice"},
		{"/v1/credit_notes", "it may refund a payment and credit a customer in one; refund the payment instead"},
		{"/v1/payouts/{id}/reverse", "it takes money back from a bank account, and nothing tells beforehand whether it can"},
		{"/v1/payment_intents/{id}/apply_customer_balance", "how much of a customer's balance is taken is not told beforehand"},
		{"/v1/payment_intents/{id}/verify_microdeposits", "it confirms a payment that another call promised; use a payment method that is verified"},
		{"/v1/charges/{id}/refund", "refunds are made at /v1/refunds"},
		{"/v1/charges/{id}/refunds", "refunds are made at /v1/refunds"},
		{"/v1/customers/{id}/balance_transactions", "a customer's balance is charged with the next invoice; " + later},
		{"/v1/customers/{id}/subscriptions", "a subscription charges by itself each period; " + later},
		{"/v1/customers/{id}/sources", "Stripe retries unpaid subscriptions with it, outside of the proxy"},
		{"/v1/disputes", "what a dispute costs is decided by a bank, not by the call"},
		{"/v1/application_fees", "it moves money of another account"},
		{"/v1/accounts", "accounts and where their money goes are not an agent's to change"},
		{"/v1/external_accounts", "accounts and where their money goes are not an agent's to change"},
		{"/v1/account_links", "accounts and where their money goes are not an agent's to change"},
		{"/v1/issuing", "a card spends later, outside of the proxy"},
		{"/v1/treasury", "money that leaves by Treasury is not metered"},
		{"/v1/webhook_endpoints", "what is sent to another address is not an agent's to change"},
	}
}

// whyDenied says why a write is refused.
func whyDenied(r vendors.Request) string {
	const refused = "Tollgate does not meter this Stripe operation, so it is not passed on"
	if r.Method == http.MethodDelete {
		return refused + ": nothing is deleted through it"
	}
	segments := strings.Split(r.Path, "/")
	for _, d := range denied() {
		// A template that stands in another one is listed after it.
		above := segments[:min(len(segments), strings.Count(d.path, "/")+1)]
		if _, ok := matches(d.path, "", strings.Join(above, "/")); ok {
			return refused + ": " + d.reason
		}
	}
	return refused + "; docs/stripe.md lists those that it does"
}
