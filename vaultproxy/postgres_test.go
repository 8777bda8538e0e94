package vaultproxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

// inPostgres are databases with the ledger's schema in them.
var inPostgres = pgtest.Prepare(func(url string) error {
	s, err := postgres.Open(context.Background(), postgres.Config{URL: url})
	if err != nil {
		return err
	}
	return s.Close()
})

func freshDatabase(t *testing.T) string {
	t.Helper()
	return inPostgres.URL(t)
}

// crashLease is short by the test's clock, and long for a process that hangs on a
// busy machine: nobody else opens the ledger while one is alive.
const crashLease = time.Second

func openDatabase(ctx context.Context, url string, now func() time.Time) (ledger.Store, error) {
	s, err := postgres.Open(ctx, postgres.Config{URL: url, Now: now, Lease: crashLease})
	if err != nil {
		return nil, err // not s: a nil *postgres.Store would be a store that is not nil
	}
	return s, nil
}
