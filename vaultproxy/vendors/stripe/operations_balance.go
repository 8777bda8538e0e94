package stripe

// https://docs.stripe.com/api/payouts, https://docs.stripe.com/api/transfers,
// https://docs.stripe.com/api/transfer_reversals, https://docs.stripe.com/api/topups
func balanceOperations() []operation {
	return []operation{
		{
			// The destination is a bank account or card of the account's own.
			name: "payouts.create", path: "/v1/payouts", price: byAmount, effect: makes, object: "payout", list: "/v1/payouts",
			params: shapes("amount currency description destination method source_type statement_descriptor", "expand metadata"),
			only:   map[string]rule{"method": {value: "standard", reason: "Stripe takes a fee for an instant payout on top of its amount, and does not tell it beforehand"}},
		},
		{
			name: "payouts.update", path: "/v1/payouts/{id}", prefix: "po_", object: "payout", past: "updated",
			params: shapes("", "expand metadata"),
		},
		{
			name: "payouts.cancel", path: "/v1/payouts/{id}/cancel", prefix: "po_", effect: ends, end: "canceled", object: "payout", past: "canceled",
			params: shapes("", "expand"),
		},
		{
			name: "transfers.create", path: "/v1/transfers", price: byAmount, effect: makes, object: "transfer", list: "/v1/transfers",
			params: shapes("amount currency description destination source_transaction source_type transfer_group", "expand metadata"),
		},
		{
			name: "transfers.update", path: "/v1/transfers/{id}", prefix: "tr_", object: "transfer", past: "updated",
			params: shapes("description", "expand metadata"),
		},
		{
			name: "transfers.reverse", path: "/v1/transfers/{id}/reversals", prefix: "tr_", price: byReversal, effect: makes,
			object: "transfer_reversal", list: "/v1/transfers/{id}/reversals", undated: true,
			params: shapes("amount description", "expand metadata"),
		},
		{
			name: "topups.create", path: "/v1/topups", price: byAmount, effect: makes, object: "topup", list: "/v1/topups",
			params: shapes("amount currency description source statement_descriptor", "expand metadata"),
		},
		{
			name: "topups.update", path: "/v1/topups/{id}", prefix: "tu_", object: "topup", past: "updated",
			params: shapes("description", "expand metadata"),
		},
		{
			name: "topups.cancel", path: "/v1/topups/{id}/cancel", prefix: "tu_", effect: ends, end: "canceled", object: "topup", past: "canceled",
			params: shapes("", "expand"),
		},
	}
}
