package stripe

import (
	"bytes"
	"encoding/json"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// object is what the profile reads of a PaymentIntent, a Charge or a Refund.
// Amounts are in the currency's minor unit.
type object struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"`
	Status           string            `json:"status"`
	Currency         string            `json:"currency"`
	Amount           int64             `json:"amount"`
	AmountReceived   *int64            `json:"amount_received"`
	AmountCapturable int64             `json:"amount_capturable"`
	AmountCaptured   *int64            `json:"amount_captured"`
	AmountRefunded   int64             `json:"amount_refunded"`
	Captured         bool              `json:"captured"`
	CanceledAt       *int64            `json:"canceled_at"`
	LastPaymentError json.RawMessage   `json:"last_payment_error"`
	LatestCharge     json.RawMessage   `json:"latest_charge"`
	FailureCode      string            `json:"failure_code"`
	FailureMessage   string            `json:"failure_message"`
	Metadata         map[string]string `json:"metadata"`
	Customer         reference         `json:"customer"`
	OnBehalfOf       reference         `json:"on_behalf_of"`
	TransferData     *transferData     `json:"transfer_data"`
}

// capturable is what a capture without an amount would take.
func (o object) capturable() int64 {
	if o.Object == "charge" {
		return o.Amount
	}
	if o.AmountCapturable > 0 {
		return o.AmountCapturable
	}
	return o.Amount
}

// refundable is what a refund without an amount would give back. In the version
// that requests are sent with, amount_refunded counts the part of an
// authorisation that was never captured; a charge that was captured under a
// version from 2025-03-31 on does not show it so.
// https://docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow
func (o object) refundable() int64 {
	if o.Object == "charge" {
		if !o.Captured || o.AmountCaptured == nil {
			return 0
		}
		if o.AmountRefunded >= o.Amount-*o.AmountCaptured {
			return o.Amount - o.AmountRefunded
		}
		return *o.AmountCaptured - o.AmountRefunded
	}
	var charge object
	if json.Unmarshal(o.LatestCharge, &charge) == nil && charge.Object == "charge" {
		return charge.refundable()
	}
	return 0
}

func (o object) failed() bool {
	return len(o.LastPaymentError) > 0 && !bytes.Equal(o.LastPaymentError, []byte("null"))
}

// verdict says what the state of an object proves about the call that made or
// moved it. Statuses: https://docs.stripe.com/payments/paymentintents/lifecycle.
func (o object) verdict(p *Profile, s vendors.Sent) vendors.Verdict {
	switch o.Object {
	case "payment_intent":
		return o.intentVerdict(p, s)
	case "charge":
		return o.chargeVerdict(p)
	case "refund":
		return o.refundVerdict(p)
	}
	return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "answer_not_understood"}
}

func (o object) intentVerdict(p *Profile, s vendors.Sent) vendors.Verdict {
	v := vendors.Verdict{Reason: o.Status, Object: o.ID}
	if s.Operation == intentCancel {
		return o.cancelVerdict(v)
	}
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

// cancelVerdict: the cancel itself costs nothing; what it ends is the hold of its object.
func (o object) cancelVerdict(v vendors.Verdict) vendors.Verdict {
	if o.Status != "canceled" {
		return o.notUnderstood()
	}
	v.Outcome, v.Object, v.Frees = ledger.OutcomeSettled, "", o.ID
	return v
}

func (o object) chargeVerdict(p *Profile) vendors.Verdict {
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

func (o object) refundVerdict(p *Profile) vendors.Verdict {
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
