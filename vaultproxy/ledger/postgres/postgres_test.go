package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/ledgertest"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

// ledgers are databases with the ledger's schema in them.
var ledgers = pgtest.Prepare(func(url string) error {
	ctx := context.Background()
	s, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `TRUNCATE ledger, owners RESTART IDENTITY`)
	return errors.Join(err, conn.Close(ctx))
})

func TestStore_KeepsTheRulesOfTheLedger(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, func(t *testing.T, now func() time.Time) ledger.Store {
		t.Helper()
		return open(t, ledgers.URL(t), now)
	})
}

func TestStore_KeepsTheRulesOverARestart(t *testing.T) {
	t.Parallel()
	ledgertest.RunRestarts(t, place)
}

func TestStore_IsTheModelUnderRandomHistories(t *testing.T) {
	t.Parallel()
	url := ledgers.URL(t)
	ledgertest.RunModel(t, func(t *testing.T) func(now func() time.Time) (ledger.Store, error) {
		t.Helper()
		ledgers.Empty(t, url) // one history is over when the next one begins
		return at(t, url)
	})
}

func place(t *testing.T) func(now func() time.Time) (ledger.Store, error) {
	t.Helper()
	return at(t, ledgers.URL(t))
}

// at opens the ledger that is there, again and again.
func at(t *testing.T, url string) func(now func() time.Time) (ledger.Store, error) {
	t.Helper()
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
