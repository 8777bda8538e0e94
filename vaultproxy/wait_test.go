package vaultproxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// turnstile lets payment intents through to the vendor one by one.
type turnstile struct {
	arrived chan string // idempotency keys of the vendor's, in order
	pass    chan struct{}
	open    chan struct{}
	once    sync.Once
}

func newTurnstile() *turnstile {
	return &turnstile{arrived: make(chan string, 2000), pass: make(chan struct{}), open: make(chan struct{})}
}

func (s *turnstile) release() { s.once.Do(func() { close(s.open) }) }

func (s *turnstile) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(intents, r.URL.Path) {
			s.arrived <- r.Header.Get("Idempotency-Key")
			select {
			case <-s.pass:
			case <-s.open:
			}
		}
		next.ServeHTTP(w, r)
	})
}

// setupWaiting is a proxy whose calls wait for each other, before a vendor that
// answers when it is told to.
func setupWaiting(t *testing.T, wait time.Duration) (*testBundle, *turnstile) {
	t.Helper()
	s := newTurnstile()
	b := setup(t, setupOptions{wait: wait, upstream: s.wrap, timeout: forAsLongAsItTakes})
	t.Cleanup(s.release) // a test that failed may not have
	return b, s
}

// untilWaiting returns once so many calls wait for room.
func (b *testBundle) untilWaiting(n int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.store.Waiting() == n && b.store.Queued() == 0 }, forAsLongAsItTakes, time.Millisecond,
		"%d wait", n)
}

func refusedCharge() string {
	return strings.Replace(charge, "pm_card_visa", "pm_card_chargeDeclined", 1)
}

func TestL8_AWaiterGetsThroughWhenAHoldIsReleased(t *testing.T) {
	t.Parallel()
	b, vendor := setupWaiting(t, forAsLongAsItTakes)
	key := b.issue(money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-1", refusedCharge())
	<-vendor.arrived
	second := b.inBackground(key.VaultKey, intents, "item-2", charge)
	b.untilWaiting(1)
	require.Len(t, b.seen.of(http.MethodPost), 1, "who waits has sent nothing")

	vendor.release()
	require.Equal(t, http.StatusPaymentRequired, (<-first).status)
	got := <-second
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, money.Dollar)
	b.sentOnce()
}

func TestL8_WhoCameFirstIsServedFirst(t *testing.T) {
	t.Parallel()
	b, vendor := setupWaiting(t, forAsLongAsItTakes)
	key := b.issue(money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-0", refusedCharge())
	<-vendor.arrived
	var others []<-chan httpAnswer
	for i := range 5 {
		others = append(others, b.inBackground(key.VaultKey, intents, fmt.Sprintf("item-%d", i+1), refusedCharge()))
		b.untilWaiting(i + 1)
	}
	vendor.pass <- struct{}{}
	require.Equal(t, http.StatusPaymentRequired, (<-first).status)
	for i, other := range others {
		next := <-vendor.arrived
		require.Equal(t, "tollgate_"+b.call(fmt.Sprintf("item-%d", i+1)).CallID+"_0", next, "number %d of the line", i+1)
		vendor.pass <- struct{}{}
		require.Equal(t, http.StatusPaymentRequired, (<-other).status)
	}
}

func TestL8_CapExhaustedIsSaidTheMomentItIsTrue(t *testing.T) {
	t.Parallel()
	b, vendor := setupWaiting(t, forAsLongAsItTakes)
	key := b.issue(money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-1", charge)
	<-vendor.arrived
	var others []<-chan httpAnswer
	for i := range 10 {
		others = append(others, b.inBackground(key.VaultKey, intents, fmt.Sprintf("other-%d", i), charge))
	}
	b.untilWaiting(10)
	vendor.release()
	require.Equal(t, http.StatusOK, (<-first).status)
	for _, other := range others {
		got := <-other // the wait itself is longer than the test may take
		require.Equal(t, "cap_exhausted", got.code(), got.raw)
		require.Equal(t, "1.00", got.text("settled_usd"))
	}
	b.requireBudget(0, money.Dollar)
}

func TestL8_AWaiterWhoseTimeIsOverIsToldToComeBack(t *testing.T) {
	t.Parallel()
	b, vendor := setupWaiting(t, 20*time.Millisecond)
	key := b.issue(money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-1", refusedCharge())
	<-vendor.arrived
	got := b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "cap_contended", got.code(), got.raw)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Empty(t, got.header.Get("Stripe-Should-Retry"))
	require.Zero(t, b.store.Waiting())

	vendor.release()
	require.Equal(t, http.StatusPaymentRequired, (<-first).status)
	got = b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, http.StatusOK, got.status, "the refusal did not use the key up")
}

func TestL8_ARevokedKeysWaiterIsToldSo(t *testing.T) {
	t.Parallel()
	b, vendor := setupWaiting(t, forAsLongAsItTakes)
	key := b.issue(money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-1", refusedCharge())
	<-vendor.arrived
	second := b.inBackground(key.VaultKey, intents, "item-2", charge)
	b.untilWaiting(1)
	_, err := b.control.Revoke(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, "key_revoked", (<-second).code())
	vendor.release()
	require.Equal(t, http.StatusPaymentRequired, (<-first).status)
	require.Len(t, b.seen.of(http.MethodPost), 1)
}

func TestL8_AFanOutWithDeclinesSpendsUntilTheFirstItemThatDoesNotFit(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{wait: forAsLongAsItTakes, timeout: forAsLongAsItTakes})
	key := b.issue(20 * money.Dollar)
	const items = 120
	answers := make([]httpAnswer, items)
	var wg sync.WaitGroup
	for i := range items {
		wg.Go(func() {
			body := charge
			if i%3 == 0 {
				body = refusedCharge()
			}
			answers[i], _ = b.try(key.VaultKey, intents, fmt.Sprintf("item-%d", i), strings.Replace(body, "cus_1", fmt.Sprintf("cus_%d", i), 1))
		})
	}
	wg.Wait()
	count := map[string]int{}
	for _, got := range answers {
		count[fmt.Sprintf("%d %s", got.status, got.text("code"))]++
		if got.code() == "cap_exhausted" {
			require.Equal(t, "20.00", got.text("settled_usd"), "nothing less is a reason to stop")
		}
	}
	require.Equal(t, 20, count["200 "], count)
	require.Equal(t, items, count["200 "]+count["402 "]+count["429 cap_exhausted"], count)
	b.requireBudget(0, 20*money.Dollar)
	require.Equal(t, int64(20*money.Dollar), b.sim.Truth().SucceededTotalMicroUSD)
}

func TestL8_AThousandWaitersDoNotPollTheLedger(t *testing.T) {
	t.Parallel()
	b, vendor := setupWaiting(t, forAsLongAsItTakes)
	key := b.issue(money.Dollar)
	other := b.issue(100_000*money.Dollar, func(r *client.IssueRequest) { r.AgentRunLabel = b.run() + "/other" })
	aside := func(item string) {
		got := b.post(other.VaultKey, charges, item, "amount=50&currency=usd&source=tok_visa")
		require.Equal(t, http.StatusOK, got.status, got.raw)
	}
	aside("warm-up")
	const calls = 10
	before := b.clock.asked()
	for i := range calls {
		aside(fmt.Sprintf("before-%d", i))
	}
	perCall := (b.clock.asked() - before) / calls

	first := b.inBackground(key.VaultKey, intents, "item-0", refusedCharge())
	<-vendor.arrived
	const waiters = 1000
	waiting := make([]<-chan httpAnswer, waiters)
	for i := range waiting {
		waiting[i] = b.inBackground(key.VaultKey, intents, fmt.Sprintf("item-%d", i+1), charge)
	}
	b.untilWaiting(waiters)

	// What others do on budgets of their own wakes nobody, and neither does time:
	// the ledger has as many transactions for each of their calls as it had before.
	begun, during, n := time.Now(), b.clock.asked(), 0
	for ; n < calls || time.Since(begun) < 1200*time.Millisecond; n++ {
		aside(fmt.Sprintf("during-%d", n))
	}
	require.Equal(t, perCall*n, b.clock.asked()-during)

	// Room for one wakes one, and the next in the line.
	before = b.clock.asked()
	vendor.pass <- struct{}{}
	require.Equal(t, http.StatusPaymentRequired, (<-first).status)
	<-vendor.arrived
	b.untilWaiting(waiters - 1)
	require.Less(t, b.clock.asked()-before, 50)

	vendor.release()
	count := map[string]int{}
	for _, done := range waiting {
		got := <-done
		count[fmt.Sprintf("%d %s", got.status, got.text("code"))]++
	}
	require.Equal(t, map[string]int{"200 ": 1, "429 cap_exhausted": waiters - 1}, count)
	b.requireBudget(0, money.Dollar)
}
