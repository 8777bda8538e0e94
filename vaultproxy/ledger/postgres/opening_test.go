package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/ledgertest"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
)

// The budget of a day that is over is opened by the first call of it that ends after
// the tenant got its cap: on two replicas, two may be the first.
func TestReplicas_L2_TheBudgetOfAnEarlierDayIsOpenedOnceByTwoThatNeedIt(t *testing.T) {
	t.Parallel()
	clock := ledgertest.NewClock()
	b := setup(t, ledgers.URL(t), 2, postgres.Config{Now: clock.Now, Lease: 100 * time.Hour})
	keys := b.runsOf("acme")
	one := b.reserve(b.stores[0], ask(keys[0], "one", dollars(10)))
	two := b.reserve(b.stores[1], ask(keys[1], "two", dollars(20)))
	clock.Advance(13 * time.Hour)
	_, err := b.stores[0].SetCap(b.ctx, ledger.CapChange{
		Scope: ledger.ScopeTenant, Name: "acme", Tenant: "acme", Span: ledger.SpanDay, Cap: dollars(50), Who: "ann",
	})
	require.NoError(t, err)
	clock.Advance(24 * time.Hour) // of today there is no budget yet that both would lock

	// Whoever comes first stops at its audit row, with the budget opened and not committed.
	holdUp := b.connect()
	_, err = holdUp.Exec(b.ctx, `BEGIN; LOCK TABLE audit IN SHARE MODE`)
	require.NoError(t, err)
	watch := b.connect()
	done := make(chan error, 2)
	go func() { done <- settle(b.ctx, b.stores[0], one) }()
	becomes(t, "the first waits", b.waiting(watch, 1))
	go func() { done <- settle(b.ctx, b.stores[1], two) }()
	becomes(t, "the second waits for the first", b.waiting(watch, 2))
	_, err = holdUp.Exec(b.ctx, `COMMIT`)
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.NoError(t, <-done)

	b.sound(b.stores[0])
	require.EqualValues(t, dollars(30), query[int64](t, watch, `SELECT settled FROM budgets WHERE scope = 'tenant' AND span = '2026-11-23'`))
}

// What is pruned goes from the calls to the totals in one commit: whoever opens a
// budget meanwhile counts it once.
func TestReplicas_L2_ATenantsFirstCapCountsOnceWhatIsJustBeingPruned(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 1, postgres.Config{})
	k := b.runsOf("acme")[0]
	require.NoError(t, settle(b.ctx, b.stores[0], b.reserve(b.stores[0], ask(k, "one", dollars(10)))))
	prune := b.connect()
	_, err := prune.Exec(b.ctx, `BEGIN; LOCK TABLE daily_totals IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	watch := b.connect()
	opened := make(chan ledger.Budget, 1)
	done := make(chan error, 1)
	go func() {
		budget, err := b.stores[0].SetCap(b.ctx, ledger.CapChange{
			Scope: ledger.ScopeTenant, Name: "acme", Tenant: "acme", Span: ledger.SpanTotal, Cap: dollars(50), Who: "ann",
		})
		opened <- budget
		done <- err
	}()
	becomes(t, "the totals are waited for", b.waiting(watch, 1))
	_, err = prune.Exec(b.ctx, `INSERT INTO daily_totals (run_no, issue_id, vendor, day_no, settled, settled_calls, released_calls, declined_calls)
		SELECT c.run_no, k.issue_id, c.vendor, c.reserved_at / 86400000000, c.amount, 1, 0, 0 FROM calls c JOIN keys k ON k.key_no = c.key_no;
		DELETE FROM answers; DELETE FROM calls; COMMIT`)
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.Equal(t, dollars(10), (<-opened).Settled)
}

// waiting reports whether so many sessions wait for a lock in the database.
func (b *bundle) waiting(watch *pgx.Conn, n int) func() bool {
	return func() bool {
		return query[int](b.t, watch, `SELECT count(DISTINCT pid)::int FROM pg_locks
			WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`) == n
	}
}
