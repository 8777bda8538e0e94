package stripe_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	stripego "github.com/stripe/stripe-go/v76"
	stripeclient "github.com/stripe/stripe-go/v76/client"

	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// mockBundle is stripe-go in front of the proxy, and stripe-mock behind it,
// which checks every parameter against Stripe's published OpenAPI description.
type mockBundle struct {
	sdk     *stripeclient.API
	control *client.Client
	run     string

	mu     sync.Mutex
	seen   []exchange
	fields map[string]map[string]any // by method and path: what an object shows instead of stripe-mock's fixture
}

// exchange is one request that reached stripe-mock.
type exchange struct {
	call    string
	form    url.Values
	version string
	status  int
	answer  string
}

// stripeMock starts stripe-mock on a free port and stops it with the test.
func stripeMock(t *testing.T) *url.URL {
	t.Helper()
	path := peer.StripeMock(t)
	// It serves HTTPS as well unless that has an address of its own.
	cmd := exec.CommandContext(t.Context(), path, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, addr, ok := strings.Cut(lines.Text(), "Listening for HTTP at address: "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &url.URL{Scheme: "http", Host: addr}
		}
	}
	require.FailNow(t, "stripe-mock ended before it listened", "%v", lines.Err())
	return nil
}

func setupMock(t *testing.T, mock *url.URL) *mockBundle {
	t.Helper()
	b := &mockBundle{fields: map[string]map[string]any{}, run: t.Name()}
	upstream := httptest.NewServer(b.watch(mock))
	t.Cleanup(upstream.Close)

	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ledger.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	profile, err := stripe.New(stripe.Config{Secret: secret})
	require.NoError(t, err)
	const admin = "admin-key-of-the-tests"
	proxy, err := vaultproxy.New(vaultproxy.Config{
		Store: store, AdminKey: admin, MasterKey: bytes.Repeat([]byte{7}, vaultproxy.MasterKeySize), Logger: slog.New(slog.DiscardHandler),
		Upstreams: []vaultproxy.Upstream{{Vendor: profile, URL: upstream.URL}}, ReconcileInterval: -1,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, proxy.Close(ctx))
	})
	front := httptest.NewServer(proxy.Combined())
	t.Cleanup(front.Close)

	b.control, err = client.New(client.Config{BaseURL: front.URL, AdminKey: admin})
	require.NoError(t, err)
	limit := 1000 * money.Dollar
	endpoints := []string{"GET /v1/payment_intents/{id}", "GET /v1/payment_intents", "GET /v1/charges/{id}", "GET /v1/refunds/{id}", "GET /v1/customers/{id}"}
	for _, path := range stripe.Operations() {
		endpoints = append(endpoints, "POST "+path)
	}
	key, err := b.control.Issue(t.Context(), client.IssueRequest{
		Vendor: "stripe", ExpiresIn: "1h", AgentRunLabel: b.run, TotalUSDCap: &limit, AllowedEndpoints: endpoints,
		Scope: client.Scope{ConnectedAccounts: []string{"acct_1"}},
	}, "")
	require.NoError(t, err)
	backend := stripego.GetBackendWithConfig(stripego.APIBackend, &stripego.BackendConfig{
		URL: stripego.String(front.URL + "/stripe"), MaxNetworkRetries: stripego.Int64(0), LeveledLogger: &stripego.LeveledLogger{Level: stripego.LevelNull},
	})
	b.sdk = stripeclient.New(key.VaultKey, &stripego.Backends{API: backend, Connect: backend, Uploads: backend})
	return b
}

// watch passes requests on to stripe-mock and keeps what came of them. An
// object that stripe-mock shows in its fixture's state is given the one of the test.
func (b *mockBundle) watch(mock *url.URL) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		out, err := http.NewRequestWithContext(r.Context(), r.Method, mock.JoinPath(r.URL.Path).String()+"?"+r.URL.RawQuery, bytes.NewReader(body))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		out.Header = r.Header.Clone()
		res, err := http.DefaultClient.Do(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = res.Body.Close() }()
		answer, _ := io.ReadAll(res.Body)
		form, _ := url.ParseQuery(string(body))
		call := r.Method + " " + r.URL.Path
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen = append(b.seen, exchange{call, form, r.Header.Get("Stripe-Version"), res.StatusCode, string(answer)})
		if fields := b.fields[call]; fields != nil && res.StatusCode == http.StatusOK {
			object := map[string]any{}
			_ = json.Unmarshal(answer, &object)
			maps.Copy(object, fields)
			answer, _ = json.Marshal(object)
		}
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(answer)
	})
}

// show sets what an object is shown as from now on.
func (b *mockBundle) show(call string, fields map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fields[call] = fields
}

// last is the newest request of that method and path.
func (b *mockBundle) last(t *testing.T, call string) exchange {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range slices.Backward(b.seen) {
		if e.call == call {
			return e
		}
	}
	require.Fail(t, "it was never sent", call)
	return exchange{}
}

// requireAccepted holds everything that was sent to have been valid.
func (b *mockBundle) requireAccepted(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NotEmpty(t, b.seen)
	for _, e := range b.seen {
		require.Equal(t, http.StatusOK, e.status, "%s: %v: %s", e.call, e.form, e.answer)
		require.Equal(t, stripe.APIVersion, e.version)
	}
}

func (b *mockBundle) budget(t *testing.T) client.Budget {
	t.Helper()
	report, err := b.control.RunReport(t.Context(), b.run)
	require.NoError(t, err)
	return report.Budget
}

func params(t *testing.T, key string) stripego.Params {
	t.Helper()
	p := stripego.Params{Context: t.Context()}
	if key != "" {
		p.IdempotencyKey = stripego.String(key)
	}
	return p
}

// mockGetter reads from stripe-mock itself.
type mockGetter struct{ base *url.URL }

func (g mockGetter) Get(ctx context.Context, path string, query vendors.Params) (vendors.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base.JoinPath(path).String()+"?"+query.Encode(), nil)
	if err != nil {
		return vendors.Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return vendors.Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return vendors.Answer{Status: res.StatusCode, Header: res.Header.Get, Body: body}, err
}
