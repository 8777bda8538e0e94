package vaultproxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestCharge_IsHeldSentOnceAndSettled(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)

	got := b.post(key.VaultKey, intents, "item-1", charge, "Tollgate-Item", "1", "Tollgate-Workflow-Id", "billing-1")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "succeeded", got.text("status"))
	require.Equal(t, "9.00", got.header.Get("Tollgate-Remaining-Usd"))

	report := b.report()
	require.Equal(t, money.Dollar, report.Budget.SettledUSD)
	require.Equal(t, 1, report.Calls.Settled)
	truth := b.sim.Truth()
	require.Equal(t, int64(money.Dollar), truth.SucceededTotalMicroUSD)
	require.Equal(t, 1, truth.Posts)
	row := b.call("item-1")
	require.Equal(t, got.header.Get("Tollgate-Call-Id"), row.CallID)
	require.Equal(t, "1", row.Item)
	require.Equal(t, "billing-1", row.WorkflowID)
	require.Equal(t, got.text("id"), row.ObjectID)
	require.Equal(t, map[string]string{
		"tollgate_call": row.CallID, "tollgate_run": b.run(), "tollgate_item": "1",
	}, truth.Charged[0].Metadata)
}

func TestL1_AThousandConcurrentCallsFillTheCapExactly(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{timeout: forAsLongAsItTakes}) // a machine that stalls must not make answers get lost
	key := b.issue(250 * money.Dollar)

	const calls = 1000
	var wg sync.WaitGroup
	codes := make([]string, calls)
	slots := make(chan struct{}, 128)
	for i := range calls {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			item := fmt.Sprintf("item-%d", i)
			body := strings.Replace(charge, "cus_1", fmt.Sprintf("cus_%d", i), 1)
			for { // contended, say: room may come back, so the item asks again
				got, err := b.try(key.VaultKey, intents, item, body)
				if err != nil {
					codes[i] = err.Error()
					return
				}
				if !vaultproxy.Codes()[vaultproxy.Code(got.code())].Retry {
					codes[i] = got.code()
					return
				}
			}
		})
	}
	wg.Wait()
	count := map[string]int{}
	for _, code := range codes {
		count[code]++
	}
	require.Equal(t, map[string]int{"": 250, "cap_exhausted": 750}, count)
	require.Equal(t, int64(250*money.Dollar), b.sim.Truth().SucceededTotalMicroUSD)
	require.Equal(t, 250*money.Dollar, b.report().Budget.SettledUSD)
	for customer, n := range b.sim.Truth().PerCustomer {
		require.Equal(t, 1, n, customer)
	}
}

func TestCharge_ThatIsDeclinedCostsNothingAndIsReplayed(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	body := strings.Replace(charge, "pm_card_visa", "pm_card_chargeDeclinedInsufficientFunds", 1)

	for range 2 {
		got := b.post(key.VaultKey, intents, "item-1", body)
		require.Equal(t, http.StatusPaymentRequired, got.status, got.raw)
		require.Equal(t, "card_declined", got.body["error"].(map[string]any)["code"])
		require.Empty(t, got.header.Get("Tollgate-Denied"), "the refusal is the vendor's, not the proxy's")
	}
	require.Equal(t, money.USD(0), b.report().Budget.SettledUSD)
	require.Equal(t, 1, b.report().Declined)
	require.True(t, b.call("item-1").Declined)
	b.sentOnce()

	got := b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, http.StatusOK, got.status, "the whole cap is free again")
}

func TestCaps_EachOfThemHoldsByItself(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*client.IssueRequest)
		budget string
	}{
		"the total cap": {func(r *client.IssueRequest) { r.TotalUSDCap = usd(2 * money.Dollar) }, "key/total"},
		"the daily cap": {func(r *client.IssueRequest) { r.DailyUSDCap = usd(2 * money.Dollar) }, "key/day"},
		"the run's cap": {func(r *client.IssueRequest) { r.RunUSDCap = usd(2 * money.Dollar) }, "run/total"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(100*money.Dollar, tc.change)
			for i := range 2 {
				got := b.post(key.VaultKey, intents, fmt.Sprintf("item-%d", i), charge)
				require.Equal(t, http.StatusOK, got.status, got.raw)
			}
			got := b.post(key.VaultKey, intents, "item-2", charge)
			require.Equal(t, http.StatusTooManyRequests, got.status)
			require.Equal(t, "cap_exhausted", got.code())
			require.Equal(t, tc.budget, got.text("budget"))
			require.Equal(t, "2.00", got.text("cap_usd"))
			require.Equal(t, "2.00", got.text("settled_usd"))
			require.Equal(t, "1.00", got.text("price_usd"))
			require.Equal(t, 2, b.sim.Truth().Posts)
		})
	}
}

func TestCaps_PerCallCapRefusesOneCallAndNotTheNext(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10*money.Dollar, func(r *client.IssueRequest) { r.PerCallUSDCap = usd(money.Dollar) })

	got := b.post(key.VaultKey, intents, "item-1", strings.Replace(charge, "amount=100", "amount=101", 1))
	require.Equal(t, "cap_exhausted", got.code())
	require.Equal(t, "per_call", got.text("budget"))
	require.Equal(t, "1.00", got.text("cap_usd"))
	require.Equal(t, "1.01", got.text("price_usd"))
	require.Equal(t, "false", got.header.Get("Stripe-Should-Retry"))

	got = b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, 1, b.sim.Truth().Posts)
}

func TestL8_CapIsContendedWhileCallsInFlightMayGiveRoomBack(t *testing.T) {
	t.Parallel()
	g := newGate(http.MethodPost)
	b := setup(t, setupOptions{gate: g})
	key := b.issue(money.Dollar)
	declined := strings.Replace(charge, "pm_card_visa", "pm_card_chargeDeclined", 1)

	first := b.inBackground(key.VaultKey, intents, "item-1", declined)
	<-g.entered
	got := b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "cap_contended", got.code())
	require.Equal(t, "1.00", got.text("reserved_usd"))
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Empty(t, got.header.Get("Stripe-Should-Retry"))

	got = b.post(key.VaultKey, intents, "item-3", strings.Replace(charge, "amount=100", "amount=101", 1))
	require.Equal(t, "cap_exhausted", got.code(), "nothing that is in flight could make room for this one")

	g.release()
	require.Equal(t, http.StatusPaymentRequired, (<-first).status)
	got = b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, http.StatusOK, got.status, "the declined call gave its room back, and the refusal did not use the key up")
}

func TestL13_ADailyCapComesBackAtMidnightAndTheRunsCapDoesNot(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	daily := func(r *client.IssueRequest) {
		r.TotalUSDCap, r.DailyUSDCap, r.ExpiresIn = nil, usd(2*money.Dollar), "96h"
	}
	wide := b.issue(0, daily, func(r *client.IssueRequest) { r.RunUSDCap, r.AgentRunLabel = usd(3*money.Dollar), b.run()+"/wide" })
	plain := b.issue(0, daily)
	two := strings.Replace(charge, "amount=100", "amount=200", 1)
	midnight := b.clock.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1).Format(time.RFC3339)

	for _, key := range []client.IssuedKey{wide, plain} {
		require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "day-1", two).status)
		got := b.post(key.VaultKey, intents, "too-much", charge)
		require.Equal(t, "cap_exhausted", got.code())
		require.Equal(t, "key/day", got.text("budget"))
		require.Equal(t, midnight, got.text("resets_at"))
	}
	b.clock.advance(24 * time.Hour)

	got := b.post(plain.VaultKey, intents, "day-2", charge)
	require.Equal(t, "cap_exhausted", got.code(), "without a cap of its own the run has the daily one, once")
	require.Equal(t, "run/total", got.text("budget"))
	require.Empty(t, got.text("resets_at"))

	require.Equal(t, http.StatusOK, b.post(wide.VaultKey, intents, "day-2", charge).status)
	got = b.post(wide.VaultKey, intents, "day-2-again", charge)
	require.Equal(t, "run/total", got.text("budget"))
}
