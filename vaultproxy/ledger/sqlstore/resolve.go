package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// errMovedOn: a row is no longer as its writer had it.
var errMovedOn = errors.New("the call moved underneath its writer")

// MovedOn is what a backend's write fails with if a row is not what Was says.
func MovedOn() error { return errMovedOn }

// Resolve books an outcome, once.
func (s *Store) Resolve(ctx context.Context, r ledger.Resolution) (ledger.Call, bool, error) {
	var (
		out      ledger.Call
		moved    bool
		decision error
	)
	needs := Needs{Locks: []int64{r.Seq}}
	if r.Seen != nil { // else nobody knows yet behind which lock it is
		needs.Locks = nil
		if !asSeen(r.Seen) {
			needs.Seqs = []int64{r.Seq}
		}
		needs.Keys = []KeyDay{{r.Seen.KeyID, r.Seen.Day}}
		if r.Object != "" {
			needs.Objects = append(needs.Objects, Object{r.Seen.Vendor, r.Object})
		}
		if r.Frees != "" {
			needs.Objects = append(needs.Objects, Object{r.Seen.Vendor, r.Frees})
		}
	}
	err := s.write(ctx, needs, func(b *Batch) (err error) {
		var c *Call
		c, moved, decision, err = b.resolveCall(r)
		if c != nil {
			out = c.Call
		}
		return err
	})
	if err != nil {
		return ledger.Call{}, false, err
	}
	return out, moved, decision
}

func (b *Batch) resolveCall(r ledger.Resolution) (c *Call, moved bool, decision, err error) {
	c, err = b.callToResolve(r)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, false, err, nil
	}
	if err != nil || stale(c.Call, r) {
		return c, false, nil, err
	}
	moved, err = b.resolve(c, r)
	if errors.Is(err, ledger.ErrObjectTaken) {
		return c, false, err, nil
	}
	if err != nil || r.Frees == "" {
		return c, moved, nil, err
	}
	return c, moved, nil, b.free(Object{c.Vendor, r.Frees}, r.Reason)
}

// callToResolve takes a call in flight as its judge saw it, which saves reading
// it: its row is written only if it is still so. If that fails, or where more is
// needed of it, it is read.
func (b *Batch) callToResolve(r ledger.Resolution) (*Call, error) {
	if c, ok := b.calls[r.Seq]; ok {
		return b.behindLock(c)
	}
	seen := r.Seen
	if b.again || !asSeen(seen) {
		return b.lockedCall(r.Seq)
	}
	k, err := b.key(seen.KeyID)
	if err != nil {
		return nil, err
	}
	if _, err := b.budgetsOf(k, seen.Day); err != nil {
		return nil, err
	}
	c := &Call{Call: *seen, KeyNo: k.No, RunNo: k.RunNo}
	c.remember()
	return b.adopt(c), nil
}

// asSeen reports whether a call may be taken as its judge saw it.
func asSeen(seen *ledger.Call) bool {
	return seen != nil && seen.State == ledger.Dispatched && seen.Target == ""
}

// behindLock makes sure of a call that was found by other ways than its run: it
// is read again once its run's budget is locked.
func (b *Batch) behindLock(c *Call) (*Call, error) {
	if _, locked := b.budgets[runBudget(c.RunNo)]; locked || b.tx.ForUpdate() == "" {
		return c, nil
	}
	delete(b.calls, c.Seq)
	delete(b.byKey, c.CallKey())
	delete(b.byObject, Object{c.Vendor, c.Object})
	return b.lockedCall(c.Seq)
}

// lockedCall reads a call under the lock of its run's budget.
func (b *Batch) lockedCall(seq int64) (*Call, error) {
	if c, ok := b.calls[seq]; ok {
		return b.behindLock(c)
	}
	if b.tx.ForUpdate() != "" {
		var runNo int64
		if err := b.tx.QueryRow(`SELECT run_no FROM calls WHERE seq = $1`, seq).Scan(&runNo); err != nil {
			return nil, notFound(err)
		}
		if _, err := b.budget(runBudget(runNo), -1); err != nil {
			return nil, err
		}
	}
	return b.call(seq)
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
// call of which nothing new is known. ledger.ErrObjectTaken, with nothing changed.
func (b *Batch) resolve(c *Call, r ledger.Resolution) (bool, error) {
	next, moves := apply(c.Call, r)
	if !moves {
		return false, nil
	}
	k, err := b.key(c.KeyID)
	if err != nil {
		return false, err
	}
	rows, err := b.budgetsOf(k, c.Day) // before anything moves: one that is opened late sums up the calls as they stand
	if err != nil {
		return false, err
	}
	if next.State.Final() {
		next.FinalAt, next.Request = b.now, nil
	}
	amount, err := weigh(&next, c.Call, r)
	if err != nil {
		return false, err
	}
	books := next.Object != "" && next.State != ledger.Released
	if books {
		rival, err := b.relieve(c, next.Object)
		if err != nil {
			return false, err
		}
		if !next.State.Final() && rival > amount {
			amount, next.Hold, next.Reason = rival, rival, "overrun:"+r.Reason
		}
	}
	if next.State == ledger.Committed {
		next.CommittedAt = b.now
	}
	from, hold := c.State, c.Hold
	b.unbook(c)
	answered := next.Answered && r.Answered
	c.Call = next
	if books {
		b.bookObject(c, next.Object)
	}
	c.ClaimedUntil, c.NextCheckAt = time.Time{}, time.Time{}
	if !next.State.Final() {
		c.NextCheckAt = b.now.Add(r.NextCheck)
	}
	b.touch(c)
	if answered && !c.newAnswer {
		c.newAnswer = true
		b.answers = append(b.answers, c)
	}
	if err := b.rebook(rows, c.State, from, hold, amount); err != nil {
		return false, err
	}
	row := r.Audit
	if row.Verdict == "" {
		row.Verdict = string(next.State)
	}
	if row.Code == "" {
		row.Code = next.Reason
	}
	row.Amount = next.Amount
	b.audit(auditOf(next, row))
	return true, nil
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
func (b *Batch) rebook(rows []*Budget, to, from ledger.State, hold, amount money.USD) error {
	over := max(0, amount-hold)
	for _, row := range rows {
		b.take(row, from, hold)
		if err := row.put(to, amount); err != nil {
			return err
		}
		if over == 0 {
			continue
		}
		var err error
		if row.Overrun, err = money.Add(row.Overrun, over); err != nil {
			return err
		}
		used, err := row.used()
		if err != nil {
			return err
		}
		row.Allowed = max(row.Allowed, used)
	}
	return nil
}

// relieve makes way for a call that is about to book an object. If the object is
// the one that the call acted on, another run's hold of it ends: a run that
// confirms or captures what another run made has it on its own budget now, and
// one object is booked once. ledger.ErrObjectTaken.
//
// Rival is what that hold was, if it was not proved before this call was sent.
// Then nobody knows which of the two the vendor did last, and the object may be
// worth either.
func (b *Batch) relieve(by *Call, object string) (rival money.USD, err error) {
	holder, err := b.callOfObject(Object{by.Vendor, object})
	if err == nil {
		holder, err = b.behindLock(holder)
	}
	if errors.Is(err, ledger.ErrNotFound) || holder == by {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if object != by.Target || object == by.Object || holder.State != ledger.Committed {
		return 0, ledger.ErrObjectTaken
	}
	if holder.CommittedAt.After(by.FirstSentAt) {
		rival = holder.Hold
	}
	return rival, b.free(Object{by.Vendor, object}, "taken_over")
}

// free ends the committed hold of an object that became final without cost.
func (b *Batch) free(o Object, reason string) error {
	holder, err := b.callOfObject(o)
	if err == nil {
		holder, err = b.behindLock(holder)
	}
	if errors.Is(err, ledger.ErrNotFound) || (err == nil && (holder.State != ledger.Committed || !holder.Books || holder.Object != o.ID)) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = b.resolve(holder, ledger.Resolution{
		Outcome: ledger.OutcomeReleased, Reason: reason, Audit: ledger.AuditRow{By: ledger.ByCaller},
	})
	return err
}

// doubt says of a call in flight that nobody knows what became of it.
func (b *Batch) doubt(c *Call, reason string) error {
	_, err := b.resolve(c, ledger.Resolution{
		Outcome: ledger.OutcomeUnknown, Reason: reason, Audit: ledger.AuditRow{By: ledger.ByRestart},
	})
	return err
}

// orphans turns into unknown what processes had in flight that are gone; their
// calls may be at the vendor.
func (b *Batch) orphans(seqs []int64) error {
	for _, seq := range seqs {
		c, err := b.lockedCall(seq)
		if err != nil {
			return err
		}
		if c.State != ledger.Dispatched {
			continue // resolved since it was listed
		}
		if err := b.doubt(c, "interrupted"); err != nil {
			return err
		}
	}
	return nil
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
