package pgtest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

func TestPrepared_PassesADatabaseOnAsItWasPrepared(t *testing.T) { //nolint:tparallel // one after the other
	t.Parallel()
	made := 0
	p := pgtest.Prepare(func(url string) error {
		made++
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return err
		}
		_, err = conn.Exec(t.Context(), `CREATE TABLE version (n int); INSERT INTO version VALUES (7);
			CREATE TABLE runs (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
			CREATE TABLE calls (run bigint REFERENCES runs (no))`)
		return errors.Join(err, conn.Close(t.Context()))
	})
	p.URL(t) // somebody holds one all the time
	var left *pgx.Conn
	for range 2 { //nolint:paralleltest // one after the other
		t.Run("a test that leaves rows and a transaction open", func(t *testing.T) {
			var err error
			left, err = pgx.Connect(context.Background(), p.URL(t))
			require.NoError(t, err)
			require.Equal(t, 7, query[int](t, left, "SELECT n FROM version"))
			require.Equal(t, 0, query[int](t, left, "SELECT count(*) FROM calls"))
			run(t, left, "WITH r AS (INSERT INTO runs DEFAULT VALUES RETURNING no) INSERT INTO calls SELECT no FROM r")
			run(t, left, "BEGIN")
			run(t, left, "INSERT INTO calls SELECT no FROM runs")
		})
		require.Error(t, left.Ping(t.Context()))
	}
	require.Equal(t, 2, made)
}

func TestPrepared_DropsWhatNobodyUses(t *testing.T) { //nolint:tparallel // the subtests' end is looked at
	t.Parallel()
	conn := connect(t, pgtest.URL(t))
	p := pgtest.Prepare(func(string) error { return nil })
	var name string
	t.Run("the only test", func(t *testing.T) {
		name = query[string](t, connect(t, p.URL(t)), "SELECT current_database()")
	})
	require.Equal(t, 0, query[int](t, conn, "SELECT count(*) FROM pg_database WHERE datname = $1", name))
}
