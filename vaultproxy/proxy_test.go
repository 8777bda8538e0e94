package vaultproxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
	"github.com/tollgate/tollgate/vendorsim"
)

const (
	adminKey     = "admin-key-of-the-tests"
	vendorSecret = "sk_test_the_vendors_secret"
)

// bench is a proxy over real HTTP, with a real ledger file and the stand-in
// vendor behind it.
type testBundle struct {
	t       *testing.T
	sim     *vendorsim.Sim
	store   *sqlite.Store
	proxy   *vaultproxy.Proxy
	url     string
	control *client.Client
	logs    *syncBuffer
	clock   *testClock
}

type setupOptions struct {
	script  func(vendorsim.FaultPoint) vendorsim.Fault
	store   func(ledger.Store) ledger.Store
	timeout time.Duration
	url     string // another upstream than the stand-in
	slow    time.Duration
}

// testClock is wall time plus what a test adds to it.
type testClock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func setup(t *testing.T, opt setupOptions) *testBundle {
	t.Helper()
	sim, err := vendorsim.New(vendorsim.Config{Seed: 1, Script: opt.script, SlowDelay: opt.slow})
	require.NoError(t, err)
	upstream := httptest.NewServer(sim.Handler())
	b := &testBundle{t: t, sim: sim, logs: &syncBuffer{}, clock: &testClock{}}
	b.store, err = sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ledger.db"), Now: b.clock.now})
	require.NoError(t, err)
	profile, err := stripe.New(stripe.Config{Secret: vendorSecret})
	require.NoError(t, err)
	var store ledger.Store = b.store
	if opt.store != nil {
		store = opt.store(store)
	}
	target := upstream.URL
	if opt.url != "" {
		target = opt.url
	}
	timeout := opt.timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	b.proxy, err = vaultproxy.New(vaultproxy.Config{
		Store: store, AdminKey: adminKey, MasterKey: bytes.Repeat([]byte{7}, vaultproxy.MasterKeySize),
		Logger:    slog.New(slog.NewJSONHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Upstreams: []vaultproxy.Upstream{{Vendor: profile, URL: target}}, UpstreamTimeout: timeout, ReconcileInterval: -1,
	})
	require.NoError(t, err)
	front := httptest.NewServer(b.proxy.Combined())
	b.url = front.URL
	b.control, err = client.New(client.Config{BaseURL: front.URL, AdminKey: adminKey})
	require.NoError(t, err)
	t.Cleanup(func() {
		sim.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		front.Close()
		require.NoError(t, b.proxy.Close(ctx))
		upstream.Close()
		lines, err := b.store.Verify(context.Background())
		require.NoError(t, err)
		require.Empty(t, lines, "every budget equals the sum over its calls")
		require.NoError(t, b.store.Close())
		require.NotContains(t, b.logs.String(), vendorSecret)
		require.NotContains(t, b.logs.String(), vaultproxy.TokenPrefix)
		require.Zero(t, sim.Truth().LeakedVaultKeys)
		require.Zero(t, sim.Truth().LeakedTollgateHeaders)
	})
	return b
}

func usd(amount money.USD) *money.USD { return &amount }

// issue issues a key with a total cap, for every metered endpoint.
func (b *testBundle) issue(limit money.USD, change ...func(*client.IssueRequest)) client.IssuedKey {
	b.t.Helper()
	req := client.IssueRequest{
		Vendor: "stripe", ExpiresIn: "2h", AgentRunLabel: "temporal/default/" + b.t.Name(), TotalUSDCap: usd(limit),
		AllowedEndpoints: []string{
			"POST /v1/payment_intents", "POST /v1/payment_intents/{id}/confirm", "POST /v1/payment_intents/{id}/capture",
			"POST /v1/payment_intents/{id}/cancel", "GET /v1/payment_intents/{id}", "POST /v1/charges",
			"POST /v1/charges/{id}/capture", "POST /v1/refunds",
		},
	}
	for _, f := range change {
		f(&req)
	}
	key, err := b.control.Issue(b.t.Context(), req, "")
	require.NoError(b.t, err)
	return key
}

type httpAnswer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a httpAnswer) code() string {
	code, _ := a.body["code"].(string)
	return code
}

// post sends one raw call to the data plane.
func (b *testBundle) post(token, path, idempotencyKey, body string, header ...string) httpAnswer {
	b.t.Helper()
	answer, err := b.try(token, path, idempotencyKey, body, header...)
	require.NoError(b.t, err)
	return answer
}

func (b *testBundle) try(token, path, idempotencyKey, body string, header ...string) (httpAnswer, error) {
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
	if err != nil {
		return httpAnswer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return httpAnswer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return httpAnswer{}, err
	}
	out := httpAnswer{status: res.StatusCode, header: res.Header}
	return out, json.Unmarshal(raw, &out.body)
}

const charge = "amount=100&currency=usd&customer=cus_1&payment_method=pm_card_visa&payment_method_types[]=card&confirm=true&off_session=true"

func (b *testBundle) report() client.RunReport {
	b.t.Helper()
	report, err := b.control.RunReport(b.t.Context(), "temporal/default/"+b.t.Name())
	require.NoError(b.t, err)
	return report
}

func TestCharge_IsHeldSentOnceAndSettled(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)

	got := b.post(key.VaultKey, "/stripe/v1/payment_intents", "item-1", charge, "Tollgate-Item", "1")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Equal(t, "succeeded", got.body["status"])
	require.Equal(t, "9.00", got.header.Get("Tollgate-Remaining-Usd"))

	again := b.post(key.VaultKey, "/stripe/v1/payment_intents", "item-1", charge)
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, got.body["id"], again.body["id"])
	require.Equal(t, "true", again.header.Get("Tollgate-Replayed"))

	report := b.report()
	require.Equal(t, money.Dollar, report.Budget.SettledUSD)
	require.Equal(t, 1, report.Calls.Settled)
	require.Equal(t, 1, report.Replays)
	truth := b.sim.Truth()
	require.Equal(t, int64(money.Dollar), truth.SucceededTotalMicroUSD)
	require.EqualValues(t, 1, truth.Posts)
}

func TestCap_AdmitsExactlyWhatFitsOfAThousandConcurrentCalls(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(250 * money.Dollar)

	const calls = 1000
	var wg sync.WaitGroup
	statuses := make([]string, calls)
	slots := make(chan struct{}, 128)
	for i := range calls {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			item := "item-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
			for { // contended: room may come back, so the item asks again
				got, err := b.try(key.VaultKey, "/stripe/v1/payment_intents", item, strings.Replace(charge, "cus_1", "cus_"+item, 1))
				if err != nil {
					statuses[i] = err.Error()
					return
				}
				if got.code() != "cap_contended" {
					statuses[i] = got.code()
					return
				}
			}
		})
	}
	wg.Wait()
	admitted, exhausted := 0, 0
	for _, code := range statuses {
		switch code {
		case "":
			admitted++
		case "cap_exhausted":
			exhausted++
		default:
			require.Fail(t, "unexpected answer", code)
		}
	}
	require.Equal(t, 250, admitted)
	require.Equal(t, 750, exhausted)
	require.Equal(t, int64(250*money.Dollar), b.sim.Truth().SucceededTotalMicroUSD)
	require.Equal(t, 250*money.Dollar, b.report().Budget.SettledUSD)
}

func TestLostAnswer_IsProvedOnTheNextAttempt(t *testing.T) {
	t.Parallel()
	for _, fault := range []vendorsim.Fault{
		vendorsim.AnswerLost, vendorsim.Error500AfterCharge, vendorsim.ClosedAfterRead, vendorsim.TruncatedAnswer,
		vendorsim.ConnectionReset, vendorsim.Redirect302, vendorsim.Error503,
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(10 * money.Dollar)
			b.sim.NextFaults(fault)

			got := b.post(key.VaultKey, "/stripe/v1/payment_intents", "item-1", charge)
			require.Equal(t, "outcome_unknown", got.code(), got.body)
			require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)

			again := b.post(key.VaultKey, "/stripe/v1/payment_intents", "item-1", charge)
			require.Equal(t, http.StatusOK, again.status, again.body)
			require.Equal(t, "succeeded", again.body["status"])
			require.Equal(t, money.Dollar, b.report().Budget.SettledUSD)
			require.Zero(t, b.report().Budget.UnknownUSD)
			require.Equal(t, int64(money.Dollar), b.sim.Truth().SucceededTotalMicroUSD)
			require.Equal(t, 1, b.sim.Truth().Charges)
		})
	}
}
