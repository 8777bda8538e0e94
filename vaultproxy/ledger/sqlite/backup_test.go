package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
)

func TestBackup_IsWrittenOnceAndReadByItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path, folder := newPath(t), t.TempDir()
	s := open(t, path, nil)
	spend(t, s)
	file := filepath.Join(folder, "ledger.backup")
	require.NoError(t, sqlite.Backup(t.Context(), path, file))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing unfinished is left")

	before := contents(t, file)
	require.ErrorContains(t, sqlite.Backup(t.Context(), path, file), "is there already")
	require.Equal(t, before, contents(t, file))
	require.NoError(t, s.Close())

	require.NoError(t, sqlite.Backup(t.Context(), path, filepath.Join(folder, "of a ledger that nobody has open")))
	for _, name := range []string{"ledger.backup", "of a ledger that nobody has open"} {
		lines, err := sqlite.Verify(t.Context(), filepath.Join(folder, name))
		require.NoError(t, err)
		require.Empty(t, lines)
		restored := open(t, filepath.Join(folder, name), nil)
		require.Equal(t, s.LedgerID(), restored.LedgerID())
		require.NoError(t, restored.Close())
	}
}

func TestBackup_ThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	require.NoError(t, open(t, path, nil).Close())
	letter := newPath(t)
	require.NoError(t, os.WriteFile(letter, []byte(strings.Repeat("a letter and no ledger ", 500)), 0o600))
	newer := newPath(t)
	require.NoError(t, open(t, newer, nil).Close())
	raw(t, newer, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	for name, tc := range map[string]struct{ path, want string }{
		"no ledger":                  {filepath.Join(t.TempDir(), "nowhere.db"), "no such file"},
		"something else":             {letter, "file is not a database"},
		"a ledger of another schema": {newer, "schema version 99999"},
	} {
		folder := t.TempDir()
		err := sqlite.Backup(t.Context(), tc.path, filepath.Join(folder, "copy"))
		require.ErrorContains(t, err, tc.want, name)
		require.ErrorContains(t, err, "back up ledger "+tc.path, name)
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, entries, name)
	}
	require.Error(t, sqlite.Backup(t.Context(), path, filepath.Join(t.TempDir(), "no", "such", "folder")))
	dangling := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("/nonexistent/elsewhere", dangling))
	require.ErrorContains(t, sqlite.Backup(t.Context(), path, dangling), "is there already")
}

func TestVerify_ChangesNothingAndDisturbsNobody(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path, nil)
	spend(t, s)
	lines, err := sqlite.Verify(t.Context(), path)
	require.NoError(t, err, "beside a proxy at work")
	require.Empty(t, lines)
	require.NoError(t, s.Close())

	before := contents(t, path)
	lines, err = sqlite.Verify(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, lines)
	require.Equal(t, before, contents(t, path))
	raw(t, path, `UPDATE budgets SET settled = settled + 1`)
	lines, err = sqlite.Verify(t.Context(), path)
	require.NoError(t, err)
	require.NotEmpty(t, lines)
}

func TestMigrate_SaysWhichSchemaALedgerHadAndHas(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	_, _, err := sqlite.Migrate(t.Context(), path)
	require.ErrorIs(t, err, os.ErrNotExist, "it makes none")
	s := open(t, path, nil)
	_, _, err = sqlite.Migrate(t.Context(), path)
	require.ErrorContains(t, err, "another vault proxy holds it")
	require.NoError(t, s.Close())
	from, to, err := sqlite.Migrate(t.Context(), path)
	require.NoError(t, err)
	require.Positive(t, to)
	require.Equal(t, to, from)
	require.NoError(t, os.Truncate(path, 0)) // as one that was never migrated
	from, again, err := sqlite.Migrate(t.Context(), path)
	require.NoError(t, err)
	require.Zero(t, from)
	require.Equal(t, to, again)
	raw(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	_, _, err = sqlite.Migrate(t.Context(), path)
	require.ErrorContains(t, err, "run the newer program")
}
