package sqlite_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestOpen_RefusesAFileThatIsOpen(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	first := open(t, path, nil)
	link := filepath.Join(t.TempDir(), "by another name.db")
	require.NoError(t, os.Symlink(path, link))
	for _, name := range []string{path, link} {
		_, err := sqlite.Open(t.Context(), sqlite.Config{Path: name})
		require.ErrorContains(t, err, "another vault proxy holds it")
		require.ErrorContains(t, err, name)
	}
	require.NoError(t, first.Record(t.Context(), ledger.AuditRow{}), "the refused ones did it no harm")
	require.NoError(t, first.Close())
	require.NoError(t, open(t, link, nil).Close())
}

func TestOpen_RefusesASchemaThatIsNewerThanTheProgram(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	require.NoError(t, open(t, path, nil).Close())
	raw(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	before := contents(t, path)
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.ErrorContains(t, err, "schema version 99999")
	require.ErrorContains(t, err, "run the newer program")
	require.Equal(t, before, contents(t, path))
}

func TestOpen_MakesAFileThatOnlyItsOwnerReads(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path, nil)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.Record(t.Context(), ledger.AuditRow{}))
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
	}
}

func TestOpen_ReportsAFileThatIsNoLedger(t *testing.T) {
	t.Parallel()
	sound := newPath(t)
	require.NoError(t, open(t, sound, nil).Close())
	whole := contents(t, sound)
	const page = 4096
	cases := map[string][]byte{
		"no database at all":              []byte("this is a letter and not a ledger, however long it gets"),
		"a header and then nothing":       whole[:100],
		"cut in the middle":               whole[:len(whole)/2],
		"its schema page is overwritten":  append(append(bytes.Clone(whole[:100]), bytes.Repeat([]byte{0xA5}, page-100)...), whole[page:]...),
		"all but its header is scrambled": append(bytes.Clone(whole[:100]), bytes.Repeat([]byte{0xA5}, len(whole)-100)...),
	}
	for name, content := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			require.NoError(t, os.WriteFile(path, content, 0o600))
			_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			require.ErrorContains(t, err, "open ledger "+path)
			// It was let go of again.
			_, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
			require.NotContains(t, err.Error(), "another vault proxy")
		})
	}
}

func TestOpen_SaysWhatIsWrongWithItsPath(t *testing.T) {
	t.Parallel()
	_, err := sqlite.Open(t.Context(), sqlite.Config{})
	require.EqualError(t, err, "open ledger: no path")
	_, err = sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "missing", "ledger.db")})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestVerify_L2_FindsWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ damage, want string }{
		"a counter was changed":       {`UPDATE budgets SET settled = settled + 1 WHERE scope = 'key'`, "settled is 3.000001, its calls say 3.00"},
		"a hold was dropped":          {`UPDATE budgets SET in_flight = 0 WHERE scope = 'run'`, "in flight is 0.00, its calls say 4.00"},
		"a call is gone":              {`DELETE FROM calls WHERE state = 'unknown'`, "unknown is 5.00, its calls say 0.00"},
		"a call was moved":            {`UPDATE calls SET state = 'released' WHERE state = 'committed'`, "committed is 6.00, its calls say 0.00"},
		"an amount was changed":       {`UPDATE calls SET amount = amount - 1 WHERE state = 'settled'`, "settled is 3.00, its calls say 2.999999"},
		"a call's operation is gone":  {`DELETE FROM operations`, "names a row of operations that does not exist"},
		"a cap was lifted by stealth": {`UPDATE budgets SET allowed = allowed + 1`, "100.000001 allowed of a cap of 100.00"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			s := open(t, path, nil)
			defer func() { require.NoError(t, s.Close()) }()
			spend(t, s)
			lines, err := s.Verify(t.Context())
			require.NoError(t, err)
			require.Empty(t, lines)
			raw(t, path, c.damage)
			lines, err = s.Verify(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, lines)
			require.Contains(t, lines[len(lines)-1], c.want)
		})
	}
}

func TestSchema_L1_RefusesMoreThanIsAllowed(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path, nil)
	defer func() { require.NoError(t, s.Close()) }()
	spend(t, s)
	db := rawDB(t, path)
	for _, counter := range []string{"settled", "in_flight", "committed", "unknown"} {
		_, err := db.ExecContext(t.Context(), `UPDATE budgets SET `+counter+` = `+counter+` + allowed`)
		require.ErrorContains(t, err, "CHECK constraint failed", counter)
		_, err = db.ExecContext(t.Context(), `UPDATE budgets SET `+counter+` = -1`)
		require.ErrorContains(t, err, "CHECK constraint failed", counter)
	}
}

// spend leaves one call in each state: $3 settled, $4 in flight, $5 unknown, $6 committed.
func spend(t *testing.T, s *sqlite.Store) {
	t.Helper()
	limit := 100 * money.Dollar
	k, _, err := s.Issue(t.Context(), ledger.KeySpec{
		KeyID: "key_1", IssueID: "issue_1", Run: "run", Vendor: "stripe", Digest: "d", ExpiresIn: time.Hour,
		Terms: ledger.Terms{TotalCap: &limit},
	})
	require.NoError(t, err)
	for i, outcome := range []ledger.Outcome{ledger.OutcomeSettled, "", ledger.OutcomeUnknown, ledger.OutcomeCommitted} {
		price := money.USD(i+3) * money.Dollar
		id := "call_" + price.String()
		got, err := s.Reserve(t.Context(), ledger.Reservation{CallID: id, IdempotencyKey: id, KeyID: k.ID, Vendor: "stripe", Price: price})
		require.NoError(t, err)
		if outcome == "" {
			continue
		}
		_, _, err = s.Resolve(t.Context(), ledger.Resolution{Seq: got.Call.Seq, Outcome: outcome, Amount: price})
		require.NoError(t, err)
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// rawDB reaches past the store.
func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func raw(t *testing.T, path, statement string) {
	t.Helper()
	db := rawDB(t, path)
	res, err := db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
	n, err := res.RowsAffected()
	require.NoError(t, err)
	require.NotZero(t, n, "the statement changed nothing")
	require.NoError(t, db.Close())
}
