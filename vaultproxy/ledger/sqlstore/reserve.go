package sqlstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// contendedFor is how long a budget stays marked as one that somebody may wait
// for, in another process too.
const contendedFor = 10 * time.Second

// Reserve holds the price on every budget and records the send, in one commit.
func (s *Store) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	if r.Price < 0 {
		return ledger.Reserved{}, errors.New("reserve: the price is negative")
	}
	needs := s.needsOf(r)
	var t *ticket
	var patience <-chan time.Time
	if r.Wait > 0 {
		t = newTicket()
		defer s.queue.leave(t)
	}
	for {
		var (
			out      ledger.Reserved
			held     *Call
			decision error
		)
		err := s.write(ctx, needs, func(b *Batch) (err error) {
			held, out.Remaining, decision, err = b.reserve(r, t)
			return err
		})
		if err != nil {
			return ledger.Reserved{}, err
		}
		var no *ledger.Denial
		if t == nil || !errors.As(decision, &no) || no.Reason != ledger.CapContended {
			if held != nil {
				out.Call = held.Call // its number came with the commit
			}
			return out, decision
		}
		if patience == nil {
			patience = time.After(r.Wait)
		}
		select {
		case <-t.turn:
		case <-patience:
			return ledger.Reserved{}, decision
		case <-ctx.Done():
			return ledger.Reserved{}, decision
		case <-s.quit:
			return ledger.Reserved{}, unavailable(errClosed)
		}
	}
}

func (s *Store) needsOf(r ledger.Reservation) Needs {
	needs := Needs{Keys: []KeyDay{{KeyID: r.KeyID}}, Fresh: 1}
	if r.RunNo != 0 {
		needs.Calls = []ledger.CallKey{{RunNo: r.RunNo, Vendor: r.Vendor, IdempotencyKey: r.IdempotencyKey}}
	}
	if r.TakeOver != 0 {
		needs.Seqs = []int64{r.TakeOver}
	}
	return needs
}

// reserve reads everything that gates a new effect inside the transaction:
// nothing that was true a moment ago counts. A decision writes nothing of the call.
func (b *Batch) reserve(r ledger.Reservation, t *ticket) (_ *Call, left money.USD, decision, err error) {
	k, rows, err := b.lockedKey(r.KeyID)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, 0, &ledger.Denial{Reason: ledger.KeyUnknown}, nil
	}
	if err != nil {
		return nil, 0, nil, err
	}
	existing, err := b.callOf(ledger.CallKey{RunNo: k.RunNo, Vendor: r.Vendor, IdempotencyKey: r.IdempotencyKey})
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return nil, 0, nil, err
	}
	if existing != nil && !reopens(existing.Call, r) {
		return nil, 0, &ledger.Exists{Call: existing.Call}, nil
	}
	if d := b.dead(k); d != nil {
		return nil, 0, d, nil
	}
	give, decision, err := b.takeOver(r, k)
	if decision != nil || err != nil {
		return nil, 0, decision, err
	}
	// What is taken over stays held in full until the vendor says what came of it.
	amount := r.Price
	if give != nil {
		amount = max(amount, give.call.Hold)
	}
	if d := b.deny(k, rows, r.Price, amount, give, t); d != nil {
		return nil, 0, d, nil
	}
	opNo, err := b.operation(operation{r.Vendor, r.Operation, r.Method, r.Path})
	if err != nil {
		return nil, 0, nil, err
	}
	if give != nil {
		for _, row := range give.rows {
			b.take(row, ledger.Committed, give.call.Hold)
		}
		if give.call != existing {
			b.retire(give.call, r.CallID)
		}
	}
	if left, err = hold(rows, amount); err != nil {
		return nil, 0, nil, err
	}
	c := b.dispatch(existing, r, k, opNo, amount)
	if give != nil {
		b.bookObject(c, r.Target)
	}
	return c, left, nil, nil
}

// lockedKey is a key and the budgets that it draws on today. They are locked
// before anything that the key says is believed.
func (b *Batch) lockedKey(keyID string) (*Key, []*Budget, error) {
	k, err := b.key(keyID)
	if err != nil {
		return nil, nil, err
	}
	locked := true
	if b.tx.ForUpdate() != "" {
		_, locked = b.budgets[runBudget(k.RunNo)]
	}
	rows, err := b.budgetsOf(k, b.day)
	if err == nil && !locked {
		delete(b.keys, keyID)
		k, err = b.key(keyID)
	}
	return k, rows, err
}

// hold puts an amount in flight on every budget and returns the smallest room left.
func hold(rows []*Budget, amount money.USD) (money.USD, error) {
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
// request is the same, down to the item that it is stamped with, and no send of
// it had or may still have an effect.
func reopens(c ledger.Call, r ledger.Reservation) bool {
	if c.Digest != r.Digest || c.Item != r.Item || c.Answered || c.Unproven != 0 {
		return false
	}
	switch c.State {
	case ledger.Released:
		// What had an object had an effect, whoever holds its amount now; unless it
		// only carried the hold of an object on which every send of it was refused.
		return c.Object == "" || c.FirstSentAt.IsZero()
	case ledger.Committed:
		return r.TakeOver == c.Seq && c.FirstSentAt.IsZero()
	default:
		return false
	}
}

// dead says why a key may not cause a new effect now, nil if it may.
func (b *Batch) dead(k *Key) *ledger.Denial {
	switch {
	case !k.RevokedAt.IsZero() || k.RunClosed:
		return &ledger.Denial{Reason: ledger.KeyRevoked}
	case !b.now.Before(k.ExpiresAt):
		return &ledger.Denial{Reason: ledger.KeyExpired}
	}
	return nil
}

// given is a committed hold that is about to pass to another call.
type given struct {
	call *Call
	rows []*Budget
}

func (b *Batch) takeOver(r ledger.Reservation, k *Key) (*given, error, error) {
	if r.TakeOver == 0 {
		return nil, nil, nil
	}
	from, err := b.call(r.TakeOver)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, ledger.ErrBookingMoved, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if from.State != ledger.Committed || from.Vendor != r.Vendor || from.Object != r.Target || from.RunNo != k.RunNo {
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
func (g *given) on(row *Budget) money.USD {
	if g == nil || !slices.Contains(g.rows, row) {
		return 0
	}
	return g.call.Hold
}

// deny finds the budget in which the hold has no room. Exhausted goes before
// contended: it is said when no call in flight could make room any more. Whoever
// finds others waiting for a budget waits behind them, and joins the line of the
// budget in which it is contended.
func (b *Batch) deny(k *Key, rows []*Budget, price, hold money.USD, give *given, t *ticket) *ledger.Denial {
	if limit := k.Terms.PerCallCap; limit != nil && price > *limit {
		return &ledger.Denial{
			Reason: ledger.CapExhausted, Kind: ledger.BudgetPerCall, Price: price, Budget: ledger.Budget{Cap: *limit},
		}
	}
	var contended *Budget
	for _, row := range rows {
		passed := give.on(row)
		if price == 0 && passed == hold {
			continue // cancelling must stay possible on a budget that is full
		}
		free := row.Cap - row.Settled - row.Committed - row.Unknown + passed
		if hold > free {
			return denial(ledger.CapExhausted, row, price)
		}
		if contended == nil && (hold > free-row.InFlight || (hold > passed && b.store.queue.ahead(row.id(), t))) {
			contended = row
		}
	}
	if contended == nil {
		return nil
	}
	if t != nil {
		b.store.queue.join(contended.id(), t)
		if b.store.marks && contended.ContendedUntil.Before(b.now.Add(contendedFor/2)) {
			contended.ContendedUntil, contended.dirty = b.now.Add(contendedFor), true
		}
	}
	return denial(ledger.CapContended, contended, price)
}

func denial(reason ledger.DenialReason, row *Budget, price money.USD) *ledger.Denial {
	return &ledger.Denial{Reason: reason, Kind: row.Kind(), Price: price, Budget: row.Budget, ResetsAt: row.ResetsAt()}
}

// retire ends the call whose hold has passed on; its answer stays for replay.
func (b *Batch) retire(from *Call, to string) {
	b.unbook(from)
	from.State, from.Reason = ledger.Released, "taken_over"
	from.FinalAt, from.Request, from.NextCheckAt, from.ClaimedUntil = b.now, nil, time.Time{}, time.Time{}
	b.touch(from)
	b.audit(auditOf(from.Call, ledger.AuditRow{Verdict: string(ledger.Released), Code: "taken_over:" + to, By: ledger.ByCaller}))
}

// dispatch is the call as its send leaves it: a new one, or one whose earlier
// sends had no effect, by whatever key asks now.
func (b *Batch) dispatch(old *Call, r ledger.Reservation, k *Key, opNo int64, amount money.USD) *Call {
	c := old
	if c == nil {
		c = &Call{RunNo: k.RunNo, Call: ledger.Call{
			ID: r.CallID, Digest: r.Digest, Tenant: k.Tenant, Run: k.Run, Vendor: r.Vendor, IdempotencyKey: r.IdempotencyKey,
			CreatedAt: b.now,
		}}
	}
	b.unbook(c)
	c.State, c.Reason, c.KeyNo, c.KeyID = ledger.Dispatched, "", k.No, k.ID
	c.OpNo, c.Operation, c.Method, c.Path = opNo, r.Operation, r.Method, r.Path
	c.Item, c.WorkflowID, c.Target, c.Object = r.Item, r.WorkflowID, r.Target, ""
	c.Hold, c.Amount, c.Declined = amount, 0, false
	c.Sends, c.Unproven, c.Checks = c.Sends+1, 1, 0
	c.ReservedAt, c.FirstSentAt, c.LastSentAt = b.now, b.now, b.now
	c.PriorSentAt, c.FinalAt, c.NextCheckAt, c.ClaimedUntil = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	c.CommittedAt = time.Time{}
	c.Day, c.Request, c.Epoch = b.day, r.Request, b.epoch
	if old == nil {
		b.insert(c)
	} else {
		c.reopened = true
		b.touch(c)
	}
	b.reserved = append(b.reserved, suspect{c.CallKey(), KeyDay{k.ID, b.day}})
	return c
}
