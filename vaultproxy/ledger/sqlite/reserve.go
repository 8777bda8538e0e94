package sqlite

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Reserve holds the price on every budget and records the send, in one commit.
func (s *Store) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	if r.Price < 0 {
		return ledger.Reserved{}, errors.New("reserve: the price is negative")
	}
	var (
		out      ledger.Reserved
		decision error
	)
	err := s.write(ctx, func(b *batch) (err error) {
		out, decision, err = b.reserve(r)
		return err
	})
	if err != nil {
		return ledger.Reserved{}, err
	}
	return out, decision
}

// reserve reads everything that gates a new effect inside the transaction:
// nothing that was true a moment ago counts. A decision writes nothing.
func (b *batch) reserve(r ledger.Reservation) (out ledger.Reserved, decision, err error) {
	if r.TakeOver == "" {
		if out, done, err := b.reserveNew(r); done || err != nil {
			return out, nil, err
		}
	}
	existing, found, err := b.find(r.CallID)
	if err != nil {
		return out, nil, err
	}
	if found && !reopens(existing, r) {
		return out, &ledger.Exists{Call: existing}, nil
	}
	k, decision, err := b.liveKey(r.KeyID)
	if decision != nil || err != nil {
		return out, decision, err
	}
	if found && (existing.Run != k.Run || existing.Tenant != k.Tenant) {
		return out, &ledger.Exists{Call: existing}, nil // it counts on its own run's budget, for good
	}
	give, decision, err := b.takeOver(r, k)
	if decision != nil || err != nil {
		return out, decision, err
	}
	day := b.now.Format(time.DateOnly)
	rows, err := b.budgetsOf(k, day)
	if err != nil {
		return out, nil, err
	}
	// What is taken over stays held in full until the vendor says what came of it.
	amount := r.Price
	if give != nil {
		amount = max(amount, give.call.Hold)
	}
	if d := deny(k, rows, r.Price, amount, give); d != nil {
		return out, d, nil
	}

	if give != nil {
		for _, row := range give.rows {
			row.take(ledger.Committed, give.call.Hold)
		}
		if give.call.ID != r.CallID {
			if err := b.retire(give.call, r.CallID); err != nil {
				return out, nil, err
			}
		}
	}
	if out.Remaining, err = hold(rows, amount); err != nil {
		return out, nil, err
	}
	b.reserved = append(b.reserved, r.CallID)
	if found {
		out.Call, err = b.reopen(r, k, day, amount, existing)
	} else {
		var inserted bool
		if out.Call, inserted, err = b.insert(r, k, day, amount); err == nil && !inserted {
			err = errors.New("the call was not written")
		}
	}
	if err != nil || give == nil {
		return out, nil, err
	}
	out.Call.Object = r.Target
	_, err = b.s.stmts.setBooking.ExecContext(b.ctx, r.Target, r.CallID)
	return out, nil, err
}

// reserveNew grants what nearly every reservation is: a new call, with room. It
// lets the insert find out whether the call exists, which saves a look-up. If
// there is anything to decide it is not done, and has changed nothing.
func (b *batch) reserveNew(r ledger.Reservation) (out ledger.Reserved, done bool, err error) {
	k, decision, err := b.liveKey(r.KeyID)
	if decision != nil || err != nil {
		return out, false, err
	}
	day := b.now.Format(time.DateOnly)
	rows, err := b.budgetsOf(k, day)
	if err != nil || deny(k, rows, r.Price, r.Price, nil) != nil {
		return out, false, err
	}
	out.Call, done, err = b.insert(r, k, day, r.Price)
	if !done || err != nil {
		return out, false, err
	}
	out.Remaining, err = hold(rows, r.Price)
	b.reserved = append(b.reserved, r.CallID)
	return out, true, err
}

// hold puts an amount in flight on every budget and returns the smallest room left.
func hold(rows []*budgetRow, amount money.USD) (money.USD, error) {
	left := money.Max
	for _, row := range rows {
		if err := row.put(ledger.Dispatched, amount); err != nil {
			return 0, err
		}
		left = min(left, row.Remaining())
	}
	return left, nil
}

// reopens reports whether a call that exists may be dispatched again: its
// request is the same, and no send of it had or may still have an effect.
func reopens(c ledger.Call, r ledger.Reservation) bool {
	if c.Digest != r.Digest || c.Answered || c.Unproven != 0 {
		return false
	}
	switch c.State {
	case ledger.Released:
		// What had an object had an effect, whoever holds its amount now; unless it
		// only carried the hold of an object on which every send of it was refused.
		return c.Object == "" || c.FirstSentAt.IsZero()
	case ledger.Committed:
		return r.TakeOver == c.ID && c.FirstSentAt.IsZero()
	default:
		return false
	}
}

// liveKey reads the key and says whether it may cause a new effect now.
func (b *batch) liveKey(keyID string) (*keyRow, error, error) {
	k, err := b.key(keyID)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, &ledger.Denial{Reason: ledger.KeyUnknown}, nil
	case err != nil:
		return nil, nil, err
	case !k.RevokedAt.IsZero() || k.RunClosed:
		return nil, &ledger.Denial{Reason: ledger.KeyRevoked}, nil
	case !b.now.Before(k.ExpiresAt):
		return nil, &ledger.Denial{Reason: ledger.KeyExpired}, nil
	}
	return k, nil, nil
}

// given is a committed hold that is about to pass to another call.
type given struct {
	call ledger.Call
	rows []*budgetRow
}

func (b *batch) takeOver(r ledger.Reservation, k *keyRow) (*given, error, error) {
	if r.TakeOver == "" {
		return nil, nil, nil
	}
	from, found, err := b.find(r.TakeOver)
	if err != nil {
		return nil, nil, err
	}
	if !found || from.State != ledger.Committed || from.Vendor != r.Vendor || from.Object != r.Target || from.Run != k.Run || from.Tenant != k.Tenant {
		return nil, ledger.ErrBookingMoved, nil
	}
	owner, err := b.key(from.KeyID)
	if err != nil {
		return nil, nil, err
	}
	rows, err := b.budgetsOf(owner, from.Day)
	return &given{call: from, rows: rows}, nil, err
}

// on is what it frees on a budget by passing.
func (g *given) on(row *budgetRow) money.USD {
	if g == nil || !slices.Contains(g.rows, row) {
		return 0
	}
	return g.call.Hold
}

// deny finds the budget in which the hold has no room. Exhausted goes before
// contended: it is said when no call in flight could make room any more.
func deny(k *keyRow, rows []*budgetRow, price, hold money.USD, give *given) *ledger.Denial {
	if limit := k.Terms.PerCallCap; limit != nil && price > *limit {
		return &ledger.Denial{
			Reason: ledger.CapExhausted, Kind: ledger.BudgetPerCall, Price: price, Budget: ledger.Budget{Cap: *limit},
		}
	}
	var contended *ledger.Denial
	for _, row := range rows {
		passed := give.on(row)
		if price == 0 && passed == hold {
			continue // cancelling must stay possible on a budget that is full
		}
		free := row.Cap - row.Settled - row.Committed - row.Unknown + passed
		d := &ledger.Denial{
			Reason: ledger.CapExhausted, Kind: row.Kind(), Price: price, Budget: row.Budget, ResetsAt: row.ResetsAt(),
		}
		switch {
		case hold > free:
			return d
		case hold > free-row.InFlight && contended == nil:
			d.Reason = ledger.CapContended
			contended = d
		}
	}
	return contended
}

// retire ends the call whose hold has passed on; its answer stays for replay.
func (b *batch) retire(from ledger.Call, to string) error {
	moved := from
	moved.State, moved.Reason = ledger.Released, "taken_over"
	moved.FinalAt, moved.Request = b.now, nil
	if err := b.store(from, moved, false, 0); err != nil {
		return err
	}
	return b.audit(auditOf(moved, ledger.AuditRow{Verdict: string(ledger.Released), Code: "taken_over:" + to, By: ledger.ByCaller}))
}

// insert writes a new call as dispatched. It reports false, and writes nothing,
// if there is a call of that ID.
func (b *batch) insert(r ledger.Reservation, k *keyRow, day string, amount money.USD) (ledger.Call, bool, error) {
	c := b.dispatched(r, k, day, amount)
	now := b.now.UnixMicro()
	b.s.known.add(r.CallID)
	res, err := b.s.stmts.insertCall.ExecContext(b.ctx, r.CallID, r.Digest[:], k.ID, k.runID, r.Vendor, r.Operation,
		r.Method, r.Path, r.IdempotencyKey, r.Item, r.WorkflowID, int64(amount), r.Target, day, r.Request,
		now, now, now, b.s.epoch)
	if err != nil {
		return c, false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return c, false, err
	}
	c.Seq, err = res.LastInsertId()
	return c, err == nil, err
}

// reopen writes one more send of a call whose earlier ones had no effect.
func (b *batch) reopen(r ledger.Reservation, k *keyRow, day string, amount money.USD, old ledger.Call) (ledger.Call, error) {
	c := b.dispatched(r, k, day, amount)
	c.Seq, c.Sends, c.Resend, c.CreatedAt = old.Seq, old.Sends+1, old.Resend, old.CreatedAt
	now := b.now.UnixMicro()
	res, err := b.s.stmts.reopenCall.ExecContext(b.ctx, k.ID, r.Item, r.WorkflowID, int64(amount), r.Target, day,
		r.Request, now, now, b.s.epoch, r.CallID, string(old.State))
	if err != nil {
		return c, err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return c, errors.Join(errors.New("the call was not written"), err)
	}
	return c, nil
}

// dispatched is the call as its first send leaves it.
func (b *batch) dispatched(r ledger.Reservation, k *keyRow, day string, amount money.USD) ledger.Call {
	return ledger.Call{
		ID: r.CallID, Digest: r.Digest, State: ledger.Dispatched, KeyID: k.ID, Tenant: k.Tenant, Run: k.Run,
		Vendor: r.Vendor, Operation: r.Operation, Method: r.Method, Path: r.Path, IdempotencyKey: r.IdempotencyKey,
		Item: r.Item, WorkflowID: r.WorkflowID, Hold: amount, Target: r.Target, Day: day, Request: r.Request,
		Sends: 1, Unproven: 1, CreatedAt: b.now, FirstSentAt: b.now, LastSentAt: b.now,
	}
}
