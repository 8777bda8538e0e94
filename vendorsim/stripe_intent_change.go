package vendorsim

import (
	"net/http"
	"strings"
)

// updateIntent prepares POST /v1/payment_intents/{id}. Amount, currency and method change only
// before the payment is made (docs.stripe.com/api/payment_intents/update).
func (s *stripe) updateIntent(c *call) (plan, *stripeError) {
	amount, sent, e := c.params.whole("amount")
	if e != nil {
		return nil, e
	}
	currency, e := c.params.text("currency")
	if e != nil {
		return nil, e
	}
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	texts, e := readTexts(c.params)
	if e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	in, e := s.findIntent(c)
	if e != nil {
		return nil, e
	}
	a, e := s.readAttempt(c.params, in)
	if e != nil {
		return nil, e
	}
	currency = strings.ToLower(currency)
	if currency == "" {
		currency = in.currency
	}
	smallest, known := s.currencies[currency]
	switch {
	case !known:
		return nil, invalid("", "currency", "invalid or unsupported currency")
	case sent && (amount < smallest || amount > maxAmount):
		return nil, invalid("amount_too_small", "amount", "amount must be from %d to %d in the minor unit of %s", smallest, maxAmount, currency)
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		if !in.confirmable() && (sent || currency != in.currency || a.method != "") {
			return unexpectedState(in, "updated in this way")
		}
		if sent {
			in.amount = amount
		}
		in.currency, in.metadata = currency, mergeMetadata(in.metadata, metadata)
		if a.method != "" {
			in.paymentMethod, in.status = a.method, requiresConfirmation
		}
		if texts.description != "" {
			in.texts.description = texts.description
		}
		return outcome{status: http.StatusOK, view: s.shownIntent(in, false)}
	}, nil
}

// incrementIntent prepares POST /v1/payment_intents/{id}/increment_authorization. A card whose
// name contains "noincrement" declines it (docs.stripe.com/payments/incremental-authorization).
func (s *stripe) incrementIntent(c *call) (plan, *stripeError) {
	amount, sent, e := c.params.whole("amount")
	if e != nil {
		return nil, e
	}
	if !sent {
		return nil, missingParam("amount")
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	in, e := s.findIntent(c)
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		switch {
		case in.status != requiresCapture:
			return unexpectedState(in, "incremented")
		case amount <= in.amount:
			return invalid("", "amount", "amount must be more than the %d that is authorized", in.amount).outcome()
		case strings.Contains(in.paymentMethod, "noincrement"):
			s.sim.journal.declined.Add(1)
			return (&stripeError{status: http.StatusPaymentRequired, details: errorView{
				Type: "card_error", Code: "card_declined", DeclineCode: "insufficient_funds", Message: "your card was declined", PaymentIntent: in.view(),
			}}).outcome()
		}
		ch := s.store.charges.byID[in.latestCharge]
		in.amount, in.capturable, ch.amount = amount, amount, amount
		s.sim.journal.append(event{kind: eventRaised, charge: ch.id, amount: amount})
		return outcome{status: http.StatusOK, view: s.shownIntent(in, false)}
	}, nil
}
