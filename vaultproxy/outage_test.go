package vaultproxy_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// stuckStore does what it is asked to, and does not say so before it is let go.
type stuckStore struct {
	ledger.Store
	reserve, resolve, recall atomic.Bool
	panics                   atomic.Bool
	stuck, did               chan struct{} // take a word when it is, and when it has done what it is stuck over
	letGo                    chan struct{}
}

func (s *stuckStore) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	if s.panics.Load() {
		panic("out of its mind")
	}
	if !s.reserve.Load() {
		return s.Store.Reserve(ctx, r)
	}
	s.stuck <- struct{}{}
	got, err := s.Store.Reserve(context.WithoutCancel(ctx), r)
	s.did <- struct{}{}
	<-s.letGo
	return got, err
}

func (s *stuckStore) Resolve(ctx context.Context, r ledger.Resolution) (ledger.Call, bool, error) {
	if !s.resolve.Load() {
		return s.Store.Resolve(ctx, r)
	}
	s.stuck <- struct{}{}
	row, moved, err := s.Store.Resolve(context.WithoutCancel(ctx), r)
	s.did <- struct{}{}
	<-s.letGo
	return row, moved, err
}

func (s *stuckStore) Recall(ctx context.Context, key ledger.CallKey) (ledger.Call, error) {
	if s.recall.Load() {
		s.stuck <- struct{}{}
		<-ctx.Done() // as a query does that waits for a connection
		return ledger.Call{}, fmt.Errorf("%w: %w", ledger.ErrUnavailable, ctx.Err())
	}
	return s.Store.Recall(ctx, key)
}

// hasty is a proxy that does not wait for the ledger for long. It stands beside
// the test's own, before the same ledger: what is not to be stuck is asked of
// that one, which waits for as long as it takes.
func (b *testBundle) hasty(store ledger.Store) *testBundle {
	b.t.Helper()
	beside := *b
	beside.opt.storeTimeout = 2 * time.Second
	beside.proxy = beside.newProxy(store)
	beside.front = serveQuietly(beside.proxy.Combined())
	b.t.Cleanup(beside.closeProxy)
	return &beside
}

func setupStuck(t *testing.T) (b, hasty *testBundle, store *stuckStore) {
	t.Helper()
	b = setup(t, setupOptions{})
	store = &stuckStore{
		Store: b.store, stuck: make(chan struct{}, 100), did: make(chan struct{}, 100), letGo: make(chan struct{}),
	}
	hasty = b.hasty(store)
	return b, hasty, store
}

// untilStuck asks until the ledger is stuck over the call, of which the caller is
// told that code. On a slow machine, another step may take too long before that.
func (b *testBundle) untilStuck(store *stuckStore, token, code string) {
	b.t.Helper()
	for {
		got := b.post(token, intents, "item-1", charge)
		select {
		case <-store.stuck:
			require.Equal(b.t, code, got.code(), got.raw)
			return
		default:
			require.Equal(b.t, "ledger_unavailable", got.code(), got.raw)
		}
	}
}

// untilCharged asks again, as a caller does, until the call was answered.
func (b *testBundle) untilCharged(token, item string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		got, err := b.try(token, intents, item, charge)
		return err == nil && got.status == http.StatusOK
	}, forAsLongAsItTakes, 10*time.Millisecond)
}

func TestL14_AReservationThatComesTooLateIsGivenBack(t *testing.T) {
	t.Parallel()
	b, hasty, store := setupStuck(t)
	key := b.issue(money.Dollar)
	store.reserve.Store(true)
	hasty.untilStuck(store, key.VaultKey, "ledger_unavailable")
	<-store.did
	require.Equal(t, "dispatched", b.call("item-1").State, "the ledger did it, and nobody was told")

	store.reserve.Store(false)
	close(store.letGo)
	b.untilCharged(key.VaultKey, "item-1")
	b.requireBudget(0, money.Dollar)
	require.Equal(t, 1, b.sim.Truth().Posts)
	require.Contains(t, b.logs.String(), "came too late")
}

func TestL14_AVerdictThatTakesTooLongIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	b, hasty, store := setupStuck(t)
	key := b.issue(money.Dollar)
	store.resolve.Store(true)
	hasty.untilStuck(store, key.VaultKey, "outcome_unknown")
	store.resolve.Store(false)
	close(store.letGo)
	b.untilCharged(key.VaultKey, "item-1")
	b.requireBudget(0, money.Dollar)
	b.sentOnce()
}

func TestL14_AReadThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	b, hasty, store := setupStuck(t)
	key := b.issue(money.Dollar)
	store.recall.Store(true)
	hasty.untilStuck(store, key.VaultKey, "ledger_unavailable")
	require.Zero(t, b.sim.Truth().Posts)
	store.recall.Store(false)
	hasty.untilCharged(key.VaultKey, "item-1")
}

func TestL14_AStoreThatPanicsEndsOneCallAndNotTheProxy(t *testing.T) {
	t.Parallel()
	store := &stuckStore{}
	b := setup(t, setupOptions{store: func(next ledger.Store) ledger.Store { store.Store = next; return store }})
	key := b.issue(money.Dollar)
	store.panics.Store(true)
	require.Equal(t, "ledger_unavailable", b.post(key.VaultKey, intents, "item-1", charge).code())
	require.Zero(t, b.sim.Truth().Posts)
	store.panics.Store(false)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
}

func TestL14_ALedgerThatSomebodyElseHoldsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	hasty := b.hasty(b.store)
	key := b.issue(money.Dollar)
	db, err := sql.Open("sqlite", b.path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	other, err := db.Conn(t.Context())
	require.NoError(t, err)
	_, err = other.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	require.NoError(t, err)

	got := hasty.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "ledger_unavailable", got.code(), got.raw)
	require.Equal(t, "ledger_unavailable", hasty.admin(http.MethodDelete, "/vault/keys/"+key.KeyID+"x", "").code(), "nor does the control plane")
	require.Zero(t, b.sim.Truth().Posts)

	_, err = other.ExecContext(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	require.NoError(t, other.Close())
	b.untilCharged(key.VaultKey, "item-1")
	b.requireBudget(0, money.Dollar)
	require.Equal(t, 1, b.sim.Truth().Posts)
}

// pragma changes the writing connection of the ledger.
func (b *testBundle) pragma(statement string) {
	b.t.Helper()
	require.NoError(b.t, b.store.Write(b.t.Context(), func(batch *sqlstore.Batch) error {
		var now any
		return batch.Tx().QueryRow(statement).Scan(&now)
	}))
}

func TestL14_OnAFileThatCannotBeWrittenNothingIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "before", charge).status)
	_ = b.store.Write(t.Context(), func(batch *sqlstore.Batch) error {
		_, err := batch.Tx().Exec(`PRAGMA query_only = 1`)
		return err
	})
	posts := b.sim.Truth().Posts
	for range 3 {
		got := b.post(key.VaultKey, intents, "item-1", charge)
		require.Equal(t, "ledger_unavailable", got.code(), got.raw)
	}
	require.Equal(t, "ledger_unavailable", b.admin(http.MethodDelete, "/vault/keys/"+key.KeyID, "").code())
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "before", charge).status, "what is known is still answered")
	require.Equal(t, posts, b.sim.Truth().Posts)
	require.NotContains(t, b.logs.String(), "panic")
	b.stop()
	b.start() // as after the file was made writable again
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
}

func TestL14_OnAFullDiskNothingIsSentUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(1000 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "before", charge).status)
	b.pragma(`PRAGMA max_page_count = 1`) // it cannot be less than it is
	full := ""
	for i := range 500 {
		posts := b.sim.Truth().Posts
		item := fmt.Sprintf("item-%d", i)
		got := b.post(key.VaultKey, intents, item, charge)
		if got.code() == "ledger_unavailable" {
			require.Equal(t, http.StatusServiceUnavailable, got.status)
			require.Equal(t, posts, b.sim.Truth().Posts, "nothing was sent")
			full = item
			break
		}
		require.Contains(t, []string{"", "outcome_unknown"}, got.code(), got.raw)
	}
	require.NotEmpty(t, full, "the disk was never full")
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "before", charge).status, "what is known is still answered")

	b.pragma(`PRAGMA max_page_count = 1000000`)
	b.untilCharged(key.VaultKey, full)
	require.Eventually(t, func() bool { return b.report().Calls.InFlight == 0 }, forAsLongAsItTakes, 10*time.Millisecond, "kept verdicts are stored")
	b.sentOnce()
}
