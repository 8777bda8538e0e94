package vaultproxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// losing are the faults after which nobody can tell from the answer whether the
// charge was made.
func losing() []vendorsim.Fault {
	return []vendorsim.Fault{
		vendorsim.AnswerLost, vendorsim.Error500AfterCharge, vendorsim.ClosedAfterRead, vendorsim.TruncatedAnswer,
		vendorsim.ConnectionReset, vendorsim.Redirect302, vendorsim.Error503,
	}
}

func TestL4_ALostAnswerIsProvedOnTheNextAttempt(t *testing.T) {
	t.Parallel()
	for _, fault := range losing() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(money.Dollar)
			b.sim.NextFaults(fault)

			got := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, http.StatusBadGateway, got.status)
			require.Equal(t, "outcome_unknown", got.code(), got.raw)
			require.Equal(t, "1", got.header.Get("Retry-After"))
			require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
			full := b.post(key.VaultKey, intents, "item-2", charge)
			require.Equal(t, "cap_exhausted", full.code(), "what is in doubt is held")
			require.Equal(t, "1.00", full.text("unknown_usd"))

			again := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, http.StatusOK, again.status, again.raw)
			require.Equal(t, "succeeded", again.text("status"))
			b.requireBudget(0, money.Dollar)
			truth := b.sim.Truth()
			require.Equal(t, 1, truth.Charges)
			require.Zero(t, truth.RedirectsFollowed)
			require.Len(t, truth.Sends, 1, "all sends of a call have one idempotency key at the vendor")
			posts := b.seen.of(http.MethodPost)
			for _, post := range posts {
				require.Equal(t, posts[0].body, post.body)
			}
			require.Equal(t, len(posts), b.call("item-1").Sends)
		})
	}
}

func TestL4_AChargeThatWasMadeIsFoundWithoutASecondSend(t *testing.T) {
	t.Parallel()
	for _, fault := range []vendorsim.Fault{
		vendorsim.AnswerLost, vendorsim.Error500AfterCharge, vendorsim.TruncatedAnswer,
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			for name, tc := range map[string]struct{ path, body string }{
				"payment intent": {intents, charge},
				"charge":         {charges, "amount=100&currency=usd&source=tok_visa"},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					b := setup(t, setupOptions{})
					key := b.issue(money.Dollar)
					b.sim.NextFaults(fault)
					require.Equal(t, "outcome_unknown", b.post(key.VaultKey, tc.path, "item-1", tc.body).code())
					got := b.post(key.VaultKey, tc.path, "item-1", tc.body)
					require.Equal(t, http.StatusOK, got.status, got.raw)
					b.requireBudget(0, money.Dollar)
					b.sentOnce()
				})
			}
		})
	}
}

func TestL11_TheReconcilerProvesWhatNobodyAsksForAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault   vendorsim.Fault
		settled money.USD
	}{
		{vendorsim.AnswerLost, money.Dollar},
		{vendorsim.Error500AfterCharge, money.Dollar},
		{vendorsim.TruncatedAnswer, money.Dollar},
		{vendorsim.ClosedAfterRead, 0},
		{vendorsim.ConnectionReset, 0},
		{vendorsim.Redirect302, 0},
		{vendorsim.Error503, 0},
		{vendorsim.Error500BeforeCharge, 0},
	} {
		t.Run(string(tc.fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(money.Dollar)
			b.sim.NextFaults(tc.fault)
			require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-1", charge).code())
			b.reconcile()
			b.requireBudget(0, tc.settled)
			b.sentOnce()
			require.Equal(t, int64(tc.settled), b.sim.Truth().SucceededTotalMicroUSD)

			page, err := b.control.Audit(t.Context(), client.AuditQuery{Run: b.run()})
			require.NoError(t, err)
			require.Equal(t, "reconciler", page.Rows[len(page.Rows)-1].By)
		})
	}
}

func TestUnknown_AMoveIsProvedByItsObject(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		create  string
		move    string
		body    string
		settled money.USD
	}{
		"a confirmation": {unconfirmed, "confirm", "off_session=true", 4 * money.Dollar},
		"a capture":      {unconfirmed + "&confirm=true&off_session=true&capture_method=manual", "capture", "amount_to_capture=150", 150 * money.Cent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, fault := range losing() {
				t.Run(string(fault), func(t *testing.T) {
					t.Parallel()
					b := setup(t, setupOptions{})
					key := b.issue(4 * money.Dollar)
					path := intents + "/" + b.create(key, "create", tc.create) + "/" + tc.move
					b.sim.NextFaults(fault)
					require.Equal(t, "outcome_unknown", b.post(key.VaultKey, path, "move", tc.body).code())
					require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "other", charge).code(), "the hold stays")
					got := b.post(key.VaultKey, path, "move", tc.body)
					require.Equal(t, http.StatusOK, got.status, got.raw)
					b.requireBudget(0, tc.settled)
					require.Equal(t, int64(tc.settled), b.sim.Truth().SucceededTotalMicroUSD)
				})
			}
		})
	}
}

func TestUnknown_ACancellationIsProvedByItsObject(t *testing.T) {
	t.Parallel()
	for name, executed := range map[string]bool{"that was made": true, "that was not made": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lost atomic.Bool
			b := setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !strings.HasSuffix(r.URL.Path, "/cancel") || !lost.CompareAndSwap(false, true) {
						next.ServeHTTP(w, r)
						return
					}
					if executed {
						next.ServeHTTP(httptest.NewRecorder(), r)
					}
					panic(http.ErrAbortHandler)
				})
			}})
			key := b.issue(4 * money.Dollar)
			path := intents + "/" + b.create(key, "create", unconfirmed) + "/cancel"
			require.Equal(t, "outcome_unknown", b.post(key.VaultKey, path, "cancel", "").code())
			b.requireBudget(4*money.Dollar, 0)
			got := b.post(key.VaultKey, path, "cancel", "")
			require.Equal(t, http.StatusOK, got.status, got.raw)
			require.Equal(t, "canceled", got.text("status"))
			b.requireBudget(0, 0)
			require.Equal(t, "released", b.call("create").State)
		})
	}
}

func TestUnknown_ARefundIsProvedAndNotGivenTwice(t *testing.T) {
	t.Parallel()
	for _, fault := range losing() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(8 * money.Dollar)
			id := b.create(key, "create", unconfirmed+"&confirm=true&off_session=true")
			b.sim.NextFaults(fault)
			require.Equal(t, "outcome_unknown", b.post(key.VaultKey, refunds, "refund", "payment_intent="+id+"&amount=100").code())
			got := b.post(key.VaultKey, refunds, "refund", "payment_intent="+id+"&amount=100")
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireBudget(0, 5*money.Dollar)
			require.Equal(t, int64(money.Dollar), b.sim.Truth().RefundedTotalMicroUSD)
		})
	}
}

func TestUnknown_ADeclineWhoseAnswerWasLostIsADeclineAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ path, body string }{
		"payment intent": {intents, strings.Replace(charge, "pm_card_visa", "pm_card_chargeDeclined", 1)},
		"charge":         {charges, "amount=100&currency=usd&source=tok_chargeDeclined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(money.Dollar)
			b.sim.NextFaults(vendorsim.AnswerLost)
			require.Equal(t, "outcome_unknown", b.post(key.VaultKey, tc.path, "item-1", tc.body).code())
			for range 2 {
				got := b.post(key.VaultKey, tc.path, "item-1", tc.body)
				require.Equal(t, http.StatusPaymentRequired, got.status, got.raw)
				detail, _ := got.body["error"].(map[string]any)
				require.Equal(t, "card_error", detail["type"], got.raw)
				require.Equal(t, "card_declined", detail["code"])
			}
			b.requireBudget(0, 0)
			require.True(t, b.call("item-1").Declined)
		})
	}
}

func TestUnknown_TheVendorsRefusalOfOurSecretIsNotPassedOff(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{upstream: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: ` + vendorSecret + `"}}`))
		})
	}})
	key := b.issue(money.Dollar)
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusBadGateway, got.status)
	require.Equal(t, "vendor_credentials", got.code())
	require.NotContains(t, got.raw, vendorSecret)
	require.Equal(t, "false", got.header.Get("Stripe-Should-Retry"))
	b.requireBudget(0, 0)

	got = b.get(key.VaultKey, intents+"/pi_1")
	require.Equal(t, "vendor_credentials", got.code())
	require.NotContains(t, got.raw, vendorSecret)
}

func TestUnknown_AVendorThatCannotBeReachedWasSentNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{url: "http://127.0.0.1:1"})
	key := b.issue(money.Dollar)
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "vendor_unavailable", got.code())
	b.requireBudget(0, 0)
	require.Equal(t, "released", b.call("item-1").State)
}

func TestUnknown_AnAnswerThatComesTooLateIsFoundOut(t *testing.T) {
	t.Parallel()
	g := newGate(http.MethodPost)
	b := setup(t, setupOptions{gate: g, timeout: 2 * time.Second})
	key := b.issue(money.Dollar)
	// From now on there is a connection: a send that finds none in time is certainly not made.
	require.Equal(t, http.StatusNotFound, b.get(key.VaultKey, intents+"/pi_none").status)
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, "outcome_unknown", got.code(), got.raw)
	require.Equal(t, "answer_lost", b.call("item-1").Reason)
	g.release()
	b.untilCharged(key.VaultKey, "item-1") // the vendor does now what it was late with
	b.requireBudget(0, money.Dollar)
	require.Equal(t, 1, b.sim.Truth().Charges)
	require.Len(t, b.sim.Truth().Sends, 1)
}

func TestL7_OneVendorObjectSettlesOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"id":"pi_1","object":"payment_intent","status":"succeeded","amount":100,"amount_received":100,"currency":"usd"}`))
		})
	}})
	key := b.issue(10 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	got := b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, "outcome_unknown", got.code(), got.raw)
	b.stop() // the verdict is stored by then, or found out anew
	b.start()
	require.Equal(t, "unknown", b.call("item-2").State)
	require.Equal(t, money.Dollar, b.report().Budget.SettledUSD)
	require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
}
