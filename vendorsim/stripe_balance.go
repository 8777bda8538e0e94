package vendorsim

import (
	"net/http"
	"strings"
)

// balanceOperations are those that move the account's own money. A payout to, or a top-up from, a
// bank account whose id contains "failing" fails; others come through once they have been read a
// few times or some time has passed.
func balanceOperations() map[string]operation {
	back := func(kind string) func(*stripe, *record) {
		return func(s *stripe, r *record) { s.sim.journal.move(kind, r.field("currency"), -r.number("amount")) }
	}
	reversals := listRecords("transfer_reversal", "transfer")
	listed := reversals.prepare
	reversals.params = listSpec()
	reversals.prepare = func(s *stripe, c *call) (plan, *stripeError) {
		c.params.scalars["transfer"] = c.id
		return listed(s, c)
	}
	return map[string]operation{
		"POST /v1/payouts": {money: true, prepare: (*stripe).createPayout, params: paramSpec{
			"amount": scalar, "currency": scalar, "description": scalar, "destination": scalar, "method": scalar,
			"source_type": scalar, "statement_descriptor": scalar, "metadata": hash, "expand": list,
		}},
		"POST /v1/payouts/{id}":        updateRecord("payout"),
		"POST /v1/payouts/{id}/cancel": moveRecord("payout", "canceled", "canceled", back("payout"), "pending"),
		"GET /v1/payouts/{id}":         getRecord("payout"),
		"GET /v1/payouts":              listRecords("payout", "status"),

		"POST /v1/transfers": {money: true, prepare: (*stripe).createTransfer, params: paramSpec{
			"amount": scalar, "currency": scalar, "description": scalar, "destination": scalar, "source_type": scalar,
			"transfer_group": scalar, "metadata": hash, "expand": list, "source_transaction": unmodelled,
		}},
		"POST /v1/transfers/{id}": updateRecord("transfer", "description"),
		"POST /v1/transfers/{id}/reversals": {money: true, prepare: (*stripe).reverseTransfer, params: paramSpec{
			"amount": scalar, "description": scalar, "metadata": hash, "expand": list, "refund_application_fee": unmodelled,
		}},
		"GET /v1/transfers/{id}":           getRecord("transfer"),
		"GET /v1/transfers":                listRecords("transfer", "destination"),
		"GET /v1/transfers/{id}/reversals": reversals,

		"POST /v1/topups": {money: true, prepare: (*stripe).createTopup, params: paramSpec{
			"amount": scalar, "currency": scalar, "description": scalar, "source": scalar, "statement_descriptor": scalar,
			"metadata": hash, "expand": list, "transfer_group": scalar,
		}},
		"POST /v1/topups/{id}":        updateRecord("topup", "description"),
		"POST /v1/topups/{id}/cancel": moveRecord("topup", "canceled", "canceled", back("topup"), "pending"),
		"GET /v1/topups/{id}":         getRecord("topup"),
		"GET /v1/topups":              listRecords("topup", "status"),
	}
}

// balanceFields reads what all movements of the balance have in common.
func (s *stripe) balanceFields(c *call, texts ...string) (map[string]any, *stripeError) {
	amount, currency, e := s.price(c.params)
	if e != nil {
		return nil, e
	}
	fields := map[string]any{"amount": amount, "currency": currency}
	for _, name := range texts {
		value, e := c.params.text(name)
		if e != nil {
			return nil, e
		}
		fields[name] = orNull(value)
		if value != "" {
			fields[name] = value
		}
	}
	fields["metadata"], e = c.params.metadata()
	if e != nil {
		return nil, e
	}
	_, e = c.params.expands("")
	return fields, e
}

func (s *stripe) createPayout(c *call) (plan, *stripeError) {
	fields, e := s.balanceFields(c, "description", "destination", "source_type", "statement_descriptor")
	if e != nil {
		return nil, e
	}
	if fields["method"], e = c.params.oneOf("method", "standard", "standard", "instant"); e != nil {
		return nil, e
	}
	fields["status"], fields["automatic"] = "pending", false
	return s.pending(c, "payout", fields, "destination", "paid"), nil
}

func (s *stripe) createTopup(c *call) (plan, *stripeError) {
	fields, e := s.balanceFields(c, "description", "source", "statement_descriptor", "transfer_group")
	if e != nil {
		return nil, e
	}
	fields["status"] = "pending"
	return s.pending(c, "topup", fields, "source", "succeeded"), nil
}

// pending makes an object whose outcome is open, and which fails if its account is a failing one.
func (s *stripe) pending(c *call, kind string, fields map[string]any, account, end string) plan {
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r := s.add(c, kind, fields, "status")
		s.sim.journal.move(kind, r.field("currency"), r.number("amount"))
		s.await(c, r.id, func() {
			if strings.Contains(r.field(account), "failing") {
				r.set(map[string]any{"status": "failed", "failure_code": "account_closed"})
				s.sim.journal.move(kind, r.field("currency"), -r.number("amount"))
				return
			}
			r.set(map[string]any{"status": end})
		})
		return outcome{status: http.StatusOK, view: r.fields}
	}
}

func (s *stripe) createTransfer(c *call) (plan, *stripeError) {
	fields, e := s.balanceFields(c, "description", "destination", "source_type", "transfer_group")
	if e != nil {
		return nil, e
	}
	if to, _ := fields["destination"].(string); !strings.HasPrefix(to, "acct_") {
		return nil, noSuch(http.StatusBadRequest, "destination", "destination", to)
	}
	fields["amount_reversed"], fields["reversed"] = int64(0), false
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r := s.add(c, "transfer", fields, "destination")
		s.sim.journal.move("transfer", r.field("currency"), r.number("amount"))
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}

func (s *stripe) reverseTransfer(c *call) (plan, *stripeError) {
	amount, sent, e := c.params.whole("amount")
	if e != nil {
		return nil, e
	}
	if sent && amount < 1 {
		return nil, invalid("parameter_invalid_integer", "amount", "amount must be positive")
	}
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	of, e := s.findRecord(c, "transfer")
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		left := of.number("amount") - of.number("amount_reversed")
		if !sent {
			amount = left
		}
		if left == 0 || amount > left {
			return invalid("", "amount", "at most %d of this transfer is left to reverse", left).outcome()
		}
		of.set(map[string]any{"amount_reversed": of.number("amount_reversed") + amount, "reversed": amount == left})
		r := s.add(c, "transfer_reversal", map[string]any{
			"amount": amount, "currency": of.field("currency"), "transfer": of.id, "metadata": metadata,
		}, "transfer")
		s.sim.journal.move("transfer_reversal", of.field("currency"), amount)
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}
