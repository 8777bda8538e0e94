package postgres_test

import (
	"testing"
	"time"

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
	waiting := func(n int) func() bool {
		return func() bool {
			return query[int](t, watch, `SELECT count(DISTINCT pid)::int FROM pg_locks
				WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`) == n
		}
	}
	done := make(chan error, 2)
	go func() { done <- settle(b.ctx, b.stores[0], one) }()
	becomes(t, "the first waits", waiting(1))
	go func() { done <- settle(b.ctx, b.stores[1], two) }()
	becomes(t, "the second waits for the first", waiting(2))
	_, err = holdUp.Exec(b.ctx, `COMMIT`)
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.NoError(t, <-done)

	b.sound(b.stores[0])
	require.EqualValues(t, dollars(30), query[int64](t, watch, `SELECT settled FROM budgets WHERE scope = 'tenant' AND span = '2026-11-23'`))
}
