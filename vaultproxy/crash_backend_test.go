package vaultproxy_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
)

// backend is a store whose ledger outlives the process that had it open.
type backend struct {
	name string
	// fresh says where a new ledger of this test's own is to be: a path, a URL.
	fresh func(*testing.T) string
	// open opens the ledger that is there, or makes it. A killed process calls it
	// as well as the one after it.
	open func(ctx context.Context, where string, now func() time.Time) (ledger.Store, error)
	// exclusive: one process at a time has the ledger.
	exclusive bool
	// lease is for how long, by the ledger's clock, nobody touches what a process
	// had in flight that is gone.
	lease time.Duration
	// sparing: a database takes longer than a file, and is killed only where a commit
	// is near. What a proxy does between commits is the same over every store.
	sparing bool
}

// backends are the stores that the crash tests run over.
func backends() []backend {
	return []backend{
		{name: "sqlite", fresh: freshFile, open: openFile, exclusive: true},
		{name: "postgres", fresh: freshDatabase, open: openDatabase, lease: crashLease, sparing: true},
	}
}

func backendNamed(name string) (backend, bool) {
	for _, b := range backends() {
		if b.name == name {
			return b, true
		}
	}
	return backend{}, false
}

func freshFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "ledger.db")
}

func openFile(ctx context.Context, path string, now func() time.Time) (ledger.Store, error) {
	s, err := sqlite.Open(ctx, sqlite.Config{Path: path, Now: now})
	if err != nil {
		return nil, err // not s: a nil *sqlite.Store would be a store that is not nil
	}
	return s, nil
}
