package vaultproxy_test

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// listed returns the calls in a state, as a person asks for them.
func (b *testBundle) listed(state string) []client.Call {
	b.t.Helper()
	page, err := b.control.Calls(b.t.Context(), client.CallQuery{State: state})
	require.NoError(b.t, err)
	return page.Calls
}

func TestCalls_InDoubtTellWhyTheyAreAndWhereToLook(t *testing.T) {
	t.Parallel()
	var blind atomic.Bool // the vendor answers no look-up
	b := setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && blind.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	key := b.issue(20*money.Dollar, func(r *client.IssueRequest) { r.Tenant, r.ExpiresIn = "acme", "96h" })
	row := b.inDoubt(key, "item-1", vendorsim.ClosedAfterRead)
	found := b.listed("unknown")
	require.Len(t, found, 1)
	got := found[0]
	require.Equal(t, row, got)
	require.Equal(t, "acme", got.Tenant)
	require.Equal(t, 1, got.Sends)
	require.NotNil(t, got.FirstSentAt)
	require.Equal(t, got.FirstSentAt, got.LastSentAt)
	require.Equal(t, "look in the Stripe dashboard for payment_intents with metadata tollgate_call="+got.CallID+
		", created around "+got.FirstSentAt.Format(time.RFC3339), got.Check)
	require.Contains(t, got.OpenBecause, "may still arrive at the vendor")
	require.True(t, got.NextCheckAt.After(*got.LastSentAt))

	b.clock.advance(pastFence)
	require.Contains(t, b.listed("unknown")[0].OpenBecause, "nobody has looked it up yet")
	blind.Store(true)
	require.NoError(t, b.proxy.Reconcile(t.Context()))
	require.Contains(t, b.listed("unknown")[0].OpenBecause, "have not shown yet")
	require.Equal(t, 1, b.listed("unknown")[0].Checks)
	b.clock.advance(24 * time.Hour)
	require.Contains(t, b.listed("unknown")[0].OpenBecause, "too old to be sent again")
	blind.Store(false)
	b.reconcile()
	require.Empty(t, b.listed("unknown"))

	id := b.create(key, "create", unconfirmed)
	committed := b.listed("committed")
	require.Len(t, committed, 1)
	require.Contains(t, committed[0].Check, id)
	require.Contains(t, committed[0].OpenBecause, "final amount")
	b.sim.NextFaults(vendorsim.ClosedAfterRead)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents+"/"+id+"/confirm", "confirm", "off_session=true").code())
	require.Contains(t, b.listed("unknown")[0].Check, id)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents+"/"+id+"/confirm", "confirm", "off_session=true").status)

	final := b.call("confirm")
	require.Empty(t, final.Check)
	require.Empty(t, final.OpenBecause)
	require.Nil(t, final.NextCheckAt)
}

// damage changes the ledger file behind the proxy's back.
func (b *testBundle) damage(statement string, args ...any) {
	b.t.Helper()
	b.stop()
	db, err := sql.Open("sqlite", b.path)
	require.NoError(b.t, err)
	_, err = db.ExecContext(b.t.Context(), statement, args...)
	require.NoError(b.t, err)
	require.NoError(b.t, db.Close())
	b.start()
}

func TestL11_ACallThatCannotBeReadIsSetAsideAndKeepsItsHold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ statement, because string }{
		"its request": {`UPDATE calls SET request = X'00010203' WHERE call_id = ?`, "cannot be opened"},
		"its row":     {`UPDATE calls SET digest = X'0001' WHERE call_id = ?`, "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(2 * money.Dollar)
			row := b.inDoubt(key, "item-1", vendorsim.AnswerLost)
			other := b.inDoubt(key, "item-2", vendorsim.AnswerLost)
			b.damage(tc.statement, row.CallID)

			for range 3 {
				b.reconcile()
			}
			found := b.listed("unknown")
			require.Len(t, found, 1)
			require.Equal(t, row.CallID, found[0].CallID)
			require.Contains(t, found[0].OpenBecause, tc.because)
			require.NotEmpty(t, found[0].Check)
			require.Greater(t, found[0].NextCheckAt.Sub(b.clock.now()), 20*time.Hour, "it must not stand in others' way")
			require.Equal(t, "settled", b.call("item-2").State, other.CallID)
			require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
			require.Equal(t, 1, strings.Count(b.logs.String(), "call cannot be proved"), "once")

			got := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, "outcome_unknown", got.code(), got.raw)
			b.clock.advance(48 * time.Hour)
			require.NoError(t, b.proxy.Reconcile(t.Context()))
			require.Equal(t, "unknown", b.call("item-1").State, "no time passes that releases it")
			b.sentOnce()
			require.Equal(t, http.StatusOK, b.resolve(row.CallID, bySettling).status, "a person may")
		})
	}
}

// oneLeader is a store whose lease a test hands out.
type oneLeader struct {
	ledger.Store
	leads atomic.Bool
	asked func(*oneLeader)
	due   atomic.Int32
	given atomic.Int32 // leases of no length: given up
}

func (s *oneLeader) Lead(_ context.Context, lease time.Duration) (bool, error) {
	if lease == 0 {
		s.given.Add(1)
		return true, nil
	}
	if s.asked != nil {
		s.asked(s)
	}
	return s.leads.Load(), nil
}

func (s *oneLeader) Due(ctx context.Context, limit int) ([]ledger.Call, error) {
	s.due.Add(1)
	return s.Store.Due(ctx, limit)
}

func TestL11_OnlyTheReplicaThatLeadsReconciles(t *testing.T) {
	t.Parallel()
	store := &oneLeader{}
	b := setup(t, setupOptions{store: func(next ledger.Store) ledger.Store { store.Store = next; return store }})
	key := b.issue(3 * money.Dollar)
	for _, item := range []string{"item-1", "item-2", "item-3"} {
		b.inDoubt(key, item, vendorsim.AnswerLost)
	}
	b.reconcile()
	require.Zero(t, store.due.Load(), "it does not even look what is due")
	require.Len(t, b.listed("unknown"), 3)

	store.leads.Store(true)
	asked := 0
	store.asked = func(s *oneLeader) {
		if asked++; asked == 3 { // before the round, before the first call, before the second one
			s.leads.Store(false)
		}
	}
	b.reconcile()
	require.Len(t, b.listed("unknown"), 2, "who no longer leads begins no further proof")

	store.leads.Store(true)
	b.reconcile()
	require.Empty(t, b.listed("unknown"))
	b.sentOnce()
	ctx, cancel := context.WithTimeout(t.Context(), forAsLongAsItTakes)
	defer cancel()
	require.NoError(t, b.proxy.Close(ctx))
	require.Equal(t, int32(1), store.given.Load(), "who leaves does not let the others wait")
}
