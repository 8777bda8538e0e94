package vendorsim

import "net/http"

// servePost takes an admitted POST through its idempotency key to its execution, and lets a
// fault come between.
func (s *stripe) servePost(w http.ResponseWriter, c *call, op operation) {
	journal := s.sim.journal
	verdict, ticket, stored := s.keys.begin(keyScope{c.apiKey, c.key}, c.fingerprint(), c.now)
	switch verdict {
	case keyReplay:
		journal.replays.Add(1)
		w.Header().Set("Idempotent-Replayed", "true")
		w.Header().Set("Original-Request", stored.requestID)
		s.answer(w, c, stored, whole, NoFault)
		return
	case keyMismatch:
		journal.keyMismatches.Add(1)
		s.answer(w, c, idempotencyMismatch().outcome().render(c.requestID), whole, NoFault)
		return
	case keyInUse:
		journal.keyConflicts.Add(1)
		s.answer(w, c, idempotencyInUse().outcome().render(c.requestID), whole, NoFault)
		return
	}
	s.travel(c)
	run, refusal := op.prepare(s, c)
	if refusal != nil {
		ticket.abandon()
		s.refuse(w, c, refusal)
		return
	}
	var drawn card
	if op.money {
		drawn = s.sim.dealer.draw(FaultPoint{
			Operation: c.operation, Path: c.path, IdempotencyKey: c.key,
			Attempt: ticket.attempt, Faults: ticket.faults,
		})
	}
	a, how := s.execute(c, run, drawn, ticket)
	s.answer(w, c, a, how, drawn.fault)
}

// execute runs the plan with the drawn fault around it and settles the key before anything leaves,
// so that a client that is cut off and comes back at once meets the stored answer.
func (s *stripe) execute(c *call, run plan, drawn card, key ticket) (answer, manner) {
	struck := func() {
		key.struck()
		s.sim.journal.struck(drawn.fault)
	}
	switch drawn.fault {
	case RateLimited429, Error503, Redirect302, ClosedAfterRead, ConnectionReset:
		struck()
		key.abandon()
		return s.unexecuted(c, drawn.fault)
	case Error500BeforeCharge:
		struck()
		a := internalError(http.StatusInternalServerError).outcome().render(c.requestID)
		key.store(a)
		return a, whole
	}
	a := run().render(c.requestID)
	how := whole
	switch drawn.fault {
	case Error500AfterCharge:
		if a.status >= 300 {
			s.sim.dealer.giveBack(drawn)
			break
		}
		struck()
		a = internalError(http.StatusInternalServerError).outcome().render(c.requestID)
	case SlowAnswer:
		struck()
		s.sim.wait(s.sim.cfg.SlowDelay)
	case AnswerLost:
		struck()
		how = severed
	case TruncatedAnswer:
		struck()
		how = halved
	}
	key.store(a)
	return a, how
}

// unexecuted answers for the faults that keep a request from being executed.
func (s *stripe) unexecuted(c *call, fault Fault) (answer, manner) {
	switch fault {
	case RateLimited429:
		return rateLimited().outcome().render(c.requestID), whole
	case Error503:
		return internalError(http.StatusServiceUnavailable).outcome().render(c.requestID), whole
	case Redirect302:
		return redirected().render(c.requestID), whole
	case ConnectionReset:
		return answer{}, resetting
	}
	return answer{}, severed
}
