package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

func TestOpen_RefusesAServerThatMayForgetWhatItCommitted(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"fsync", "full_page_writes"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			server := pgtest.PrivateWith(t, map[string]string{setting: "off"})
			_, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL()})
			require.ErrorContains(t, err, setting+" off")
		})
	}
	t.Run("synchronous_commit", func(t *testing.T) {
		t.Parallel()
		url := pgtest.URL(t)
		b := &bundle{t: t, ctx: t.Context(), url: url}
		conn := b.connect()
		name := query[string](t, conn, `SELECT current_database()`)
		_, err := conn.Exec(t.Context(), `ALTER DATABASE `+name+` SET synchronous_commit = off`)
		require.NoError(t, err)
		_, err = postgres.Open(t.Context(), postgres.Config{URL: url})
		require.ErrorContains(t, err, "synchronous_commit off")
	})
}

func TestOpen_RefusesASchemaThatIsNewerThanTheProgram(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	b := setup(t, url, 1, postgres.Config{})
	_, err := b.connect().Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	require.NoError(t, err)
	_, err = postgres.Open(t.Context(), postgres.Config{URL: url})
	require.ErrorContains(t, err, "schema version 9999")
	require.ErrorContains(t, err, "run the newer program")
}

func TestOpen_SaysWhyItCannotConnectAndNotThePassword(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	elsewhere := strings.Replace(pgtest.URL(t), "postgres://", "postgres://nobody:"+password+"@", 1)
	elsewhere = strings.Replace(elsewhere, "@postgres@", "@", 1)
	for url, says := range map[string]string{
		elsewhere: "nobody",
		"postgres://tollgate:" + password + "@127.0.0.1:1/tollgate":      "cannot be reached",
		"postgres://tollgate:" + password + "@127.0.0.1:x/tollgate":      "cannot be read",
		"postgres://tollgate:" + password + "@a b/tollgate":              "cannot be read",
		"host=127.0.0.1 port=1 user=tollgate password='" + password:      "cannot be read",
		"mysql://tollgate:" + password + "@127.0.0.1:1/tollgate":         "cannot be read",
		"postgres://tollgate:" + password + "@127.0.0.1:1/t?sslmode=odd": "cannot be read",
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: url, Timeout: forAsLongAsItTakes})
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), password)
	}
}

func TestStore_L14_AServerThatIsStartedAnewUnderLoadLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(*testing.T, *pgtest.Server){
		"in order": func(t *testing.T, s *pgtest.Server) { t.Helper(); s.Restart(t) },
		"by a crash": func(t *testing.T, s *pgtest.Server) {
			t.Helper()
			s.Crash(t)
			s.Start(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Private(t)
			b := setup(t, server.URL(), 2, postgres.Config{})
			l := b.load(b.issue(spec(1_000_000)))
			for range 2 {
				l.more(100)
				restart(t, server)
			}
			l.more(100)
			l.end()
		})
	}
}

// hasty is a replica that does not wait for the server for long. Whatever must not
// be turned away is asked of another one.
func (b *bundle) hasty() *postgres.Store {
	b.t.Helper()
	var s *postgres.Store
	becomes(b.t, "it is open", func() bool {
		var err error
		s, err = postgres.Open(b.ctx, postgres.Config{URL: b.url, Timeout: 2 * time.Second})
		return err == nil
	})
	b.t.Cleanup(func() { require.NoError(b.t, s.Close()) })
	return s
}

func TestStore_L14_ADatabaseThatIsHeldUpTurnsCallersAwayAndIsBackByItself(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 1, postgres.Config{})
	k := b.issue(spec(1000))
	s := b.hasty()
	locker := b.connect()
	for _, table := range []string{"budgets", "keys", "calls", "owners"} {
		_, err := locker.Exec(b.ctx, `BEGIN; LOCK TABLE `+table)
		require.NoError(t, err)
		// They return while it is still held up.
		for _, err := range inParallel(20, func(i int) error {
			_, err := s.Reserve(b.ctx, ask(k, table+numbered("", i), dollars(1)))
			return err
		}) {
			require.ErrorIs(t, err, ledger.ErrUnavailable, table)
		}
		_, err = locker.Exec(b.ctx, `ROLLBACK`)
		require.NoError(t, err)
		becomes(t, "it is back", func() bool {
			_, err := s.Reserve(b.ctx, ask(k, "after_"+table, dollars(1)))
			var e *ledger.Exists
			if err != nil {
				require.NotErrorAs(t, err, &e)
				require.ErrorIs(t, err, ledger.ErrUnavailable)
			}
			return err == nil
		})
	}
	calls, err := b.stores[0].Calls(b.ctx, ledger.CallFilter{})
	require.NoError(t, err)
	require.Len(t, calls, 4, "nothing is left of those that were turned away")
}

func TestStore_L14_ReadersThatAreHeldUpKeepNoCallFromBeingBooked(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 1, postgres.Config{})
	s := b.stores[0]
	k := b.issue(spec(1000))
	locker := b.connect()
	_, err := locker.Exec(b.ctx, `BEGIN; LOCK TABLE daily_totals`)
	require.NoError(t, err)
	reports := make(chan []error, 1)
	go func() {
		reports <- inParallel(40, func(int) error {
			_, err := s.RunReports(b.ctx, runLabel)
			return err
		})
	}()
	other := b.connect()
	becomes(t, "reports wait", func() bool {
		return query[int](t, other, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`) >= 8
	})
	c := b.reserve(s, ask(k, "c", dollars(1)))
	require.NoError(t, settle(b.ctx, s, c))
	_, err = locker.Exec(b.ctx, `ROLLBACK`)
	require.NoError(t, err)
	for _, err := range <-reports {
		require.NoError(t, err)
	}
}

// A ledger of many calls is summed up for longer than any call may wait.
func TestVerify_TakesLongerThanACallMayWait(t *testing.T) {
	t.Parallel()
	const timeout = 200 * time.Millisecond
	b := setup(t, ledgers.URL(t), 1, postgres.Config{Timeout: timeout})
	locker, watch := b.connect(), b.connect()
	_, err := locker.Exec(b.ctx, `BEGIN; LOCK TABLE daily_totals`)
	require.NoError(t, err)
	type result struct {
		lines []string
		err   error
	}
	verified := make(chan result, 1)
	go func() {
		lines, err := b.stores[0].Verify(b.ctx)
		verified <- result{lines, err}
	}()
	becomes(t, "it has waited for longer", func() bool {
		select {
		case got := <-verified:
			verified <- got
			return true
		default:
		}
		return query[bool](t, watch, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
			AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > $1::bigint * interval '1 millisecond')`, 3*timeout.Milliseconds())
	})
	_, err = locker.Exec(b.ctx, `ROLLBACK`)
	require.NoError(t, err)
	got := <-verified
	require.NoError(t, got.err)
	require.Empty(t, got.lines)
}
