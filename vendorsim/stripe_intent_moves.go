package vendorsim

import (
	"net/http"
	"slices"
	"time"
)

// attempt charges a PaymentIntent's payment method. Needs the store's lock.
func (s *stripe) attempt(c *call, in *intent, a attempt, expand bool) outcome {
	in.paymentMethod, in.lastError, in.nextAction = a.method, nil, nil
	if a.behaviour.authenticate && !a.offSession {
		in.status = requiresAction
		in.nextAction = map[string]any{"type": "use_stripe_sdk", "use_stripe_sdk": map[string]any{"type": "three_d_secure_redirect"}}
		return outcome{status: http.StatusOK, view: s.shownIntent(in, expand)}
	}
	failure := a.behaviour.failure
	if a.behaviour.authenticate {
		failure = authenticationRequired()
	}
	ch := s.newCharge(c, chargeOf(in), failure)
	in.latestCharge = ch.id
	if failure != nil {
		in.fail(failure, ch.id, a.method)
		s.sim.journal.declined.Add(1)
		details := *in.lastError
		details.PaymentIntent = in.view()
		return outcome{status: http.StatusPaymentRequired, view: map[string]errorView{"error": details}}
	}
	switch {
	case a.behaviour.processing:
		in.status, ch.status = processing, chargePending
		in.processingSince, in.processingReads, in.processingFails = c.now, 0, a.behaviour.fails
		s.store.processing[in.id] = in
		s.open(eventPending, c, ch)
	case in.captureMethod == "manual":
		in.status, in.capturable, in.authorizedAt = requiresCapture, in.amount, c.now
		s.store.held[in.id] = in
		ch.paid = true
		s.open(eventAuthorized, c, ch)
	default:
		in.status, in.received = succeeded, in.amount
		ch.take(ch.amount)
		s.open(eventCharged, c, ch)
	}
	return outcome{status: http.StatusOK, view: s.shownIntent(in, expand)}
}

// chargeOf is the charge that pays a PaymentIntent.
func chargeOf(in *intent) charge {
	return charge{
		amount: in.amount, currency: in.currency, customer: in.customer, intent: in.id,
		metadata: in.metadata, method: in.paymentMethod, texts: in.texts,
	}
}

// findIntent looks up the PaymentIntent in a call's path. Needs the store's lock.
func (s *stripe) findIntent(c *call) (*intent, *stripeError) {
	in, ok := s.store.intents.byID[c.id]
	if !ok {
		return nil, noSuch(http.StatusNotFound, "payment_intent", "intent", c.id)
	}
	return in, nil
}

// unexpectedState refuses a move that the PaymentIntent's status does not allow.
func unexpectedState(in *intent, move string) outcome {
	e := invalid("payment_intent_unexpected_state", "", "this PaymentIntent cannot be %s because its status is %s", move, in.status)
	e.details.PaymentIntent = in.view()
	return e.outcome()
}

func (in *intent) confirmable() bool {
	return slices.Contains([]string{requiresPaymentMethod, requiresConfirmation, requiresAction}, in.status)
}

// confirmIntent prepares POST /v1/payment_intents/{id}/confirm.
func (s *stripe) confirmIntent(c *call) (plan, *stripeError) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	in, e := s.findIntent(c)
	if e != nil {
		return nil, e
	}
	// The check works on a copy with this call's overrides; the intent changes on execution.
	next := *in
	types, e := readMethodTypes(c.params)
	if e != nil {
		return nil, e
	}
	if types != nil {
		next.methodTypes, next.automatic = types, false
	}
	if next.captureMethod, e = c.params.oneOf("capture_method", in.captureMethod, "automatic", "automatic_async", "manual"); e != nil {
		return nil, e
	}
	if next.setupFutureUsage, e = c.params.oneOf("setup_future_usage", in.setupFutureUsage, "on_session", "off_session"); e != nil {
		return nil, e
	}
	email, e := c.params.text("receipt_email")
	if e != nil {
		return nil, e
	}
	a, e := s.readAttempt(c.params, &next)
	if e != nil {
		return nil, e
	}
	if a.method == "" && in.paymentMethod != "" {
		a.method = in.paymentMethod
		if a.behaviour, e = s.method(a.method, "payment_method", "pm_"); e != nil {
			return nil, e
		}
	}
	expand, e := c.params.expands("latest_charge")
	if e != nil {
		return nil, e
	}
	checked := in.confirmable()
	if checked {
		if e = a.checkUse(c.params, &next, true); e != nil {
			return nil, e
		}
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		// One that became confirmable only just now was never checked.
		if !checked || !in.confirmable() {
			return unexpectedState(in, "confirmed")
		}
		in.methodTypes, in.automatic = next.methodTypes, next.automatic
		in.captureMethod, in.setupFutureUsage = next.captureMethod, next.setupFutureUsage
		if email != "" {
			in.texts.receiptEmail = email
		}
		return s.attempt(c, in, a, expand)
	}, nil
}

// captureIntent prepares POST /v1/payment_intents/{id}/capture.
func (s *stripe) captureIntent(c *call) (plan, *stripeError) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	in, e := s.findIntent(c)
	if e != nil {
		return nil, e
	}
	amount, sent, e := c.params.whole("amount_to_capture")
	if e != nil {
		return nil, e
	}
	if sent && amount < 1 {
		return nil, invalid("parameter_invalid_integer", "amount_to_capture", "amount_to_capture must be positive")
	}
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	expand, e := c.params.expands("latest_charge")
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		if in.status != requiresCapture {
			return unexpectedState(in, "captured")
		}
		taken := in.capturable
		if sent {
			taken = amount
		}
		if taken > in.capturable {
			return invalid("amount_too_large", "amount_to_capture", "at most %d can be captured", in.capturable).outcome()
		}
		delete(s.store.held, in.id)
		in.status, in.received, in.capturable = succeeded, taken, 0
		in.metadata = mergeMetadata(in.metadata, metadata)
		s.capture(s.store.charges.byID[in.latestCharge], taken)
		return outcome{status: http.StatusOK, view: s.shownIntent(in, expand)}
	}, nil
}

// cancelIntent prepares POST /v1/payment_intents/{id}/cancel.
func (s *stripe) cancelIntent(c *call) (plan, *stripeError) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	in, e := s.findIntent(c)
	if e != nil {
		return nil, e
	}
	reason, e := c.params.oneOf("cancellation_reason", "", "duplicate", "fraudulent", "requested_by_customer", "abandoned")
	if e != nil {
		return nil, e
	}
	expand, e := c.params.expands("latest_charge")
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		if !slices.Contains([]string{requiresPaymentMethod, requiresConfirmation, requiresAction, requiresCapture}, in.status) {
			return unexpectedState(in, "canceled")
		}
		s.cancel(in, c.now, reason)
		return outcome{status: http.StatusOK, view: s.shownIntent(in, expand)}
	}, nil
}

// cancel ends a PaymentIntent and gives back what is held. Needs the store's lock.
func (s *stripe) cancel(in *intent, now time.Time, reason string) {
	if in.status == requiresCapture {
		delete(s.store.held, in.id)
		ch := s.store.charges.byID[in.latestCharge]
		ch.refunded, ch.amountRefunded = true, ch.amount
		s.sim.journal.append(event{kind: eventReleased, charge: ch.id})
	}
	in.status, in.capturable, in.nextAction = canceled, 0, nil
	in.canceledAt, in.cancelReason = now.Unix(), reason
}

// getIntent prepares GET /v1/payment_intents/{id}.
func (s *stripe) getIntent(c *call) (plan, *stripeError) {
	expand, e := c.params.expands("latest_charge")
	if e != nil {
		return nil, e
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
		return outcome{status: http.StatusOK, view: showIntent(s, c, in, expand)}
	}, nil
}
