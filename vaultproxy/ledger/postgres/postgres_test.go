package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/ledgertest"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

func TestStore_KeepsTheRulesOfTheLedger(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, func(t *testing.T, now func() time.Time) ledger.Store {
		t.Helper()
		return open(t, pgtest.URL(t), now)
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
	url := pgtest.URL(t)
	return func(now func() time.Time) (ledger.Store, error) {
		return postgres.Open(t.Context(), postgres.Config{URL: url, Now: now})
	}
}

func open(t *testing.T, url string, now func() time.Time) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Now: now})
	require.NoError(t, err)
	return s
}
