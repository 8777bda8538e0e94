package vaultproxy_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// panicking is a transport that panics as often as it is told to.
type panicking struct {
	next  http.RoundTripper
	times atomic.Int32
}

func (p *panicking) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && p.times.Add(-1) >= 0 {
		panic("while holding " + r.Header.Get("Authorization"))
	}
	return p.next.RoundTrip(r)
}

func TestPanic_OfTheTransportLeavesTheCallInDoubt(t *testing.T) {
	t.Parallel()
	store, transport := newBrokenStore(), &panicking{next: &http.Transport{}}
	b := setup(t, setupOptions{store: store.around, transport: transport})
	key := b.issue(money.Dollar)
	transport.times.Store(1)
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusBadGateway, got.status)
	require.Equal(t, "outcome_unknown", got.code())
	require.Equal(t, ledger.Unknown, <-store.resolved)
	require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	require.Equal(t, 1, b.sim.Truth().Charges)
}

// blowing is a vendor profile that panics where a test wants it to.
type blowing struct {
	vendors.Vendor
	judge, lookup atomic.Bool
}

func (v *blowing) around(next vendors.Vendor) vendors.Vendor {
	v.Vendor = next
	return v
}

func (v *blowing) Judge(s vendors.Sent, a vendors.Answer) vendors.Verdict {
	if v.judge.Load() {
		panic(string(a.Body))
	}
	return v.Vendor.Judge(s, a)
}

func (v *blowing) Lookup(ctx context.Context, s vendors.Sent, g vendors.Getter) (vendors.Finding, error) {
	if v.lookup.Load() {
		panic(string(s.Wire.Body))
	}
	return v.Vendor.Lookup(ctx, s, g)
}

func TestPanic_OfTheVendorsProfileLeavesTheCallInDoubtAndTheProxyUp(t *testing.T) {
	t.Parallel()
	store, vendor := newBrokenStore(), &blowing{}
	b := setup(t, setupOptions{store: store.around, vendor: vendor.around})
	key := b.issue(money.Dollar)
	vendor.judge.Store(true)
	vendor.lookup.Store(true)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
	require.Equal(t, ledger.Unknown, <-store.resolved)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code(), "nor can it be proved")
	b.reconcile()
	require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
	require.Equal(t, 3, strings.Count(b.logs.String(), "broke off by a panic"))
	require.NotContains(t, b.logs.String(), "cus_1")

	vendor.judge.Store(false)
	vendor.lookup.Store(false)
	b.reconcile()
	b.requireBudget(0, money.Dollar)
	b.sentOnce()
}
