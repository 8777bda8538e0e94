package vaultproxy_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// brokenStore fails where a test wants it to.
type brokenStore struct {
	ledger.Store
	key, recall, reserve, resolve, record atomic.Bool
	lostCommit                            atomic.Bool // Reserve commits and its answer is lost
	slowCommit                            func()      // runs between a recorded send and its sending
	failed                                chan struct{}
	resolved                              chan ledger.State
}

func newBrokenStore() *brokenStore {
	return &brokenStore{failed: make(chan struct{}, 100), resolved: make(chan ledger.State, 100)}
}

func (s *brokenStore) around(next ledger.Store) ledger.Store {
	s.Store = next
	return s
}

func (s *brokenStore) Key(ctx context.Context, id string) (ledger.Key, error) {
	if s.key.Load() {
		return ledger.Key{}, ledger.ErrUnavailable
	}
	return s.Store.Key(ctx, id)
}

func (s *brokenStore) Recall(ctx context.Context, key ledger.CallKey) (ledger.Call, error) {
	if s.recall.Load() {
		return ledger.Call{}, ledger.ErrUnavailable
	}
	return s.Store.Recall(ctx, key)
}

func (s *brokenStore) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	if s.reserve.Load() {
		return ledger.Reserved{}, ledger.ErrUnavailable
	}
	out, err := s.Store.Reserve(ctx, r)
	if s.lostCommit.Load() {
		return ledger.Reserved{}, ledger.ErrUnavailable
	}
	if s.slowCommit != nil {
		s.slowCommit()
	}
	return out, err
}

func (s *brokenStore) Resend(ctx context.Context, seq int64, window time.Duration) (ledger.Call, error) {
	out, err := s.Store.Resend(ctx, seq, window)
	if s.slowCommit != nil {
		s.slowCommit()
	}
	return out, err
}

func (s *brokenStore) Resolve(ctx context.Context, r ledger.Resolution) (ledger.Call, bool, error) {
	if s.resolve.Load() {
		s.failed <- struct{}{}
		return ledger.Call{}, false, ledger.ErrUnavailable
	}
	c, moved, err := s.Store.Resolve(ctx, r)
	if err == nil {
		s.resolved <- c.State
	}
	return c, moved, err
}

func (s *brokenStore) Record(ctx context.Context, row ledger.AuditRow) error {
	if s.record.Load() {
		return ledger.ErrUnavailable
	}
	return s.Store.Record(ctx, row)
}

func TestL14_WhileTheLedgerCannotDecideNothingIsSent(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(*brokenStore) *atomic.Bool{
		"which key it is":     func(s *brokenStore) *atomic.Bool { return &s.key },
		"whether it was made": func(s *brokenStore) *atomic.Bool { return &s.recall },
		"whether it has room": func(s *brokenStore) *atomic.Bool { return &s.reserve },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newBrokenStore()
			b := setup(t, setupOptions{store: store.around})
			key := b.issue(money.Dollar)
			broken(store).Store(true)
			got := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, http.StatusServiceUnavailable, got.status)
			require.Equal(t, "ledger_unavailable", got.code(), got.raw)
			require.Empty(t, got.header.Get("Stripe-Should-Retry"))
			require.Zero(t, b.sim.Truth().Posts)
			broken(store).Store(false)
			require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
		})
	}
}

func TestL14_AVerdictThatCannotBeStoredIsKeptAndNotToldYet(t *testing.T) {
	t.Parallel()
	store := newBrokenStore()
	b := setup(t, setupOptions{store: store.around})
	key := b.issue(money.Dollar)
	store.resolve.Store(true)

	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusBadGateway, got.status)
	require.Equal(t, "outcome_unknown", got.code())
	<-store.failed // by the caller
	<-store.failed // by the one who keeps it
	require.Equal(t, "idempotency_in_flight", b.post(key.VaultKey, intents, "item-1", charge).code())
	require.Equal(t, "cap_contended", b.post(key.VaultKey, intents, "item-2", charge).code(), "the hold stays")

	store.resolve.Store(false)
	require.Equal(t, ledger.Settled, <-store.resolved)
	got = b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "true", got.header.Get("Tollgate-Replayed"))
	b.requireBudget(0, money.Dollar)
	b.sentOnce()
}

func TestL3_AReservationWhoseCommitIsInDoubtIsNotSent(t *testing.T) {
	t.Parallel()
	store := newBrokenStore()
	b := setup(t, setupOptions{store: store.around})
	key := b.issue(money.Dollar)
	store.lostCommit.Store(true)
	require.Equal(t, "ledger_unavailable", b.post(key.VaultKey, intents, "item-1", charge).code())
	require.Zero(t, b.sim.Truth().Posts)
	require.Equal(t, money.Dollar, b.report().Budget.ReservedUSD)

	store.lostCommit.Store(false)
	b.stop()
	b.start()
	require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
	b.clock.advance(pastFence)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	b.sentOnce()
}

func TestL6_ASendThatWasHeldUpIsNotMade(t *testing.T) {
	t.Parallel()
	store := newBrokenStore()
	b := setup(t, setupOptions{store: store.around})
	key := b.issue(money.Dollar)
	store.slowCommit = func() { b.clock.advance(6 * time.Second) }
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, "vendor_unavailable", got.code(), got.raw)
	require.Zero(t, b.sim.Truth().Posts)
	b.requireBudget(0, 0)

	store.slowCommit = nil
	b.sim.NextFaults(vendorsim.ClosedAfterRead)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
	store.slowCommit = func() { b.clock.advance(6 * time.Second) }
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code(), "nor is a resend")
	require.Equal(t, 1, b.sim.Truth().Posts)

	store.slowCommit = nil
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	b.requireBudget(0, money.Dollar)
}

func TestL14_AnAuditRowThatIsLostStopsNoCall(t *testing.T) {
	t.Parallel()
	store := newBrokenStore()
	b := setup(t, setupOptions{store: store.around})
	key := b.issue(money.Dollar)
	store.record.Store(true)
	require.Equal(t, "endpoint_not_allowed", b.get(key.VaultKey, "/stripe/v1/customers/cus_1").code())
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	require.Contains(t, b.logs.String(), "audit row lost")
}
