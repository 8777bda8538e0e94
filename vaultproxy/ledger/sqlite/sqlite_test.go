package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/ledgertest"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
)

func TestStore_KeepsTheRulesOfTheLedger(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, func(t *testing.T, now func() time.Time) ledger.Store {
		t.Helper()
		return open(t, newPath(t), now)
	})
}

func TestStore_KeepsTheRulesOverARestart(t *testing.T) {
	t.Parallel()
	ledgertest.RunRestarts(t, place)
}

func TestStore_IsTheModelUnderRandomHistories(t *testing.T) {
	t.Parallel()
	ledgertest.RunModel(t, place)
}

func place(t *testing.T) func(now func() time.Time) (ledger.Store, error) {
	t.Helper()
	path := newPath(t)
	return func(now func() time.Time) (ledger.Store, error) {
		return sqlite.Open(t.Context(), sqlite.Config{Path: path, Now: now})
	}
}

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "ledger.db")
}

func open(t *testing.T, path string, now func() time.Time) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Now: now})
	require.NoError(t, err)
	return s
}
