package vaultproxy_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log"
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
	"github.com/tollgate/tollgate/vaultproxy/money/fx"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/resend"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
	"github.com/tollgate/tollgate/vendorsim"
)

const (
	adminKey     = "admin-key-of-the-tests"
	vendorSecret = "sk_test_the_vendors_secret"
	resendSecret = "re_sim_the_vendors_secret"

	// sendTimeout is the proxy's upstream deadline unless a test sets another.
	sendTimeout = 40 * time.Second
	// pastFence is longer than any send of it can still be on its way.
	pastFence = 3 * time.Minute
	// forAsLongAsItTakes is a wait that no test sees the end of, however slow the
	// machine is: it is there so that one that hangs says where.
	forAsLongAsItTakes = 5 * time.Minute

	intents = "/stripe/v1/payment_intents"
	charges = "/stripe/v1/charges"
	refunds = "/stripe/v1/refunds"

	// charge takes $1.00 at once.
	charge = "amount=100&currency=usd&customer=cus_1&payment_method=pm_card_visa&payment_method_types[]=card&confirm=true&off_session=true"
)

// testBundle is a proxy over real HTTP, with a real ledger file and the
// stand-in vendor behind it.
type testBundle struct {
	t       *testing.T
	opt     setupOptions
	path    string // of the ledger
	sim     *vendorsim.Sim
	seen    *recorder // what arrived at the vendor
	vendor  *httptest.Server
	store   *sqlite.Store
	proxy   *vaultproxy.Proxy
	front   *httptest.Server
	control *client.Client
	logs    *syncBuffer
	clock   *testClock
}

type setupOptions struct {
	sim          vendorsim.Config // of the stand-in; seed, script and clock are the test's
	script       func(vendorsim.FaultPoint) vendorsim.Fault
	store        func(ledger.Store) ledger.Store      // around the ledger
	upstream     func(http.Handler) http.Handler      // around the stand-in
	vendor       func(vendors.Vendor) vendors.Vendor  // around the profile
	transport    http.RoundTripper                    // in place of the proxy's own
	handler      func(*vaultproxy.Proxy) http.Handler // nil: both planes on one listener
	gate         *gate                                // before the stand-in
	timeout      time.Duration                        // of one send; zero: sendTimeout
	maxInFlight  int
	storeTimeout time.Duration // zero: forAsLongAsItTakes
	wait         time.Duration // for calls in flight that stand in the way; zero: not at all
	url          string        // another upstream than the stand-in
	rates        *fx.Table     // of other currencies than the US dollar
	fromDomains  []string      // that e-mails may be sent from; nil: example.com
}

// testClock is wall time plus what a test adds to it. The ledger and the
// stand-in share it.
type testClock struct {
	mu      sync.Mutex
	ahead   time.Duration
	stopped time.Time // the wall time at which it was stopped; zero: it goes
	reads   int
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	wall := c.stopped
	if wall.IsZero() {
		wall = time.Now()
	}
	return wall.Add(c.ahead)
}

// stopped is a clock that leaves it to the test alone how much time passes: on a
// slow machine, no key expires and no send comes too late by itself. It shows
// tomorrow's noon.
func stopped() *testClock {
	c := &testClock{stopped: time.Now()}
	c.noon()
	return c
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// asked is how often the time was read. The ledger does so once for each transaction.
func (c *testClock) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

// lead is how far the clock is ahead of wall time.
func (c *testClock) lead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

// noon sets the clock to tomorrow's noon, so that no test straddles a midnight
// by accident.
func (c *testClock) noon() {
	tomorrow := c.now().UTC().Truncate(24 * time.Hour).Add(36 * time.Hour)
	c.advance(tomorrow.Sub(c.now()))
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

// sent is one request as the vendor got it.
type sent struct {
	method, target, key, body string
	header                    http.Header
}

// recorder notes what arrives at the vendor, in order.
type recorder struct {
	mu   sync.Mutex
	next http.Handler
	all  []sent
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		body = nil
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	r.all = append(r.all, sent{req.Method, req.RequestURI, req.Header.Get("Idempotency-Key"), string(body), req.Header.Clone()})
	r.mu.Unlock()
	r.next.ServeHTTP(w, req)
}

// of returns what arrived by a method.
func (r *recorder) of(method string) []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []sent
	for _, s := range r.all {
		if s.method == method {
			out = append(out, s)
		}
	}
	return out
}

func setup(t *testing.T, opt setupOptions) *testBundle {
	t.Helper()
	b := &testBundle{
		t: t, opt: opt, path: filepath.Join(t.TempDir(), "ledger.db"), logs: &syncBuffer{}, clock: stopped(),
	}
	var err error
	cfg := opt.sim
	cfg.Seed, cfg.Script, cfg.Now = 1, opt.script, b.clock.now
	b.sim, err = vendorsim.New(cfg)
	require.NoError(t, err)
	b.seen = &recorder{next: b.sim.Handler()}
	if opt.upstream != nil {
		b.seen.next = opt.upstream(b.seen.next)
	}
	if opt.gate != nil {
		b.seen.next = opt.gate.wrap(b.seen.next)
	}
	b.vendor = serveQuietly(b.seen)
	b.start()
	t.Cleanup(func() {
		b.sim.Close()
		if opt.gate != nil {
			opt.gate.release() // a test that failed may not have
		}
		b.closeProxy()
		b.vendor.Close()
		b.checkLedger()
		require.NoError(t, b.store.Close())
		require.NotContains(t, b.logs.String(), vendorSecret)
		require.NotContains(t, b.logs.String(), resendSecret)
		require.NotContains(t, b.logs.String(), vaultproxy.TokenPrefix)
		require.NotContains(t, b.logs.String(), adminKey)
		require.Zero(t, b.sim.Truth().LeakedVaultKeys)
		require.Zero(t, b.sim.Truth().LeakedTollgateHeaders)
	})
	return b
}

// serveQuietly is httptest.NewServer without the log of connections that tests break.
func serveQuietly(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	return s
}

// start opens the ledger and puts a proxy before it, as a process does.
func (b *testBundle) start() {
	b.t.Helper()
	var err error
	b.store, err = sqlite.Open(b.t.Context(), sqlite.Config{Path: b.path, Now: b.clock.now})
	require.NoError(b.t, err)
	var store ledger.Store = b.store
	if b.opt.store != nil {
		store = b.opt.store(store)
	}
	b.proxy = b.newProxy(store)
	handler := b.proxy.Combined()
	if b.opt.handler != nil {
		handler = b.opt.handler(b.proxy)
	}
	b.front = serveQuietly(handler)
	b.control, err = client.New(client.Config{BaseURL: b.front.URL, AdminKey: adminKey})
	require.NoError(b.t, err)
}

func (b *testBundle) newProxy(store ledger.Store) *vaultproxy.Proxy {
	b.t.Helper()
	profile, err := stripe.New(stripe.Config{Secret: vendorSecret, Rates: b.opt.rates})
	require.NoError(b.t, err)
	var vendor vendors.Vendor = profile
	if b.opt.vendor != nil {
		vendor = b.opt.vendor(vendor)
	}
	from := b.opt.fromDomains
	if from == nil {
		from = []string{"example.com"}
	}
	emails, err := resend.New(resend.Config{Secret: resendSecret, FromDomains: from, Price: emailPrice})
	require.NoError(b.t, err)
	target := b.vendor.URL
	if b.opt.url != "" {
		target = b.opt.url
	}
	p, err := vaultproxy.New(vaultproxy.Config{
		Store: store, AdminKey: adminKey, MasterKey: bytes.Repeat([]byte{7}, vaultproxy.MasterKeySize),
		Logger: slog.New(slog.NewJSONHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Upstreams: []vaultproxy.Upstream{
			{Vendor: vendor, URL: target, Client: b.opt.transport}, {Vendor: twilioProfile(b.t), URL: target, Client: b.opt.transport},
			{Vendor: emails, URL: target, Client: b.opt.transport},
		},
		UpstreamTimeout: cmp.Or(b.opt.timeout, sendTimeout), MaxInFlight: b.opt.maxInFlight, ReconcileInterval: -1,
		ContentionWait: cmp.Or(b.opt.wait, -1), StoreTimeout: cmp.Or(b.opt.storeTimeout, forAsLongAsItTakes),
	})
	require.NoError(b.t, err)
	return p
}

// stop ends the proxy and lets the ledger go, as a process does.
func (b *testBundle) stop() {
	b.t.Helper()
	b.closeProxy()
	require.NoError(b.t, b.store.Close())
}

func (b *testBundle) closeProxy() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), forAsLongAsItTakes)
	defer cancel()
	b.front.Close()
	require.NoError(b.t, b.proxy.Close(ctx))
}

// checkLedger holds the ledger against itself and against what the vendor
// really did: it may hold or have booked more than the vendor took, never less.
func (b *testBundle) checkLedger() {
	b.t.Helper()
	ctx := context.Background()
	lines, err := b.store.Verify(ctx)
	require.NoError(b.t, err)
	require.Empty(b.t, lines, "every budget equals the sum over its calls")
	reports, err := b.store.RunReports(ctx, "")
	require.NoError(b.t, err)
	var booked money.USD
	for _, r := range reports {
		require.LessOrEqual(b.t, r.Budget.Settled+r.Budget.Held(), r.Budget.Cap+r.Budget.Overrun)
		booked += r.Budget.Settled + r.Budget.Held()
	}
	truth := b.sim.Truth()
	var outside int64 // what a test did at the vendor behind the proxy's back
	for _, c := range truth.Charged {
		if c.Metadata["tollgate_call"] == "" {
			outside += c.CapturedAmount * int64(money.Cent)
		}
	}
	mailed := money.USD(truth.EmailRecipients) * emailPrice
	require.GreaterOrEqual(b.t, booked+money.USD(outside), money.USD(truth.SucceededTotalMicroUSD)+mailed)
}

func usd(amount money.USD) *money.USD { return &amount }

func (b *testBundle) run() string { return "temporal/default/" + b.t.Name() }

// issue issues a key with a total cap, for every metered endpoint and some reads.
func (b *testBundle) issue(limit money.USD, change ...func(*client.IssueRequest)) client.IssuedKey {
	b.t.Helper()
	key, err := b.control.Issue(b.t.Context(), b.terms(limit, change...), "")
	require.NoError(b.t, err)
	return key
}

func (b *testBundle) terms(limit money.USD, change ...func(*client.IssueRequest)) client.IssueRequest {
	req := client.IssueRequest{
		Vendor: "stripe", ExpiresIn: "2h", AgentRunLabel: b.run(), TotalUSDCap: usd(limit),
		AllowedEndpoints: []string{
			"POST /v1/payment_intents", "POST /v1/payment_intents/{id}/confirm", "POST /v1/payment_intents/{id}/capture",
			"POST /v1/payment_intents/{id}/cancel", "GET /v1/payment_intents/{id}", "POST /v1/charges",
			"POST /v1/charges/{id}/capture", "POST /v1/refunds",
		},
	}
	for _, f := range change {
		f(&req)
	}
	return req
}

type httpAnswer struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (a httpAnswer) code() string { return a.text("code") }

func (a httpAnswer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

// post sends one raw call to the data plane. Headers come in pairs of name and value.
func (b *testBundle) post(token, path, idempotencyKey, body string, header ...string) httpAnswer {
	b.t.Helper()
	answer, err := b.try(token, path, idempotencyKey, body, header...)
	require.NoError(b.t, err)
	return answer
}

func (b *testBundle) get(token, path string) httpAnswer {
	b.t.Helper()
	answer, err := b.do(http.MethodGet, b.front.URL+path, "", "Authorization", "Bearer "+token)
	require.NoError(b.t, err)
	return answer
}

func (b *testBundle) try(token, path, idempotencyKey, body string, header ...string) (httpAnswer, error) {
	all := []string{"Authorization", "Bearer " + token, "Content-Type", "application/x-www-form-urlencoded"}
	if idempotencyKey != "" {
		all = append(all, "Idempotency-Key", idempotencyKey)
	}
	return b.do(http.MethodPost, b.front.URL+path, body, append(all, header...)...)
}

func (b *testBundle) do(method, url, body string, header ...string) (httpAnswer, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), forAsLongAsItTakes) // no caller waits for ever
	defer cancel()
	return roundTrip(ctx, b.front.Client(), method, url, body, header...)
}

func roundTrip(ctx context.Context, caller *http.Client, method, url, body string, header ...string) (httpAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return httpAnswer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := caller.Do(req)
	if err != nil {
		return httpAnswer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return httpAnswer{}, err
	}
	out := httpAnswer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &out.body) // answers that are no object are looked at raw
	return out, nil
}

// admin calls the control plane.
func (b *testBundle) admin(method, path, body string, header ...string) httpAnswer {
	b.t.Helper()
	all := append([]string{"Authorization", "Bearer " + adminKey, "Content-Type", "application/json"}, header...)
	answer, err := b.do(method, b.front.URL+path, body, all...)
	require.NoError(b.t, err)
	return answer
}

// behindItsBack does something at the vendor without the proxy, and returns the
// object that it made.
func (b *testBundle) behindItsBack(path, body string) string {
	b.t.Helper()
	got, err := b.do(http.MethodPost, b.vendor.URL+path, body, "Authorization", "Bearer sk_test_somebody_else",
		"Content-Type", "application/x-www-form-urlencoded")
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusOK, got.status, got.raw)
	return got.text("id")
}

func (b *testBundle) report() client.RunReport {
	b.t.Helper()
	report, err := b.control.RunReport(b.t.Context(), b.run())
	require.NoError(b.t, err)
	return report
}

// call returns the ledger's row of an idempotency key of this test's run.
func (b *testBundle) call(idempotencyKey string) client.Call {
	b.t.Helper()
	page, err := b.control.Calls(b.t.Context(), client.CallQuery{Run: b.run(), IdempotencyKey: idempotencyKey})
	require.NoError(b.t, err)
	require.Len(b.t, page.Calls, 1)
	return page.Calls[0]
}

// reconcile runs the reconciler once, when everything is due.
func (b *testBundle) reconcile() {
	b.t.Helper()
	b.clock.advance(time.Hour)
	require.NoError(b.t, b.proxy.Reconcile(b.t.Context()))
}

// sentOnce asserts that no idempotency key reached the vendor more than once.
func (b *testBundle) sentOnce() {
	b.t.Helper()
	for key, n := range b.sim.Truth().Sends {
		require.Equal(b.t, 1, n, key)
	}
}

// gate holds requests of one method at the vendor until it is opened.
type gate struct {
	method  string
	entered chan struct{}
	open    chan struct{}
	once    sync.Once
}

func newGate(method string) *gate {
	return &gate{method: method, entered: make(chan struct{}, 100), open: make(chan struct{})}
}

// release opens the gate for good.
func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == g.method {
			g.entered <- struct{}{}
			<-g.open
		}
		next.ServeHTTP(w, r)
	})
}

// inBackground makes a call that the test does not wait for yet.
func (b *testBundle) inBackground(token, path, idempotencyKey, body string) <-chan httpAnswer {
	done := make(chan httpAnswer, 1)
	go func() {
		answer, err := b.try(token, path, idempotencyKey, body)
		if err != nil {
			answer.raw = err.Error()
		}
		done <- answer
	}()
	return done
}
