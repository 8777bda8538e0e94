package vaultproxy_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

func TestL4_TheReconcilerReleasesNothingBeforeTheFence(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	b.sim.NextFaults(vendorsim.ClosedAfterRead)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
	b.clock.advance(sendTimeout) // the send is given up, but what was given up may still arrive
	require.NoError(t, b.proxy.Reconcile(t.Context()))
	require.Equal(t, "unknown", b.call("item-1").State)
	b.sentOnce()
	require.NotEmpty(t, b.seen.of(http.MethodGet), "it did look")
	b.reconcile()
	require.Equal(t, "released", b.call("item-1").State)
}

func TestL6_AStoredFailureEndsInANewVendorKeyOnceNothingIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	b.sim.NextFaults(vendorsim.Error500BeforeCharge)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code(), "the vendor repeats its 500")
	require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)

	b.clock.advance(pastFence)
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, money.Dollar)
	id := got.header.Get("Tollgate-Call-Id")
	sends := b.sim.Truth().Sends
	require.Len(t, sends, 2)
	require.Equal(t, 1, sends["tollgate_"+id+"_1"])
	require.Equal(t, 1, b.sim.Truth().Charges)
}

func TestL6_AStoredFailureEndsHoweverOftenTheCallerAsks(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	b.sim.NextFaults(vendorsim.Error500BeforeCharge)
	for range 60 { // every four seconds, for four minutes
		if b.post(key.VaultKey, intents, "item-1", charge).status == http.StatusOK {
			break
		}
		b.clock.advance(4 * time.Second)
	}
	require.Equal(t, "settled", b.call("item-1").State)
	require.Equal(t, 1, b.sim.Truth().Charges)
}

func TestL6_ALookUpThatBeganBeforeTheFenceProvesNothing(t *testing.T) {
	t.Parallel()
	var late atomic.Bool
	var b *testBundle
	b = setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if r.Method == http.MethodGet && late.CompareAndSwap(true, false) {
				b.clock.advance(pastFence) // its answer is a minute on the way
			}
		})
	}})
	key := b.issue(money.Dollar)
	b.sim.NextFaults(vendorsim.ClosedAfterRead)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
	late.Store(true)
	b.clock.advance(4 * time.Second)
	require.NoError(t, b.proxy.Reconcile(t.Context()))
	require.False(t, late.Load())
	require.Equal(t, "unknown", b.call("item-1").State, "the send could still have arrived when the vendor looked")
}

func TestL9_ARevokedKeysCallIsLookedUpAndNeverSentAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault vendorsim.Fault
		end   func(*testBundle, client.IssuedKey)
		then  string
	}{
		"revoked, and charged":     {vendorsim.AnswerLost, revoke, ""},
		"revoked, and not charged": {vendorsim.ClosedAfterRead, revoke, "key_revoked"},
		"expired, and charged":     {vendorsim.AnswerLost, expire, ""},
		"expired, and not charged": {vendorsim.ClosedAfterRead, expire, "key_expired"},
		"closed, and not charged":  {vendorsim.ClosedAfterRead, closeRun, "key_revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(money.Dollar, func(r *client.IssueRequest) { r.ExpiresIn = "10s" })
			b.sim.NextFaults(tc.fault)
			require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
			tc.end(b, key)
			if tc.then != "" {
				got := b.post(key.VaultKey, intents, "item-1", charge)
				if name != "expired, and not charged" { // there the fence is over with the key
					require.Equal(t, "outcome_unknown", got.code(), got.raw)
				}
				b.clock.advance(pastFence)
			}
			got := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, tc.then, got.code(), got.raw)
			b.sentOnce()
			require.Zero(t, b.report().Budget.UnknownUSD)
		})
	}
}

func revoke(b *testBundle, key client.IssuedKey) {
	_, err := b.control.Revoke(b.t.Context(), key.KeyID)
	require.NoError(b.t, err)
}

func expire(b *testBundle, _ client.IssuedKey) { b.clock.advance(10 * time.Second) }

func closeRun(b *testBundle, _ client.IssuedKey) {
	_, err := b.control.RevokeRun(b.t.Context(), b.run(), "")
	require.NoError(b.t, err)
}

// blindToLists is a vendor whose lists never end, so that no look-up is complete.
func blindToLists(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/v1/payment_intents" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"object":"list","data":[{"id":"pi_other","object":"payment_intent"}],"has_more":true}`))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestL11_ACallIsNeverSentAgainOnceTheVendorMayHaveForgottenItsKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		age   time.Duration
		sends int
		code  string
	}{
		"within 23 hours": {23*time.Hour - time.Minute, 2, ""},
		"after 23 hours":  {23 * time.Hour, 1, "outcome_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{upstream: blindToLists})
			key := b.issue(money.Dollar, func(r *client.IssueRequest) { r.ExpiresIn = "96h" })
			b.sim.NextFaults(vendorsim.AnswerLost)
			require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
			b.clock.advance(tc.age)
			require.Equal(t, tc.code, b.post(key.VaultKey, intents, "item-1", charge).code())
			require.NoError(t, b.proxy.Reconcile(t.Context()))
			require.Len(t, b.seen.of(http.MethodPost), tc.sends)
			require.Equal(t, 1, b.sim.Truth().Charges)
		})
	}
}

// lostOnce is a vendor that reads its first POST and closes the connection.
func lostOnce(next http.Handler) http.Handler {
	var lost atomic.Bool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && lost.CompareAndSwap(false, true) {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// A refusal of a resend is proof of that send alone. It must not put off the day
// on which the first one counts as not done, or a caller that keeps asking would
// keep its own call in doubt.
func TestL6_ARefusedResendDoesNotPutTheFenceOff(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{upstream: lostOnce})
	key := b.issue(money.Dollar)
	const refused = "amount=100&currency=usd&customer=cus_1&payment_method=pm_missing_1&payment_method_types[]=card&confirm=true&off_session=true"
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", refused).code())
	var got httpAnswer
	for range 20 { // every ten seconds, for longer than the fence
		if got = b.post(key.VaultKey, intents, "item-1", refused); got.status != http.StatusBadGateway {
			break
		}
		b.clock.advance(10 * time.Second)
	}
	require.Equal(t, http.StatusBadRequest, got.status, got.raw)
	require.Equal(t, "released", b.call("item-1").State)
}

// Once nobody asks any more, the reconciler comes back as soon as the fence
// allows an answer, however often the call was looked at before.
func TestL6_TheReconcilerComesBackWhenTheFenceIsOver(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}})
	key := b.issue(money.Dollar)
	for range 20 {
		require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
		b.clock.advance(10 * time.Second)
	}
	b.clock.advance(pastFence)
	require.NoError(t, b.proxy.Reconcile(t.Context()))
	require.Equal(t, "released", b.call("item-1").State)
}
