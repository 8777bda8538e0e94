package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

func TestPrivate_IsEmptyAndDurable(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Private(t).URL())
	require.Equal(t, 0, query[int](t, conn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		require.Equal(t, "on", query[string](t, conn, "SHOW "+setting), setting)
	}
	require.Equal(t, "127.0.0.1", query[string](t, conn, "SHOW listen_addresses"))
}

func TestPrivate_KeepsWhatWasCommittedWhereItWas(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*pgtest.Server, testing.TB){
		"through a stop":  (*pgtest.Server).Stop,
		"through a crash": (*pgtest.Server).Crash,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pgtest.Private(t)
			url := s.URL()
			conn := connect(t, url)
			run(t, conn, "CREATE TABLE calls (id text)")
			run(t, conn, "INSERT INTO calls VALUES ('committed')")
			run(t, conn, "BEGIN")
			run(t, conn, "INSERT INTO calls VALUES ('rolled back')")

			end(s, t)
			require.Error(t, conn.Ping(t.Context()))
			s.Start(t)
			require.Equal(t, url, s.URL())
			require.Equal(t, "committed", query[string](t, connect(t, url), "SELECT string_agg(id, ',') FROM calls"))
		})
	}
}

func TestPrivate_IsDownBetweenStopAndStart(t *testing.T) {
	t.Parallel()
	s := pgtest.Private(t)
	s.Stop(t)
	_, err := pgx.Connect(t.Context(), s.URL())
	require.ErrorContains(t, err, "refused")
	s.Start(t)
	connect(t, s.URL())
}

func TestPrivateWith_AppliesSettingsThroughRestarts(t *testing.T) {
	t.Parallel()
	s := pgtest.PrivateWith(t, map[string]string{"fsync": "off", "max_connections": "7"})
	s.Restart(t)
	conn := connect(t, s.URL())
	require.Equal(t, "off", query[string](t, conn, "SHOW fsync"))
	require.Equal(t, "7", query[string](t, conn, "SHOW max_connections"))
}
