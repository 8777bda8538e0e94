package main

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// withoutIdempotency takes every attempt for a new call: what retries did to
// customers before there was a vault proxy.
type withoutIdempotency struct {
	ledger.Store
	attempts atomic.Int64
}

func (*withoutIdempotency) Recall(context.Context, ledger.CallKey) (ledger.Call, error) {
	return ledger.Call{}, ledger.ErrNotFound
}

func (s *withoutIdempotency) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	attempt := "_" + strconv.FormatInt(s.attempts.Add(1), 10)
	r.CallID, r.IdempotencyKey, r.RunNo = r.CallID+attempt, r.IdempotencyKey+attempt, 0
	return s.Store.Reserve(ctx, r)
}

// checkThenAct looks at what is settled, and books what it did afterwards: the
// way of a gateway that counts after the call. The store below gets caps that
// never bind.
type checkThenAct struct {
	ledger.Store
	mu    sync.Mutex
	terms ledger.Terms
}

const noCap = 1_000_000_000 * money.Dollar

func (s *checkThenAct) Issue(ctx context.Context, spec ledger.KeySpec) (ledger.Key, bool, error) {
	s.mu.Lock()
	s.terms = spec.Terms
	s.mu.Unlock()
	limit := noCap
	for _, c := range []**money.USD{&spec.Terms.DailyCap, &spec.Terms.TotalCap, &spec.Terms.RunCap} {
		if *c != nil {
			*c = &limit
		}
	}
	return s.Store.Issue(ctx, spec)
}

func (s *checkThenAct) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	use, err := s.KeyUse(ctx, r.KeyID)
	if err != nil {
		return ledger.Reserved{}, err
	}
	s.mu.Lock()
	limit := s.terms.EffectiveRunCap()
	s.mu.Unlock()
	for _, b := range use.Budgets {
		if b.Settled+r.Price > limit {
			b.Cap = limit
			return ledger.Reserved{}, &ledger.Denial{Reason: ledger.CapExhausted, Kind: b.Kind(), Price: r.Price, Budget: b}
		}
	}
	return s.Store.Reserve(ctx, r)
}
