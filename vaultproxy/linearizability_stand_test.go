package vaultproxy_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
	"github.com/tollgate/tollgate/vendorsim"
)

// stand is proxies over one ledger, with one vendor behind all of them.
type stand struct {
	replicas []replica
	store    ledger.Store // the ledger, by the first replica's way
	sim      *vendorsim.Sim
	http     *http.Client
	rounds   int // that are played on it
}

// replica is one proxy: its base URL, both planes on it, and a client of it.
type replica struct {
	url     string
	control *client.Client
}

// around is put around the store of each replica; nil leaves it as it is.
type around func(ledger.Store) ledger.Store

// stands are the ledgers that the whole is tried on.
func stands() map[string]func(*testing.T, around) *stand {
	return map[string]func(*testing.T, around) *stand{
		"SQLite, one proxy":          oneOverSQLite,
		"PostgreSQL, three replicas": threeOverPostgres,
	}
}

func oneOverSQLite(t *testing.T, wrap around) *stand {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ledger.db"), Now: stopped().now})
	require.NoError(t, err)
	return newStand(t, wrap, store)
}

func threeOverPostgres(t *testing.T, wrap around) *stand {
	t.Helper()
	url, clock := inPostgres.URL(t), stopped()
	stores := make([]ledger.Store, 3)
	for i := range stores {
		var err error
		stores[i], err = postgres.Open(t.Context(), postgres.Config{URL: url, Now: clock.now, Timeout: forAsLongAsItTakes})
		require.NoError(t, err)
	}
	return newStand(t, wrap, stores...)
}

// newStand puts a proxy before each of the stores, which are ways to one ledger,
// and closes them in the end.
func newStand(t *testing.T, wrap around, stores ...ledger.Store) *stand {
	t.Helper()
	// Calls overlap only if the vendor takes some time.
	sim, err := vendorsim.New(vendorsim.Config{Seed: 1, Latency: 2 * time.Millisecond})
	require.NoError(t, err)
	vendor := serveQuietly(sim.Handler())
	s := &stand{store: stores[0], sim: sim, rounds: linearRounds / len(stores), http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: linearClients}, Timeout: forAsLongAsItTakes,
	}}
	var closers []func()
	for _, store := range stores {
		front, proxy := newReplica(t, vendor.URL, store, wrap)
		control, err := client.New(client.Config{BaseURL: front.URL, AdminKey: adminKey, HTTPClient: s.http})
		require.NoError(t, err)
		s.replicas = append(s.replicas, replica{front.URL, control})
		closers = append(closers, func() {
			ctx, cancel := context.WithTimeout(context.Background(), forAsLongAsItTakes)
			defer cancel()
			front.Close()
			require.NoError(t, proxy.Close(ctx))
			require.NoError(t, store.Close())
		})
	}
	t.Cleanup(func() {
		s.http.CloseIdleConnections()
		sim.Close()
		for _, closeReplica := range closers {
			closeReplica()
		}
		vendor.Close()
	})
	return s
}

func newReplica(t *testing.T, vendorURL string, store ledger.Store, wrap around) (*httptest.Server, *vaultproxy.Proxy) {
	t.Helper()
	profile, err := stripe.New(stripe.Config{Secret: vendorSecret})
	require.NoError(t, err)
	if wrap != nil {
		store = wrap(store)
	}
	proxy, err := vaultproxy.New(vaultproxy.Config{
		Store: store, AdminKey: adminKey, MasterKey: bytes.Repeat([]byte{7}, vaultproxy.MasterKeySize),
		Logger: slog.New(slog.DiscardHandler), Upstreams: []vaultproxy.Upstream{{Vendor: profile, URL: vendorURL}},
		// Long enough for a machine that is busy with something else: a call in doubt
		// is no outcome of the specification.
		UpstreamTimeout: forAsLongAsItTakes, StoreTimeout: forAsLongAsItTakes, ReconcileInterval: -1,
	})
	require.NoError(t, err)
	return serveQuietly(proxy.Combined()), proxy
}
