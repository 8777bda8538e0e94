package vaultproxy_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

func TestOverload_IsRefusedAndNotSent(t *testing.T) {
	t.Parallel()
	g := newGate(http.MethodPost)
	b := setup(t, setupOptions{gate: g, maxInFlight: 1})
	key := b.issue(10 * money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-1", charge)
	<-g.entered
	got := b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "overloaded", got.code())
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, b.admin(http.MethodGet, "/vault/keys", "").status, "the control plane stays open")
	g.release()
	require.Equal(t, http.StatusOK, (<-first).status)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-2", charge).status)
	b.sentOnce()
}

func TestClose_LetsCallsEndAndTakesNoNewOnes(t *testing.T) {
	t.Parallel()
	g := newGate(http.MethodPost)
	b := setup(t, setupOptions{gate: g, maxInFlight: 2})
	key := b.issue(10 * money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-1", charge)
	<-g.entered

	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // one that gives up must leave the next one a chance
		require.ErrorIs(t, b.proxy.Close(over), context.Canceled, "a call is still in flight")
	}
	for range 20 { // a refusal that came only now and then would not do
		got := b.post(key.VaultKey, intents, "item-2", charge)
		require.Equal(t, "overloaded", got.code(), got.raw)
	}
	got, err := b.do(http.MethodGet, b.front.URL+"/readyz", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, got.status)

	g.release()
	require.Equal(t, http.StatusOK, (<-first).status)
	require.Equal(t, "settled", b.call("item-1").State)
	b.sentOnce()
}

func TestNew_RefusesAConfigurationThatIsNone(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	profile, err := stripe.New(stripe.Config{Secret: vendorSecret})
	require.NoError(t, err)
	good := func() vaultproxy.Config {
		return vaultproxy.Config{
			Store: b.store, AdminKey: adminKey, MasterKey: bytes.Repeat([]byte{7}, vaultproxy.MasterKeySize),
			Logger: slog.New(slog.DiscardHandler), Upstreams: []vaultproxy.Upstream{{Vendor: profile, URL: "http://127.0.0.1:1"}},
			ReconcileInterval: -1,
		}
	}
	p, err := vaultproxy.New(good())
	require.NoError(t, err)
	require.NoError(t, p.Close(t.Context()))
	for name, change := range map[string]func(*vaultproxy.Config){
		"no store":                     func(c *vaultproxy.Config) { c.Store = nil },
		"no logger":                    func(c *vaultproxy.Config) { c.Logger = nil },
		"no vendor":                    func(c *vaultproxy.Config) { c.Upstreams = nil },
		"a vendor without a profile":   func(c *vaultproxy.Config) { c.Upstreams[0].Vendor = nil },
		"a vendor that is there twice": func(c *vaultproxy.Config) { c.Upstreams = append(c.Upstreams, c.Upstreams[0]) },
		"a guessable admin key":        func(c *vaultproxy.Config) { c.AdminKey = "admin" },
		"a short master key":           func(c *vaultproxy.Config) { c.MasterKey = c.MasterKey[1:] },
		"no URL":                       func(c *vaultproxy.Config) { c.Upstreams[0].URL = "" },
		"a URL without a scheme":       func(c *vaultproxy.Config) { c.Upstreams[0].URL = "api.stripe.com" },
		"a URL with a secret":          func(c *vaultproxy.Config) { c.Upstreams[0].URL = "https://sk:x@api.stripe.com" },
		"a negative deadline":          func(c *vaultproxy.Config) { c.UpstreamTimeout = -time.Second },
		"a negative store deadline":    func(c *vaultproxy.Config) { c.StoreTimeout = -time.Second },
		"a negative number of calls":   func(c *vaultproxy.Config) { c.MaxInFlight = -1 },
	} {
		cfg := good()
		change(&cfg)
		_, err := vaultproxy.New(cfg)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "sk:x", name)
		require.NotContains(t, err.Error(), vendorSecret, name)
	}
}
