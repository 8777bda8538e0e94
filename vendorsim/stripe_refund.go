package vendorsim

import (
	"net/http"
	"strings"
)

// refund is a Refund. It succeeds at once, but for one of a charge whose method's name says
// otherwise: "slowrefund" leaves it pending for a while, "failingrefund" as well, and then it
// fails, and "actionrefund" leaves it waiting for the customer.
type refund struct {
	identity
	amount                           int64
	currency, charge, intent, reason string
	metadata                         map[string]string
	status                           string
}

func (r *refund) field(name string) string {
	switch name {
	case "charge":
		return r.charge
	case "payment_intent":
		return r.intent
	}
	return ""
}

// refundView is a Refund as Stripe shows it.
type refundView struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	BalanceTransaction *string           `json:"balance_transaction"`
	Charge             string            `json:"charge"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	Metadata           map[string]string `json:"metadata"`
	PaymentIntent      *string           `json:"payment_intent"`
	Reason             *string           `json:"reason"`
	ReceiptNumber      *string           `json:"receipt_number"`
	Status             string            `json:"status"`
}

func (r *refund) view() *refundView {
	return &refundView{
		ID: r.id, Object: "refund", Amount: r.amount, Charge: r.charge, Created: r.created,
		Currency: r.currency, Metadata: r.metadata, PaymentIntent: orNull(r.intent),
		Reason: orNull(r.reason), Status: r.status,
	}
}

// createRefund prepares POST /v1/refunds.
func (s *stripe) createRefund(c *call) (plan, *stripeError) {
	r := &refund{}
	amount, sent, e := c.params.whole("amount")
	if e != nil {
		return nil, e
	}
	if sent && amount < 1 {
		return nil, invalid("parameter_invalid_integer", "amount", "amount must be positive")
	}
	if r.reason, e = c.params.oneOf("reason", "", "duplicate", "fraudulent", "requested_by_customer"); e != nil {
		return nil, e
	}
	if r.metadata, e = c.params.metadata(); e != nil {
		return nil, e
	}
	if _, e = c.params.expands(""); e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	ch, e := s.refundee(c.params)
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		left := ch.amountCaptured - ch.amountRefunded
		if !sent {
			amount = left
		}
		switch {
		case !ch.captured:
			return invalid("charge_not_refundable", "", "this charge took no money; cancel it instead").outcome()
		case left == 0:
			return invalid("charge_already_refunded", "", "this charge has been refunded in full").outcome()
		case amount > left:
			return invalid("", "amount", "at most %d of this charge is left to refund", left).outcome()
		}
		r.id, r.created, r.amount = s.ids.id("re_"), c.now.Unix(), amount
		r.charge, r.intent, r.currency = ch.id, ch.intent, ch.currency
		s.store.refunds.add(r, "charge="+r.charge, "payment_intent="+r.intent)
		ch.amountRefunded += amount
		ch.refunded = ch.amountRefunded == ch.amountCaptured
		s.sim.journal.append(event{kind: eventRefunded, charge: ch.id, amount: amount})
		s.begin(c, r, ch)
		return outcome{status: http.StatusOK, view: r.view()}
	}, nil
}

// refundee finds the charge to refund, by its id or its PaymentIntent's. Needs the store's lock.
func (s *stripe) refundee(p params) (*charge, *stripeError) {
	chargeID, e := p.text("charge")
	if e != nil {
		return nil, e
	}
	intentID, e := p.text("payment_intent")
	if e != nil {
		return nil, e
	}
	switch {
	case chargeID == "" && intentID == "":
		return nil, invalid("parameter_missing", "charge", "one of charge and payment_intent is required")
	case chargeID != "" && intentID != "":
		return nil, invalid("parameters_exclusive", "payment_intent", "only one of charge and payment_intent may be given")
	case intentID != "":
		in, ok := s.store.intents.byID[intentID]
		if !ok {
			return nil, noSuch(http.StatusBadRequest, "payment_intent", "payment_intent", intentID)
		}
		if in.latestCharge == "" {
			return nil, invalid("payment_intent_unexpected_state", "payment_intent", "this PaymentIntent has no charge to refund")
		}
		chargeID = in.latestCharge
	}
	ch, ok := s.store.charges.byID[chargeID]
	if !ok {
		return nil, noSuch(http.StatusBadRequest, "charge", "charge", chargeID)
	}
	return ch, nil
}

// getRefund prepares GET /v1/refunds/{id}.
func (s *stripe) getRefund(c *call) (plan, *stripeError) {
	if _, e := c.params.expands(""); e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, ok := s.store.refunds.byID[c.id]
	if !ok {
		return nil, noSuch(http.StatusNotFound, "refund", "refund", c.id)
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		s.see(r.id)
		return outcome{status: http.StatusOK, view: r.view()}
	}, nil
}

// begin sets a new refund going. Needs the store's lock.
func (s *stripe) begin(c *call, r *refund, ch *charge) {
	r.status = "succeeded"
	switch {
	case strings.Contains(ch.method, "slowrefund"):
		r.status = "pending"
		s.await(c, r.id, func() { r.status = "succeeded" })
	case strings.Contains(ch.method, "failingrefund"):
		r.status = "pending"
		s.await(c, r.id, func() { s.undo(r, "failed") })
	case strings.Contains(ch.method, "actionrefund"):
		r.status = "requires_action"
	}
}

// undo ends a refund that gave nothing back. Needs the store's lock.
func (s *stripe) undo(r *refund, status string) {
	ch := s.store.charges.byID[r.charge]
	r.status = status
	ch.amountRefunded -= r.amount
	ch.refunded = false
	s.sim.journal.append(event{kind: eventRefunded, charge: ch.id, amount: -r.amount})
}

// updateRefund prepares POST /v1/refunds/{id}.
func (s *stripe) updateRefund(c *call) (plan, *stripeError) {
	return s.withRefund(c, func(r *refund, added map[string]string) *stripeError {
		r.metadata = mergeMetadata(r.metadata, added)
		return nil
	})
}

// cancelRefund prepares POST /v1/refunds/{id}/cancel (docs.stripe.com/api/refunds/cancel).
func (s *stripe) cancelRefund(c *call) (plan, *stripeError) {
	return s.withRefund(c, func(r *refund, _ map[string]string) *stripeError {
		if r.status != "requires_action" {
			return invalid("", "", "only a refund that waits for its customer can be canceled")
		}
		s.undo(r, "canceled")
		return nil
	})
}

func (s *stripe) withRefund(c *call, change func(*refund, map[string]string) *stripeError) (plan, *stripeError) {
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, ok := s.store.refunds.byID[c.id]
	if !ok {
		return nil, noSuch(http.StatusNotFound, "refund", "refund", c.id)
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		if e := change(r, metadata); e != nil {
			return e.outcome()
		}
		return outcome{status: http.StatusOK, view: r.view()}
	}, nil
}
