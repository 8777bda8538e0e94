package stripe

import (
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// payoutVerdict: a payout that was paid may fail later still, and its money come
// back. As a refund, that gives no budget back.
// https://docs.stripe.com/api/payouts/object#payout_object-status
func (o object) payoutVerdict(p *Profile, _ vendors.Sent) vendors.Verdict {
	v := vendors.Verdict{Reason: o.Status, Object: o.ID}
	switch o.Status {
	case "paid":
		return o.settled(p, v, o.Amount)
	case "pending", "in_transit":
		return o.committed(p, v)
	case "failed", "canceled":
		v.Outcome, v.Object = ledger.OutcomeReleased, ""
		return v
	}
	return o.notUnderstood()
}

// transferVerdict: a transfer, and one that is taken back, is made as soon as it
// is there. It has no status, and what is taken back of it gives no budget back.
func (o object) transferVerdict(p *Profile, _ vendors.Sent) vendors.Verdict {
	return o.settled(p, vendors.Verdict{Reason: "succeeded", Object: o.ID}, o.Amount)
}

// topupVerdict: https://docs.stripe.com/api/topups/object#topup_object-status
func (o object) topupVerdict(p *Profile, _ vendors.Sent) vendors.Verdict {
	v := vendors.Verdict{Reason: o.Status, Object: o.ID}
	switch o.Status {
	case "succeeded", "reversed": // reversed: it had succeeded
		return o.settled(p, v, o.Amount)
	case "pending":
		return o.committed(p, v)
	case "failed", "canceled":
		v.Outcome, v.Object = ledger.OutcomeReleased, ""
		return v
	}
	return o.notUnderstood()
}

// invoiceVerdict: an invoice that is open, or given up as uncollectible, can
// still be paid. https://docs.stripe.com/invoicing/overview#invoice-statuses
func (o object) invoiceVerdict(p *Profile, _ vendors.Sent) vendors.Verdict {
	v := vendors.Verdict{Reason: o.Status, Object: o.ID}
	switch o.Status {
	case "paid":
		if o.AmountPaid == nil {
			return o.notUnderstood()
		}
		return o.settled(p, v, *o.AmountPaid)
	case "draft", "open", "uncollectible":
		o.Amount = o.due()
		return o.committed(p, v)
	case "void":
		v.Outcome, v.Object = ledger.OutcomeReleased, ""
		return v
	}
	return o.notUnderstood()
}
