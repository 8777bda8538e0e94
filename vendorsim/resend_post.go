package vendorsim

import "net/http"

// servePost takes an admitted e-mail or batch through its idempotency key to its
// execution, and lets a fault come between. What was sent is remembered under the
// key for 24 hours; refusals and failures are not.
func (s *resend) servePost(w http.ResponseWriter, c *resendCall) {
	journal := s.sim.journal
	verdict, ticket, stored := s.keys.begin(keyScope{c.apiKey, c.key}, c.fingerprint(), c.now)
	switch verdict {
	case keyReplay:
		journal.replays.Add(1)
		s.answer(w, c, stored, whole, NoFault)
		return
	case keyMismatch:
		journal.keyMismatches.Add(1)
		e := &resendError{http.StatusConflict, "invalid_idempotent_request", "this idempotency key was used with another payload"}
		s.answer(w, c, e.outcome().render(c.requestID), whole, NoFault)
		return
	case keyInUse:
		journal.keyConflicts.Add(1)
		e := &resendError{http.StatusConflict, "concurrent_idempotent_requests", "another request with this idempotency key is in progress"}
		s.answer(w, c, e.outcome().render(c.requestID), whole, NoFault)
		return
	}
	s.sim.wait(s.sim.cfg.Latency)
	c.now = s.sim.cfg.Now()
	emails, refusal := readSimEmails(c.body, c.operation == "POST /emails/batch")
	if refusal != nil {
		ticket.abandon()
		s.refuse(w, c, refusal)
		return
	}
	drawn := s.dealer.draw(FaultPoint{
		Operation: c.operation, Path: c.path, IdempotencyKey: c.key, Attempt: ticket.attempt, Faults: ticket.faults,
	})
	a, how := s.execute(c, emails, drawn.fault, ticket)
	s.answer(w, c, a, how, drawn.fault)
}

// execute sends the e-mails with the drawn fault around it and settles the key
// before anything leaves.
func (s *resend) execute(c *resendCall, emails []emailView, fault Fault, key ticket) (answer, manner) {
	if fault != NoFault {
		key.struck()
		s.sim.journal.struck(fault)
	}
	switch fault {
	case RateLimited429, Error503, Redirect302, ClosedAfterRead, ConnectionReset, Error500BeforeCharge:
		key.abandon()
		return s.unexecuted(c, fault)
	}
	sent := s.send(c, emails).render(c.requestID)
	if fault == SlowAnswer {
		s.sim.wait(s.sim.cfg.SlowDelay)
	}
	key.store(sent)
	switch fault {
	case Error500AfterCharge:
		return resendFailure(http.StatusInternalServerError).outcome().render(c.requestID), whole
	case AnswerLost:
		return sent, severed
	case TruncatedAnswer:
		return sent, halved
	}
	return sent, whole
}

// unexecuted answers for the faults that keep a request from being executed.
func (s *resend) unexecuted(c *resendCall, fault Fault) (answer, manner) {
	switch fault {
	case RateLimited429:
		e := &resendError{http.StatusTooManyRequests, "rate_limit_exceeded", "too many requests: 2 a second are allowed"}
		return e.outcome().render(c.requestID), whole
	case Error500BeforeCharge:
		return resendFailure(http.StatusInternalServerError).outcome().render(c.requestID), whole
	case Error503:
		return resendFailure(http.StatusServiceUnavailable).outcome().render(c.requestID), whole
	case Redirect302:
		return redirected().render(c.requestID), whole
	case ConnectionReset:
		return answer{}, resetting
	}
	return answer{}, severed
}
