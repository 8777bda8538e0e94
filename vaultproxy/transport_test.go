package vaultproxy_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestCanonicalise_RefusesWhatTwoPartiesWouldReadDifferently(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	for name, tc := range map[string]struct {
		header []string
		body   string
		code   string
	}{
		"a method override":        {[]string{"X-Http-Method-Override", "DELETE"}, charge, "request_ambiguous"},
		"a compressed body":        {[]string{"Content-Encoding", "gzip"}, charge, "request_ambiguous"},
		"a protocol upgrade":       {[]string{"Connection", "Upgrade", "Upgrade", "h2c"}, charge, "request_ambiguous"},
		"a body of another kind":   {[]string{"Content-Type", "text/plain"}, charge, "request_ambiguous"},
		"another account":          {[]string{"Stripe-Account", "acct_1"}, charge, "scope_denied"},
		"another version":          {[]string{"Stripe-Version", "2020-08-27"}, charge, "request_invalid"},
		"an item that is too long": {[]string{"Tollgate-Item", strings.Repeat("1", 256)}, charge, "request_invalid"},
		"a body that is too large": {nil, charge + "&description=" + strings.Repeat("x", 256<<10), "request_invalid"},
	} {
		got := b.post(key.VaultKey, intents, "item-1", tc.body, tc.header...)
		require.Equal(t, tc.code, got.code(), "%s: %s", name, got.raw)
	}
	for _, name := range []string{"Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.front.URL+intents, strings.NewReader(charge))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+key.VaultKey)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Idempotency-Key", "item-1")
		req.Header.Set("Stripe-Version", "2023-10-16")
		req.Header.Add(name, "another")
		res, err := b.front.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, "request_ambiguous", res.Header.Get("Tollgate-Denied"), name)
	}
	require.Zero(t, b.sim.Truth().Posts)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status, "none of it used the key up")
}

func TestMeter_WithoutItsLookUpNothingIsSent(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	b := setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && down.Load() {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	key := b.issue(8 * money.Dollar)
	id := b.create(key, "create", unconfirmed+"&confirm=true&off_session=true")
	down.Store(true)
	got := b.post(key.VaultKey, refunds, "refund", "payment_intent="+id)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "vendor_unavailable", got.code())
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Equal(t, 1, b.sim.Truth().Posts)

	down.Store(false)
	revoke(b, key)
	looks := len(b.seen.of(http.MethodGet))
	require.Equal(t, "key_revoked", b.post(key.VaultKey, refunds, "refund", "payment_intent="+id).code())
	require.Len(t, b.seen.of(http.MethodGet), looks, "a revoked key looks nothing up either")
}

func TestControl_SaysThatTheLedgerIsAway(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	require.NoError(t, b.store.Close())
	for path, method := range map[string]string{
		"/vault/keys": http.MethodGet, "/vault/keys/" + key.KeyID: http.MethodDelete, "/vault/audit": http.MethodGet,
		"/vault/calls": http.MethodGet, "/vault/reports/runs": http.MethodGet,
	} {
		got := b.admin(method, path, "")
		require.Equal(t, http.StatusServiceUnavailable, got.status, "%s: %s", path, got.raw)
		require.Equal(t, "ledger_unavailable", got.code(), path)
		require.NotContains(t, got.raw, "sql")
	}
	b.stop()
	b.start()
}
