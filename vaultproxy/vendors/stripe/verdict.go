package stripe

import (
	"encoding/json"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// verdict says what the state of an object proves about the call that made or
// moved it. Statuses: https://docs.stripe.com/payments/paymentintents/lifecycle.
func (o object) verdict(p *Profile, s vendors.Sent) vendors.Verdict {
	for _, k := range kinds {
		if k.object == o.Object {
			return k.verdict(o, p, s)
		}
	}
	return o.notUnderstood()
}

func (o object) intentVerdict(p *Profile, s vendors.Sent) vendors.Verdict {
	v := vendors.Verdict{Reason: o.Status, Object: o.ID}
	switch o.Status {
	case "succeeded":
		if o.AmountReceived == nil {
			return o.notUnderstood()
		}
		return o.settled(p, v, *o.AmountReceived)
	case "canceled":
		v.Outcome, v.Object = ledger.OutcomeReleased, ""
		return v
	case "requires_payment_method":
		if o.failed() && confirms(s) {
			return o.declined(p, s, v)
		}
		return o.committed(p, v)
	case "requires_confirmation", "requires_action", "requires_capture", "processing":
		return o.committed(p, v)
	}
	return o.notUnderstood()
}

func (o object) chargeVerdict(p *Profile, _ vendors.Sent) vendors.Verdict {
	v := vendors.Verdict{Reason: o.Status, Object: o.ID}
	switch {
	case o.Status == "succeeded" && o.Captured:
		taken := o.Amount
		if o.AmountCaptured != nil {
			taken = *o.AmountCaptured
		}
		return o.settled(p, v, taken)
	case o.Status == "succeeded" && o.AmountRefunded >= o.Amount && o.Amount > 0:
		// An authorisation that was voided or has expired shows as refunded in full.
		v.Outcome, v.Object, v.Reason = ledger.OutcomeReleased, "", "voided"
		return v
	case o.Status == "succeeded", o.Status == "pending":
		return o.committed(p, v)
	case o.Status == "failed":
		v.Outcome, v.Object, v.Declined = ledger.OutcomeReleased, "", true
		v.Reason = stripeError{Code: o.FailureCode}.reason("declined")
		return v
	}
	return o.notUnderstood()
}

func (o object) refundVerdict(p *Profile, _ vendors.Sent) vendors.Verdict {
	v := vendors.Verdict{Reason: o.Status, Object: o.ID}
	switch o.Status {
	case "succeeded":
		return o.settled(p, v, o.Amount)
	case "pending", "requires_action":
		return o.committed(p, v)
	case "failed", "canceled":
		v.Outcome, v.Object = ledger.OutcomeReleased, ""
		return v
	}
	return o.notUnderstood()
}

func (o object) settled(p *Profile, v vendors.Verdict, minor int64) vendors.Verdict {
	amount, err := p.price(o.Currency, minor)
	if err != nil {
		return o.notUnderstood()
	}
	v.Outcome, v.Amount = ledger.OutcomeSettled, amount
	return v
}

func (o object) committed(p *Profile, v vendors.Verdict) vendors.Verdict {
	amount, err := p.price(o.Currency, o.Amount)
	if err != nil {
		return o.notUnderstood()
	}
	v.Outcome, v.Amount = ledger.OutcomeCommitted, amount
	return v
}

func (o object) notUnderstood() vendors.Verdict {
	return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "answer_not_understood"}
}

// declined is the verdict on a call whose try to take the payment failed.
func (o object) declined(p *Profile, s vendors.Sent, v vendors.Verdict) vendors.Verdict {
	v.Reason, v.Declined = o.declineCode(), true
	if offSession(s) {
		v.Outcome, v.Object = ledger.OutcomeReleased, ""
		return v
	}
	return o.committed(p, v)
}

func (o object) declineCode() string {
	var e stripeError
	if json.Unmarshal(o.LastPaymentError, &e) == nil {
		return e.reason("declined")
	}
	return "declined"
}
