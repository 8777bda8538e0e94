package vaultproxy_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vendorsim"
)

// brokenStore fails where a test wants it to.
type brokenStore struct {
	ledger.Store
	key, recall, reserve, resolve, record atomic.Bool
	lostCommit                            atomic.Bool // Reserve commits and its answer is lost
	failed                                chan struct{}
	resolved                              chan ledger.State
}

func newBrokenStore() *brokenStore {
	return &brokenStore{failed: make(chan struct{}, 100), resolved: make(chan ledger.State, 100)}
}

func (s *brokenStore) around(real ledger.Store) ledger.Store {
	s.Store = real
	return s
}

func (s *brokenStore) Key(ctx context.Context, id string) (ledger.Key, error) {
	if s.key.Load() {
		return ledger.Key{}, ledger.ErrUnavailable
	}
	return s.Store.Key(ctx, id)
}

func (s *brokenStore) Recall(ctx context.Context, id string) (ledger.Call, error) {
	if s.recall.Load() {
		return ledger.Call{}, ledger.ErrUnavailable
	}
	return s.Store.Recall(ctx, id)
}

func (s *brokenStore) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	if s.reserve.Load() {
		return ledger.Reserved{}, ledger.ErrUnavailable
	}
	out, err := s.Store.Reserve(ctx, r)
	if s.lostCommit.Load() {
		return ledger.Reserved{}, ledger.ErrUnavailable
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

func TestL15_ARestartProvesWhatWasInFlight(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ executed bool }{
		"and was charged":     {true},
		"and was not charged": {false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(http.MethodPost)
			b := setup(t, setupOptions{upstream: g.wrap})
			key := b.issue(money.Dollar)
			if !tc.executed {
				b.sim.NextFaults(vendorsim.ClosedAfterRead)
			}
			first := b.inBackground(key.VaultKey, intents, "item-1", charge)
			<-g.entered
			require.NoError(t, b.store.Close()) // the process can write nothing any more
			close(g.open)
			require.Equal(t, "outcome_unknown", (<-first).code())
			b.stop()
			b.start()

			require.Equal(t, "unknown", b.call("item-1").State)
			require.Equal(t, "interrupted", b.call("item-1").Reason)
			require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
			got := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireBudget(0, money.Dollar)
			require.Equal(t, 1, b.sim.Truth().Charges)
			if tc.executed {
				b.sentOnce()
			}
		})
	}
}

func TestL15_ARestartKeepsKeysCapsAndRevocations(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(2 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	b.stop()
	b.start()
	require.Equal(t, key, b.issue(2*money.Dollar), "the token is derived, not stored")
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-2", charge).status)
	require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "item-3", charge).code())
	revoke(b, key)
	b.stop()
	b.start()
	require.Equal(t, "key_revoked", b.post(key.VaultKey, intents, "item-3", charge).code())
}

// panicking is a transport that panics as often as it is told to.
type panicking struct {
	next  http.RoundTripper
	times atomic.Int32
}

func (p *panicking) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && p.times.Add(-1) >= 0 {
		panic("while holding " + r.Header.Get("Authorization"))
	}
	return p.next.RoundTrip(r)
}

func TestPanic_OfTheTransportLeavesTheCallInDoubt(t *testing.T) {
	t.Parallel()
	store, transport := newBrokenStore(), &panicking{next: &http.Transport{}}
	b := setup(t, setupOptions{store: store.around, transport: transport})
	key := b.issue(money.Dollar)
	transport.times.Store(1)
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusBadGateway, got.status)
	require.Equal(t, "outcome_unknown", got.code())
	require.Equal(t, ledger.Unknown, <-store.resolved)
	require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	require.Equal(t, 1, b.sim.Truth().Charges)
}

// blowing is a vendor profile that panics where a test wants it to.
type blowing struct {
	vendors.Vendor
	judge, lookup atomic.Bool
}

func (v *blowing) around(real vendors.Vendor) vendors.Vendor {
	v.Vendor = real
	return v
}

func (v *blowing) Judge(s vendors.Sent, a vendors.Answer) vendors.Verdict {
	if v.judge.Load() {
		panic(string(a.Body))
	}
	return v.Vendor.Judge(s, a)
}

func (v *blowing) Lookup(ctx context.Context, s vendors.Sent, g vendors.Getter) (vendors.Finding, error) {
	if v.lookup.Load() {
		panic(string(s.Wire.Body))
	}
	return v.Vendor.Lookup(ctx, s, g)
}

func TestPanic_OfTheVendorsProfileLeavesTheCallInDoubtAndTheProxyUp(t *testing.T) {
	t.Parallel()
	store, vendor := newBrokenStore(), &blowing{}
	b := setup(t, setupOptions{store: store.around, vendor: vendor.around})
	key := b.issue(money.Dollar)
	vendor.judge.Store(true)
	vendor.lookup.Store(true)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
	require.Equal(t, ledger.Unknown, <-store.resolved)
	b.reconcile()
	require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
	require.NotContains(t, b.logs.String(), "cus_1")

	vendor.judge.Store(false)
	vendor.lookup.Store(false)
	b.reconcile()
	b.requireBudget(0, money.Dollar)
	b.sentOnce()
}
