package vaultproxy_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// item is one customer to charge.
type item struct {
	name   string // its idempotency key, too
	amount money.USD
	method string // of payment
	// first is what the vendor does with its first request; nil: the usual.
	first treatment
	// then is what the caller is told in the proxy's first life; empty: it is
	// still in flight when that ends.
	then string
}

func (i item) customer() string { return "cus_" + i.name }

func (i item) declines() bool { return i.method == "pm_card_chargeDeclined" }

// crowd are the items that are on their way, each in another state, when the
// proxy is killed during the last one. Each has an amount of its own, and the
// cap is their sum: an item booked twice leaves another one without room.
func crowd() []item {
	return []item{
		{"declined", 64 * money.Dollar, "pm_card_chargeDeclined", nil, "402"},
		{"settled", money.Dollar, "pm_card_visa", nil, "200"},
		{"committed", 2 * money.Dollar, "pm_sim_processing", nil, "200"},
		{"answer_lost", 4 * money.Dollar, "pm_card_visa", answerLost, "outcome_unknown"},
		{"request_lost", 8 * money.Dollar, "pm_card_visa", requestLost, "outcome_unknown"},
		{"queued", 16 * money.Dollar, "pm_card_visa", queued, ""},
		{"unanswered", 32 * money.Dollar, "pm_card_visa", unanswered, ""},
	}
}

func last() item { return item{name: lastItem, amount: 64 * money.Dollar, method: "pm_card_visa"} }

// crashCap is what all items come to that are not declined.
const crashCap = 127 * money.Dollar

// crash is a run whose proxy is killed and started again, once or more often.
type crash struct {
	t       *testing.T
	backend backend
	where   string // of the ledger
	clock   *testClock
	logs    *syncBuffer
	sim     *vendorsim.Sim
	vendor  *crashVendor
	behind  *httptest.Server // the vendor's
	caller  *http.Client
	waiting sync.WaitGroup // callers of what is in flight

	url     string // of the proxy that is alive
	control *client.Client
	victim  *victim
	proxy   *vaultproxy.Proxy // of the last life
	store   ledger.Store
	beside  bool // the reconciler runs beside each round of callers

	key    client.IssuedKey
	second client.IssuedKey // for the last item, if it has one of its own
}

func newCrash(t *testing.T, b backend) *crash {
	t.Helper()
	c := &crash{
		t: t, backend: b, where: b.fresh(t), clock: &testClock{}, logs: &syncBuffer{},
		// A connection a call: no client may try again by itself.
		caller: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	c.clock.noon()
	var err error
	c.sim, err = vendorsim.New(vendorsim.Config{Seed: 1, Now: c.clock.now})
	require.NoError(t, err)
	c.vendor = newCrashVendor(c.sim.Handler())
	for _, i := range crowd() {
		if i.first != nil {
			c.vendor.treatPosts(i.customer(), i.first)
		}
	}
	c.behind = serveQuietly(c.vendor)
	t.Cleanup(func() {
		c.vendor.letThrough() // a test that failed may not have
		c.behind.Close()
		for _, secret := range []string{vendorSecret, vaultproxy.TokenPrefix, adminKey} {
			require.NotContains(t, c.logs.String(), secret)
		}
		if t.Failed() {
			t.Log(c.logs.String())
		}
	})
	return c
}

// live starts a proxy that is to die.
func (c *crash) live(d death) {
	c.t.Helper()
	c.victim = startVictim(c.t, orders{
		Backend: c.backend.name, Ledger: c.where, Vendor: c.behind.URL, Ahead: c.clock.lead(), Death: d,
	}, c.logs)
	c.vendor.setVictim(c.victim)
	c.reachedAt(c.victim.url)
}

// liveOn starts the proxy that is not killed any more.
func (c *crash) liveOn() {
	c.t.Helper()
	var err error
	c.store, err = c.backend.open(c.t.Context(), c.where, c.clock.now)
	require.NoError(c.t, err)
	c.proxy, err = proxyOver(c.store, c.behind.URL, c.logs)
	require.NoError(c.t, err)
	front := serveQuietly(c.proxy.Combined())
	c.t.Cleanup(func() {
		front.Close()
		require.NoError(c.t, c.proxy.Close(context.Background()))
		require.NoError(c.t, c.store.Close())
	})
	c.reachedAt(front.URL)
}

func (c *crash) reachedAt(url string) {
	c.t.Helper()
	var err error
	c.url = url
	c.control, err = client.New(client.Config{BaseURL: url, AdminKey: adminKey})
	require.NoError(c.t, err)
}

func (c *crash) run() string { return "temporal/default/" + c.t.Name() }

func (c *crash) issue(phase string) (client.IssuedKey, error) {
	return c.control.Issue(c.t.Context(), client.IssueRequest{
		Vendor: "stripe", ExpiresIn: "72h", AgentRunLabel: c.run(), Phase: phase, TotalUSDCap: usd(crashCap),
		AllowedEndpoints: []string{"POST /v1/payment_intents"},
	}, "")
}

func (c *crash) post(i item) (httpAnswer, error) {
	token := c.key.VaultKey
	if i.name == lastItem && c.second.VaultKey != "" {
		token = c.second.VaultKey
	}
	body := "amount=" + strconv.FormatInt(int64(i.amount/money.Cent), 10) + "&currency=usd&customer=" + i.customer() +
		"&payment_method=" + i.method + "&payment_method_types[]=card&confirm=true&off_session=true"
	return roundTrip(c.t.Context(), c.caller, http.MethodPost, c.url+intents, body, "Authorization", "Bearer "+token,
		"Content-Type", "application/x-www-form-urlencoded", "Idempotency-Key", i.name, "Tollgate-Item", i.name)
}

// told is what an answer says: its code, or its status if that is the vendor's.
func told(a httpAnswer) string {
	if code := a.code(); code != "" {
		return code
	}
	return strconv.Itoa(a.status)
}

// crowdIn brings every item of the crowd where it is to be when the proxy dies.
func (c *crash) crowdIn() {
	c.t.Helper()
	var err error
	c.key, err = c.issue("")
	require.NoError(c.t, err)
	for _, i := range crowd() {
		if i.then == "" {
			c.waiting.Go(func() { _, _ = c.post(i) }) // what it is told depends on when its connection breaks
			<-c.vendor.arrived
			continue
		}
		got, err := c.post(i)
		require.NoError(c.t, err)
		require.Equal(c.t, i.then, told(got), got.raw)
	}
}

// killed holds the life that ends to its end by the signal, and waits until
// others may take care of what it had in flight.
func (c *crash) killed() {
	c.t.Helper()
	c.victim.requireKilled(c.t)
	c.waiting.Wait()
	c.clock.advance(c.backend.lease)
}

// comeBack lets callers try again under the same idempotency keys, all at once
// and every half minute, until each has its answer.
func (c *crash) comeBack(items []item) map[string]httpAnswer {
	c.t.Helper()
	answers := map[string]httpAnswer{}
	for round := range 20 {
		var left []item
		for _, i := range items {
			if _, ok := answers[i.name]; !ok {
				left = append(left, i)
			}
		}
		if len(left) == 0 {
			return answers
		}
		for k, got := range c.askAll(left) {
			if !tryAgain(got.code()) {
				answers[left[k].name] = got
			}
		}
		c.nothingGivenBack()
		if round == 0 {
			c.vendor.letThrough()
		}
		c.clock.advance(30 * time.Second)
	}
	require.Len(c.t, slices.Collect(maps.Keys(answers)), len(items), "the others got no answer for ten minutes")
	return nil
}

// askAll asks for items at once, and beside them lets the reconciler run if it
// is to.
func (c *crash) askAll(items []item) []httpAnswer {
	c.t.Helper()
	var wg sync.WaitGroup
	answers, errs := make([]httpAnswer, len(items)), make([]error, len(items)+1)
	if c.beside {
		wg.Go(func() { errs[len(items)] = c.proxy.Reconcile(c.t.Context()) })
	}
	for k, i := range items {
		wg.Go(func() { answers[k], errs[k] = c.post(i) })
	}
	wg.Wait()
	require.NoError(c.t, errors.Join(errs...))
	return answers
}

// tryAgain are the codes that invite to it.
func tryAgain(code string) bool {
	switch code {
	case "outcome_unknown", "idempotency_in_flight", "cap_contended", "ledger_unavailable":
		return true
	}
	return false
}

// reconcile lets the reconciler alone find out what became of everything: at
// first too early to tell what was not done from what is late.
func (c *crash) reconcile() {
	c.t.Helper()
	c.clock.advance(10 * time.Second)
	require.NoError(c.t, c.proxy.Reconcile(c.t.Context()))
	c.nothingGivenBack()
	c.vendor.letThrough()
	for range 10 {
		if c.final() {
			return
		}
		c.clock.advance(time.Hour)
		require.NoError(c.t, c.proxy.Reconcile(c.t.Context()))
		c.nothingGivenBack()
	}
	require.True(c.t, c.final())
}
