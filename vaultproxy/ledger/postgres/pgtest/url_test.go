package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var got T
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&got))
	return got
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func TestURL_LeadsToAnEmptyDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	const tables = `SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`
	one, other := connect(t, pgtest.URL(t)), connect(t, pgtest.URL(t))
	run(t, one, "CREATE TABLE calls (id text)")
	require.Equal(t, 1, query[int](t, one, tables))
	require.Equal(t, 0, query[int](t, other, tables))
	require.Equal(t, "UTF8", query[string](t, other, "SHOW server_encoding"))
}

func TestURL_IsDroppedAtTheEndOfTheTestThoughInUse(t *testing.T) { //nolint:tparallel // the subtest's end is looked at
	t.Parallel()
	const exists = "SELECT count(*) FROM pg_database WHERE datname = $1"
	conn := connect(t, pgtest.URL(t))
	var name string
	var left *pgx.Conn
	t.Run("a test that leaves a connection open", func(t *testing.T) {
		var err error
		left, err = pgx.Connect(t.Context(), pgtest.URL(t))
		require.NoError(t, err)
		name = query[string](t, left, "SELECT current_database()")
		require.Equal(t, 1, query[int](t, conn, exists, name))
	})
	require.Equal(t, 0, query[int](t, conn, exists, name))
	require.Error(t, left.Ping(t.Context()))
}
