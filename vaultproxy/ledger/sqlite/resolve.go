package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Resolve books an outcome, once.
func (s *Store) Resolve(ctx context.Context, r ledger.Resolution) (ledger.Call, bool, error) {
	var (
		out      ledger.Call
		moved    bool
		decision error
	)
	err := s.write(ctx, func(b *batch) (err error) {
		decision = nil
		out, moved, err = b.resolveSeen(r)
		if errors.Is(err, ledger.ErrObjectTaken) || errors.Is(err, ledger.ErrNotFound) {
			decision = err
			return nil
		}
		if err != nil || r.Frees == "" {
			return err
		}
		return b.free(out.Vendor, r.Frees, r.Reason)
	})
	if err != nil {
		return ledger.Call{}, false, err
	}
	return out, moved, decision
}

// errMovedOn: the row is no longer as its writer had it.
var errMovedOn = errors.New("the call moved underneath its writer")

// resolveSeen moves a call that is as it was seen, which saves reading it; if it
// is not, it is read.
func (b *batch) resolveSeen(r ledger.Resolution) (ledger.Call, bool, error) {
	if seen := r.Seen; seen != nil && seen.State == ledger.Dispatched && seen.Target == "" {
		out, moved, err := b.resolve(*seen, r)
		if !errors.Is(err, errMovedOn) {
			return out, moved, err
		}
	}
	c, found, err := b.find(r.CallID)
	switch {
	case err != nil:
		return c, false, err
	case !found:
		return c, false, ledger.ErrNotFound
	case stale(c, r):
		return c, false, nil
	}
	return b.resolve(c, r)
}

// stale reports whether an outcome speaks of sends that the call no longer has
// as they were.
func stale(c ledger.Call, r ledger.Resolution) bool {
	switch r.Outcome {
	case ledger.OutcomeRefused, ledger.OutcomeNoEffect, ledger.OutcomeUnknown:
		return r.Seen != nil && (c.Sends != r.Seen.Sends || c.Unproven != r.Seen.Unproven)
	default:
		return false // it speaks of the vendor's object, or of the key's one execution
	}
}

// resolve moves one call. What is final stays as it is, and so does a committed
// call of which nothing new is known.
func (b *batch) resolve(c ledger.Call, r ledger.Resolution) (ledger.Call, bool, error) {
	next, moves := apply(c, r)
	if !moves {
		return c, false, nil
	}
	if next.State.Final() {
		next.FinalAt, next.Request = b.now, nil
	}
	amount, err := weigh(&next, c, r)
	if err != nil {
		return c, false, err
	}
	// The row goes first: an object that another call has booked is found out
	// here, while nothing else has changed yet.
	books := next.Object != "" && next.State != ledger.Released
	if books && next.Object == c.Target && next.Object != c.Object {
		if err := b.relieve(c); err != nil {
			return c, false, err
		}
	}
	if err := b.store(c, next, books, r.NextCheck); err != nil {
		return c, false, err
	}
	if err := b.rebook(c, next.State, amount); err != nil {
		return c, false, err
	}
	row := r.Audit
	if row.Verdict == "" {
		row.Verdict = string(next.State)
	}
	if row.Code == "" {
		row.Code = next.Reason
	}
	row.Amount = next.Amount
	return next, true, b.audit(auditOf(next, row))
}

// apply works out the call as it stands after the outcome, apart from the
// amounts. It is the state machine, in one place.
func apply(c ledger.Call, r ledger.Resolution) (ledger.Call, bool) {
	if c.State.Final() {
		return c, false
	}
	n := c
	n.Reason = r.Reason
	if r.Object != "" {
		n.Object = r.Object
	}
	answer := func() {
		if r.Answered {
			n.Answered, n.AnswerStatus, n.Answer = true, r.AnswerStatus, r.Answer
		}
	}
	switch r.Outcome {
	case ledger.OutcomeSettled:
		n.State, n.Unproven = ledger.Settled, 0
		answer()
	case ledger.OutcomeReleased:
		n.State, n.Unproven, n.Declined = ledger.Released, 0, r.Declined
		answer()
	case ledger.OutcomeCommitted:
		n.State, n.Unproven = ledger.Committed, 0
		answer()
	case ledger.OutcomeRefused, ledger.OutcomeNoEffect:
		if c.State == ledger.Committed {
			return c, false
		}
		n.Unproven--
		n.Object = c.Object // what a refusal names is no effect of it
		if r.Outcome == ledger.OutcomeNoEffect {
			n.Unproven, n.Resend = 0, n.Resend+1
		}
		if n.Unproven == 0 {
			n.FirstSentAt = time.Time{}
		}
		switch {
		case n.Unproven > 0:
			n.State = ledger.Unknown
			n.LastSentAt = c.PriorSentAt // what is still in doubt was sent before
		case n.Object != "":
			n.State = ledger.Committed // the hold was taken over with its object, which is still there
		default:
			n.State = ledger.Released
		}
	default:
		if c.State == ledger.Committed {
			return c, false
		}
		n.State = ledger.Unknown
	}
	return n, true
}

// weigh works out what the moved call is booked at. A price above its hold is
// booked in full and said to be an overrun: what the vendor took is taken.
func weigh(n *ledger.Call, c ledger.Call, r ledger.Resolution) (money.USD, error) {
	amount := c.Hold
	switch n.State {
	case ledger.Settled:
		if r.Amount < 0 {
			return 0, errors.New("a settled amount is negative")
		}
		amount, n.Amount = r.Amount, r.Amount
	case ledger.Committed:
		if r.Outcome == ledger.OutcomeCommitted { // a refused taker is committed too, and promises nothing
			amount = max(c.Hold, r.Amount)
			n.Hold = amount
		}
	default: // what is held or given back is the hold
	}
	if amount > c.Hold {
		n.Reason = "overrun:" + n.Reason
	}
	return amount, nil
}

// rebook moves the amount from the counter of one state to that of another.
func (b *batch) rebook(c ledger.Call, to ledger.State, amount money.USD) error {
	k, err := b.key(c.KeyID)
	if err != nil {
		return err
	}
	rows, err := b.budgetsOf(k, c.Day)
	if err != nil {
		return err
	}
	over := max(0, amount-c.Hold)
	for _, row := range rows {
		row.take(c.State, c.Hold)
		if err := row.put(to, amount); err != nil {
			return err
		}
		if over == 0 {
			continue
		}
		if row.Overrun, err = money.Add(row.Overrun, over); err != nil {
			return err
		}
		used, err := row.used()
		if err != nil {
			return err
		}
		row.allowed = max(row.allowed, used)
	}
	return nil
}

// relieve ends another call's hold of the object that this one acted on: a run
// that confirms or captures what another run made has it on its own budget now,
// and one object is booked once.
func (b *batch) relieve(by ledger.Call) error {
	return b.free(by.Vendor, by.Target, "taken_over")
}

// free ends the committed hold of an object that became final without cost.
func (b *batch) free(vendor, object, reason string) error {
	holder, err := scanCall(b.s.stmts.callByObject.QueryRowContext(b.ctx, vendor, object), true)
	if errors.Is(err, ledger.ErrNotFound) || (err == nil && holder.State != ledger.Committed) {
		return nil
	}
	if err != nil {
		return err
	}
	_, _, err = b.resolve(holder, ledger.Resolution{
		Outcome: ledger.OutcomeReleased, Reason: reason, Audit: ledger.AuditRow{By: ledger.ByCaller},
	})
	return err
}

// store writes a moved call, guarded by the state and the sends that it moves
// from. ledger.ErrObjectTaken, errMovedOn.
func (b *batch) store(from, n ledger.Call, books bool, nextCheck time.Duration) error {
	finalAt := sql.NullInt64{Int64: toMicro(n.FinalAt), Valid: !n.FinalAt.IsZero()}
	res, err := b.s.stmts.moveCall.ExecContext(b.ctx, string(n.State), n.Reason, int64(n.Hold), int64(n.Amount), n.Object,
		books, n.Declined, n.Answered, n.AnswerStatus, n.Answer, n.Request, n.Unproven, n.Resend, n.Checks, toMicro(n.FirstSentAt),
		toMicro(n.LastSentAt), finalAt,
		b.now.Add(nextCheck).UnixMicro(), n.ID, string(from.State), from.Sends, from.Unproven)
	if err != nil {
		return err
	}
	count, err := res.RowsAffected()
	if err != nil || count == 1 {
		return err
	}
	if books {
		holder, err := scanCall(b.s.stmts.callByObject.QueryRowContext(b.ctx, n.Vendor, n.Object), true)
		if err == nil && holder.ID != n.ID {
			return ledger.ErrObjectTaken
		}
	}
	return errMovedOn
}

// orphansToUnknown: what a former process had in flight may be at the vendor.
func (b *batch) orphansToUnknown() error {
	rows, err := b.s.conn.QueryContext(b.ctx, `SELECT `+callColumns+callSealed+fromCalls+
		`WHERE c.state = 'dispatched' AND c.epoch <> ?`, b.s.epoch)
	if err != nil {
		return err
	}
	orphans, err := scanCalls(rows, true)
	if err != nil {
		return err
	}
	for _, c := range orphans {
		if err := b.doubt(c, "interrupted"); err != nil {
			return err
		}
	}
	return nil
}

// settleSuspects looks at the calls of a commit whose result got lost: those
// that are there after all were never sent by us, but only proof says so.
func (b *batch) settleSuspects(ids []string) error {
	for _, id := range ids {
		c, found, err := b.find(id)
		if err != nil {
			return err
		}
		if !found || c.State != ledger.Dispatched {
			continue
		}
		if err := b.doubt(c, "commit_in_doubt"); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) doubt(c ledger.Call, reason string) error {
	_, _, err := b.resolve(c, ledger.Resolution{
		Outcome: ledger.OutcomeUnknown, Reason: reason, Audit: ledger.AuditRow{By: ledger.ByRestart},
	})
	return err
}

func auditOf(c ledger.Call, a ledger.AuditRow) ledger.AuditRow {
	a.Tenant, a.Run, a.CallID, a.Vendor = c.Tenant, c.Run, c.ID, c.Vendor
	a.Method, a.Path, a.IdempotencyKey = c.Method, c.Path, c.IdempotencyKey
	a.Price, a.Object = c.Hold, c.Object
	if a.KeyID == "" {
		a.KeyID, a.Item, a.WorkflowID = c.KeyID, c.Item, c.WorkflowID
	}
	return a
}
