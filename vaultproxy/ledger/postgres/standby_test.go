package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

// A server whose synchronous standby is away has every COMMIT wait. One whose wait is
// broken off is reported as done, with a warning: the standby that takes over does
// not have it, and would let it be spent once more.
func TestCommit_L3_ThatNoStandbyHasConfirmedIsInDoubt(t *testing.T) {
	t.Parallel()
	for name, breakOff := range map[string]string{
		"its wait is cancelled":        `SELECT pg_cancel_backend(pid)`,
		"its connection is terminated": `SELECT pg_terminate_backend(pid)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, pgtest.Private(t).URL(), 1, postgres.Config{Timeout: time.Minute})
			k := b.issue(spec(100))
			admin, probe := b.connect(), b.connect()
			exec := func(conn *pgx.Conn, sql string) error {
				_, err := conn.Exec(b.ctx, sql)
				return err
			}
			require.NoError(t, exec(admin, `SET synchronous_commit = local`))
			require.NoError(t, exec(admin, `CREATE TABLE probe (i int)`))
			require.NoError(t, exec(admin, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`))
			require.NoError(t, exec(admin, `SELECT pg_reload_conf()`))
			waits := func(sql string) func() bool {
				return func() bool {
					return query[bool](t, admin, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = $1)`, sql)
				}
			}
			probing, cancel := context.WithCancel(t.Context())
			defer cancel()
			probed := make(chan error, 1)
			go func() { // until the server has every commit wait
				var err error
				for err == nil && probing.Err() == nil {
					err = exec(probe, `INSERT INTO probe VALUES (1)`)
				}
				probed <- err
			}()
			becomes(t, "commits wait", waits(`INSERT INTO probe VALUES (1)`))

			reserved := make(chan error, 1)
			go func() {
				_, err := b.stores[0].Reserve(b.ctx, ask(k, "c", dollars(1)))
				reserved <- err
			}()
			becomes(t, "the reservation's commit waits", waits(`COMMIT`))
			require.NoError(t, exec(admin, breakOff+` FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'`))
			require.ErrorIs(t, <-reserved, ledger.ErrUnavailable)

			require.NoError(t, exec(admin, `ALTER SYSTEM RESET synchronous_standby_names`))
			require.NoError(t, exec(admin, `SELECT pg_reload_conf()`))
			cancel()
			require.NoError(t, <-probed)
			b.reserve(b.stores[0], ask(k, "next", dollars(1)))
			row, err := b.stores[0].Find(b.ctx, "c")
			require.NoError(t, err)
			require.Equal(t, []any{ledger.Unknown, "commit_in_doubt"}, []any{row.State, row.Reason})
		})
	}
}
