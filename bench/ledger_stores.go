package bench

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
)

// LedgerStores are the stores that a ledger can be in, with what group commit
// is worth in each.
func LedgerStores() []LedgerStore {
	return []LedgerStore{
		{Name: "SQLite", Open: openSQLite, Rate: 50_000, Gain: 8},
		{Name: "PostgreSQL", Open: openPostgres, Gain: 10},
	}
}

func openSQLite(ctx context.Context, mode LedgerMode) (Ledger, error) {
	dir, err := DiskFolder()
	if err != nil {
		return Ledger{}, err
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "ledger.db"), MaxBatch: mode.MaxBatch})
	if err != nil {
		return Ledger{}, errors.Join(err, os.RemoveAll(dir))
	}
	return Ledger{CommittingStore: s, Discard: func() error { return os.RemoveAll(dir) }}, nil
}

// PostgresVariable is the environment variable that names the server to measure
// on, as a connection URL of a user who may create databases.
const PostgresVariable = "TOLLGATE_TEST_POSTGRES_URL"

// localPostgres is where a server may be that asks for no password.
const localPostgres = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"

func openPostgres(ctx context.Context, mode LedgerMode) (Ledger, error) {
	server, configured := os.LookupEnv(PostgresVariable)
	if !configured {
		server = localPostgres
	}
	u, err := url.Parse(server)
	if err != nil {
		return Ledger{}, errors.New(PostgresVariable + " is not a URL like postgres://user@host:5432/postgres")
	}
	admin, err := sql.Open("pgx", server) // by the driver that package postgres brings along
	if err != nil {
		return Ledger{}, err
	}
	if err := admin.PingContext(ctx); err != nil {
		err = errors.Join(err, admin.Close())
		if configured {
			return Ledger{}, fmt.Errorf("the server that %s names is no use: %w", PostgresVariable, err)
		}
		return Ledger{}, fmt.Errorf("%w at 127.0.0.1:5432 that lets postgres in without a password: name one in %s", ErrNoServer, PostgresVariable)
	}
	name := "tollgate_bench_" + strings.ToLower(rand.Text()[:12])
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		return Ledger{}, errors.Join(err, admin.Close())
	}
	discard := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_, err := admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return errors.Join(err, admin.Close())
	}
	u.Path = "/" + name
	s, err := postgres.Open(ctx, postgres.Config{URL: u.String(), MaxBatch: mode.MaxBatch, Writers: mode.Writers})
	if err != nil {
		return Ledger{}, errors.Join(err, discard())
	}
	return Ledger{CommittingStore: s, Discard: discard}, nil
}
