package vendorsim

import "strings"

// methodBehaviour is what happens when a payment method is charged.
type methodBehaviour struct {
	// failure is nil for a method that pays.
	failure *cardFailure
	// authenticate asks the customer for 3-D Secure when present, and fails off session.
	authenticate bool
	// processing leaves the outcome open; fails says which way it then goes.
	processing, fails bool
}

// cardFailure is a decline (docs.stripe.com/declines/codes).
type cardFailure struct{ code, decline, message string }

func declined(decline string) *cardFailure {
	return &cardFailure{"card_declined", decline, "your card was declined"}
}

func authenticationRequired() *cardFailure {
	return &cardFailure{"authentication_required", "authentication_required", "your card was declined: this transaction requires authentication"}
}

// stripeTestMethods are the behaviours of Stripe's test cards (docs.stripe.com/testing), keyed by
// what follows pm_card_ or tok_ in their names.
func stripeTestMethods() map[string]methodBehaviour {
	failing := func(f *cardFailure) methodBehaviour { return methodBehaviour{failure: f} }
	return map[string]methodBehaviour{
		"chargeDeclined":                  failing(declined("generic_decline")),
		"chargeDeclinedInsufficientFunds": failing(declined("insufficient_funds")),
		"chargeDeclinedLostCard":          failing(declined("lost_card")),
		"chargeDeclinedStolenCard":        failing(declined("stolen_card")),
		"chargeDeclinedFraudulent":        failing(declined("fraudulent")),
		"chargeDeclinedExpiredCard":       failing(&cardFailure{"expired_card", "", "your card has expired"}),
		"chargeDeclinedIncorrectCvc":      failing(&cardFailure{"incorrect_cvc", "", "your card's security code is incorrect"}),
		"chargeDeclinedProcessingError":   failing(&cardFailure{"processing_error", "", "an error occurred while processing your card"}),
		"authenticationRequired":          {authenticate: true},
	}
}

// The stand-in's own methods for payments whose outcome is open at first.
const (
	methodProcessing      = "pm_sim_processing"
	methodProcessingFails = "pm_sim_processing_fails"
)

// method finds the behaviour of a payment method (prefix pm_) or a source (tok_, card_, src_).
func (s *stripe) method(id, param string, prefixes ...string) (methodBehaviour, *stripeError) {
	name, known := "", false
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(id, prefix); ok && isWord(rest) {
			name, known = rest, true
		}
	}
	lower := strings.ToLower(name)
	if !known || strings.Contains(lower, "missing") {
		return methodBehaviour{}, noSuch(400, "PaymentMethod", param, id)
	}
	switch id {
	case methodProcessing:
		return methodBehaviour{processing: true}, nil
	case methodProcessingFails:
		return methodBehaviour{processing: true, fails: true}, nil
	}
	card := strings.TrimPrefix(strings.TrimPrefix(name, "card_"), "visa_")
	if behaviour, ok := s.methods[card]; ok {
		return behaviour, nil
	}
	if strings.Contains(lower, "declined") {
		return methodBehaviour{failure: declined("generic_decline")}, nil
	}
	return methodBehaviour{}, nil
}

// methodView is a payment method as embedded in errors.
type methodView struct {
	ID       string            `json:"id"`
	Object   string            `json:"object"`
	Card     map[string]any    `json:"card"`
	Customer *string           `json:"customer"`
	Livemode bool              `json:"livemode"`
	Metadata map[string]string `json:"metadata"`
	Type     string            `json:"type"`
}

func viewMethod(id string) *methodView {
	return &methodView{
		ID: id, Object: "payment_method", Type: "card", Metadata: map[string]string{},
		Card: map[string]any{"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034, "funding": "credit"},
	}
}
