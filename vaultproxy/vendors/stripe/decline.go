package stripe

import (
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// A declined PaymentIntent stays payable until it is cancelled: whoever has its
// client secret may confirm it with another card, past the proxy. So a decline
// gives the hold back only where nobody is there to do so: a charge, and a
// creation that confirms off session. Everywhere else the hold stays until the
// object has succeeded or was cancelled.
// https://docs.stripe.com/payments/paymentintents/lifecycle

// declined is what a 402 proves about the send that it answers.
func declined(s vendors.Sent, e stripeError) vendors.Verdict {
	op, _ := named(s.Operation)
	v := vendors.Verdict{Outcome: ledger.OutcomeReleased, Reason: e.reason("declined"), Declined: true}
	switch effect := op.effectOf(s); {
	case effect == moves:
		v.Outcome, v.Object = ledger.OutcomeCommitted, s.Target
	case effect == ends || effect == adds:
		// Nothing of the kind has a card to be declined.
		v.Outcome, v.Declined = ledger.OutcomeUnknown, false
	case s.Operation != intentCreate || offSession(s):
	case e.made() != "":
		v.Outcome, v.Object = ledger.OutcomeCommitted, e.made()
	default:
		// There may be an object, and it is not told which. Asking again would be told the same.
		v.Outcome, v.Declined, v.StoredFailure = ledger.OutcomeUnknown, false, true
	}
	return v
}

// confirms reports whether a call tries to take the payment: only then is a
// failed try its own.
func confirms(s vendors.Sent) bool {
	return s.Operation == intentConfirm || (s.Operation == intentCreate && sentParam(s, "confirm") == "true")
}

// offSession reports whether a call made a payment while the customer was not
// there. https://docs.stripe.com/api/payment_intents/create#create_payment_intent-off_session
func offSession(s vendors.Sent) bool {
	if s.Operation != intentCreate || sentParam(s, "confirm") != "true" {
		return false
	}
	switch sentParam(s, "off_session") {
	case "true", "one_off", "recurring":
		return true
	}
	return false
}

// sentParam reads a parameter of what was sent; empty if it was not given, or is
// no longer known.
func sentParam(s vendors.Sent, name string) string {
	sent, err := vendors.ParseForm(string(s.Wire.Body))
	if err != nil {
		return ""
	}
	value, _ := sent.Get(name)
	return value
}
