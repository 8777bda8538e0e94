package vaultproxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

func TestL5_ARepeatedCallIsReplayedAndNotSent(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	first := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, first.status, first.raw)
	require.Empty(t, first.header.Get("Tollgate-Replayed"))

	again := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, first.raw, again.raw)
	require.Equal(t, "true", again.header.Get("Tollgate-Replayed"))
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	require.Equal(t, first.header.Get("Tollgate-Call-Id"), again.header.Get("Tollgate-Call-Id"))
	require.Equal(t, first.header.Get("Request-Id"), again.header.Get("Request-Id"))

	reordered := "off_session=true&confirm=true&payment_method_types[]=card&payment_method=pm_card_visa&customer=cus_1&currency=usd&amount=100"
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", reordered).status, "the order of parameters means nothing")
	require.Equal(t, 1, b.sim.Truth().Posts)
	require.Equal(t, 2, b.report().Replays)
	require.Equal(t, money.Dollar, b.report().Budget.SettledUSD)
}

func TestL5_TheSameRequestAsJSONAndAsAFormIsOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	first := b.post(key.VaultKey, intents, "item-1", "amount=100&currency=usd&metadata[order]=7")
	again := b.post(key.VaultKey, intents, "item-1", `{"currency":"usd","metadata":{"order":"7"},"amount":100}`,
		"Content-Type", "application/json; charset=utf-8")
	require.Equal(t, http.StatusOK, again.status, again.raw)
	require.Equal(t, first.raw, again.raw)
	require.Equal(t, 1, b.sim.Truth().Posts)
}

func TestL5_AReplayIsGivenWhateverBecameOfTheKeyAndItsCap(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testBundle, client.IssuedKey){
		"when the cap is full": func(b *testBundle, k client.IssuedKey) {
			require.Equal(b.t, "cap_exhausted", b.post(k.VaultKey, intents, "item-2", charge).code())
		},
		"when the key was revoked": func(b *testBundle, k client.IssuedKey) {
			_, err := b.control.Revoke(b.t.Context(), k.KeyID)
			require.NoError(b.t, err)
			require.Equal(b.t, "key_revoked", b.post(k.VaultKey, intents, "item-2", charge).code())
		},
		"when the run was closed": func(b *testBundle, k client.IssuedKey) {
			_, err := b.control.RevokeRun(b.t.Context(), b.run(), "")
			require.NoError(b.t, err)
			require.Equal(b.t, "key_revoked", b.post(k.VaultKey, intents, "item-2", charge).code())
		},
		"when the key has expired": func(b *testBundle, k client.IssuedKey) {
			b.clock.advance(2 * time.Hour)
			require.Equal(b.t, "key_expired", b.post(k.VaultKey, intents, "item-2", charge).code())
		},
		"when the vendor has forgotten it": func(b *testBundle, _ client.IssuedKey) {
			b.clock.advance(40 * 24 * time.Hour)
		},
		"when the proxy was restarted": func(b *testBundle, _ client.IssuedKey) {
			b.stop()
			b.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(money.Dollar)
			first := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, http.StatusOK, first.status, first.raw)
			end(b, key)
			again := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, http.StatusOK, again.status, again.raw)
			require.Equal(t, first.raw, again.raw)
			require.Equal(t, 1, b.sim.Truth().Posts)
		})
	}
}

func TestL5_AnotherRequestUnderTheSameKeyIsAMismatch(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	for name, tc := range map[string]struct{ path, body string }{
		"another amount":   {intents, strings.Replace(charge, "amount=100", "amount=101", 1)},
		"another customer": {intents, strings.Replace(charge, "cus_1", "cus_2", 1)},
		"one parameter":    {intents, charge + "&description=x"},
		"another endpoint": {charges, "amount=100&currency=usd&source=tok_visa"},
	} {
		got := b.post(key.VaultKey, tc.path, "item-1", tc.body)
		require.Equal(t, http.StatusConflict, got.status, "%s: %s", name, got.raw)
		require.Equal(t, "idempotency_mismatch", got.code(), name)
		require.Equal(t, "false", got.header.Get("Stripe-Should-Retry"), name)
	}
	require.Equal(t, 1, b.sim.Truth().Posts)
}

func TestL5_KeysOfTwoRunsDoNotMeet(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	one := b.issue(10 * money.Dollar)
	two := b.issue(10*money.Dollar, func(r *client.IssueRequest) { r.AgentRunLabel = b.run() + "/two" })
	first := b.post(one.VaultKey, intents, "item-1", charge)
	second := b.post(two.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, second.status, second.raw)
	require.NotEqual(t, first.text("id"), second.text("id"))
	require.Len(t, b.sim.Truth().Sends, 2)
}

func TestL5_TheSecondKeyOfARunReplaysWhatTheFirstOneDid(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	one := b.issue(10 * money.Dollar)
	two := b.issue(10*money.Dollar, func(r *client.IssueRequest) { r.Phase = "two" })
	first := b.post(one.VaultKey, intents, "item-1", charge)
	second := b.post(two.VaultKey, intents, "item-1", charge)
	require.Equal(t, first.raw, second.raw)
	require.Equal(t, 1, b.sim.Truth().Charges)
}

func TestL5_ACallThatIsStillOnItsWayIsInFlight(t *testing.T) {
	t.Parallel()
	g := newGate(http.MethodPost)
	b := setup(t, setupOptions{gate: g})
	key := b.issue(10 * money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-1", charge)
	<-g.entered

	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, "idempotency_in_flight", got.code())
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Empty(t, got.header.Get("Stripe-Should-Retry"))
	require.Equal(t, "idempotency_mismatch", b.post(key.VaultKey, intents, "item-1", charge+"&description=x").code())

	g.release()
	done := <-first
	require.Equal(t, http.StatusOK, done.status, done.raw)
	require.Equal(t, done.raw, b.post(key.VaultKey, intents, "item-1", charge).raw)
	b.sentOnce()
}

func TestL5_ManyAtOnceUnderOneKeyAreOneCharge(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	const callers = 50
	var answers [callers]<-chan httpAnswer
	for i := range answers {
		answers[i] = b.inBackground(key.VaultKey, intents, "item-1", charge)
	}
	ok := 0
	for _, answer := range answers {
		got := <-answer
		if got.status == http.StatusOK {
			ok++
			continue
		}
		require.Equal(t, "idempotency_in_flight", got.code(), got.raw)
	}
	require.Positive(t, ok)
	require.Equal(t, 1, b.sim.Truth().Charges)
	b.sentOnce()
}

func TestL5_ARefusedAttemptDoesNotUseTheKeyUp(t *testing.T) {
	t.Parallel()
	t.Run("by the allowlist", func(t *testing.T) {
		t.Parallel()
		b := setup(t, setupOptions{})
		narrow := b.issue(10*money.Dollar, func(r *client.IssueRequest) { r.AllowedEndpoints = []string{"POST /v1/charges"} })
		require.Equal(t, "endpoint_not_allowed", b.post(narrow.VaultKey, intents, "item-1", charge).code())
		wide := b.issue(10*money.Dollar, func(r *client.IssueRequest) { r.Phase = "wide" })
		require.Equal(t, http.StatusOK, b.post(wide.VaultKey, intents, "item-1", charge).status)
	})
	t.Run("by a cap that frees up", func(t *testing.T) {
		t.Parallel()
		b := setup(t, setupOptions{})
		key := b.issue(4 * money.Dollar)
		id := b.create(key, "create", unconfirmed)
		require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "item-1", charge).code())
		require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents+"/"+id+"/cancel", "cancel", "").status)
		require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	})
	t.Run("by the vendor's rate limit", func(t *testing.T) {
		t.Parallel()
		b := setup(t, setupOptions{})
		key := b.issue(money.Dollar)
		b.sim.NextFaults(vendorsim.RateLimited429)
		got := b.post(key.VaultKey, intents, "item-1", charge)
		require.Equal(t, http.StatusTooManyRequests, got.status)
		require.Equal(t, "rate_limited", got.code())
		require.Equal(t, "1", got.header.Get("Retry-After"))
		b.requireBudget(0, 0)
		got = b.post(key.VaultKey, intents, "item-1", charge)
		require.Equal(t, http.StatusOK, got.status, got.raw)
		posts := b.seen.of(http.MethodPost)
		require.Len(t, posts, 2)
		require.Equal(t, posts[0].body, posts[1].body)
		require.Equal(t, posts[0].key, posts[1].key)
	})
	t.Run("by the vendor's refusal of its parameters", func(t *testing.T) {
		t.Parallel()
		b := setup(t, setupOptions{})
		key := b.issue(money.Dollar)
		missing := strings.Replace(charge, "pm_card_visa", "pm_missing", 1)
		got := b.post(key.VaultKey, intents, "item-1", missing)
		require.Equal(t, http.StatusBadRequest, got.status, got.raw)
		require.Equal(t, "resource_missing", got.body["error"].(map[string]any)["code"])
		b.requireBudget(0, 0)
		require.Equal(t, "released", b.call("item-1").State)
		require.Equal(t, http.StatusBadRequest, b.post(key.VaultKey, intents, "item-1", missing).status)
		require.Equal(t, 2, b.call("item-1").Sends, "it was asked again, not replayed")
	})
}

func TestIdempotency_AWriteNeedsAKeyOfPlainText(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	require.Equal(t, "idempotency_required", b.post(key.VaultKey, intents, "", charge).code())
	require.Equal(t, "request_invalid", b.post(key.VaultKey, intents, strings.Repeat("k", 256), charge).code())
	require.Equal(t, "request_invalid", b.post(key.VaultKey, intents, "k\u00e9y", charge).code())
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, strings.Repeat("k", 255), charge).status)
	require.Equal(t, 1, b.sim.Truth().Posts)
}

func TestL6_EverySendOfACallCarriesTheItemOfItsFirst(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{script: func(p vendorsim.FaultPoint) vendorsim.Fault {
		if p.Attempt == 1 {
			return vendorsim.RateLimited429
		}
		return vendorsim.NoFault
	}})
	key := b.issue(money.Dollar)
	require.Equal(t, "rate_limited", b.post(key.VaultKey, intents, "item-1", charge, "Tollgate-Item", "1").code())
	got := b.post(key.VaultKey, intents, "item-1", charge, "Tollgate-Item", "2")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	posts := b.seen.of(http.MethodPost)
	require.Len(t, posts, 2)
	require.Equal(t, posts[0].key, posts[1].key)
	require.Equal(t, posts[0].body, posts[1].body, "under one key the vendor sees one request")
	require.Contains(t, posts[1].body, "tollgate_item%5D=1")
	require.Equal(t, "1", b.call("item-1").Item)
}
