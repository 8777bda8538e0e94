package stripe

import (
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// kind is a sort of object that carries an amount.
type kind struct {
	object   string // as it calls itself
	prefixes []string
	path     string // where one is read; empty if one is not read by its ID alone
	verdict  func(object, *Profile, vendors.Sent) vendors.Verdict
}

var kinds = []kind{
	{"payment_intent", []string{"pi_"}, "/v1/payment_intents/", object.intentVerdict},
	{"charge", []string{"ch_", "py_"}, "/v1/charges/", object.chargeVerdict},
	{"refund", []string{"re_", "pyr_"}, "/v1/refunds/", object.refundVerdict},
	{"payout", []string{"po_"}, "/v1/payouts/", object.payoutVerdict},
	{"transfer", []string{"tr_"}, "/v1/transfers/", object.transferVerdict},
	{"transfer_reversal", []string{"trr_"}, "", object.transferVerdict},
	{"topup", []string{"tu_"}, "/v1/topups/", object.topupVerdict},
	{"invoice", []string{"in_"}, "/v1/invoices/", object.invoiceVerdict},
}

// kindOf tells what an ID names, if it can be read by it.
func kindOf(id string) (kind, bool) {
	for _, k := range kinds {
		if k.path != "" && isID(id, k.prefixes...) {
			return k, true
		}
	}
	return kind{}, false
}
