package vendorsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/tollgate/tollgate/vendorsim"
)

const testKey = "sk_test_one"

// clock is a stand-in's clock that a test turns.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type testBundle struct {
	sim    *vendorsim.Sim
	url    string
	clock  *clock
	stripe *client.API
}

func setup(t *testing.T, cfg vendorsim.Config) *testBundle {
	t.Helper()
	turned := &clock{now: time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)}
	cfg.Now = turned.Now
	sim, err := vendorsim.New(cfg)
	require.NoError(t, err)
	b := serve(t, sim)
	b.clock = turned
	return b
}

// serve puts a stand-in on the loopback with stripe-go in front of it.
func serve(t *testing.T, sim *vendorsim.Sim) *testBundle {
	t.Helper()
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		sim.Close()
		server.Close()
	})
	b := &testBundle{sim: sim, url: server.URL}
	b.stripe = client.New(testKey, &stripe.Backends{API: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(server.URL), MaxNetworkRetries: stripe.Int64(0),
		HTTPClient:    &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})})
	return b
}

// reply is an answer as it came over the wire.
type reply struct {
	status int
	header http.Header
	body   string
}

// object decodes the body.
func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.body), &o), r.body)
	return o
}

// failure decodes the error of the body.
func (r reply) failure(t *testing.T) map[string]any {
	t.Helper()
	e, ok := r.object(t)["error"].(map[string]any)
	require.True(t, ok, r.body)
	return e
}

// send makes one request on a connection of its own, so that nothing is resent behind the
// test's back. Headers are "Name: value".
func (b *testBundle) send(t *testing.T, method, path, body string, headers ...string) (reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+testKey)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(read)}, err
}

// post sends a form under an idempotency key, none if it is empty, and wants an answer.
func (b *testBundle) post(t *testing.T, path, key string, form url.Values) reply {
	t.Helper()
	var headers []string
	if key != "" {
		headers = append(headers, "Idempotency-Key: "+key)
	}
	r, err := b.send(t, http.MethodPost, path, form.Encode(), headers...)
	require.NoError(t, err)
	return r
}

// get wants an answer too.
func (b *testBundle) get(t *testing.T, path string) reply {
	t.Helper()
	r, err := b.send(t, http.MethodGet, path, "")
	require.NoError(t, err)
	return r
}

// payment is the form of a confirmed off-session payment of a customer, changed by pairs of
// name and value; the value "-" takes a name out.
func payment(customer string, changes ...string) url.Values {
	form := url.Values{
		"amount": {"1000"}, "currency": {"usd"}, "customer": {customer}, "confirm": {"true"},
		"off_session": {"true"}, "payment_method": {"pm_card_visa"}, "payment_method_types[]": {"card"},
	}
	return changed(form, changes...)
}

func changed(form url.Values, changes ...string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
		if changes[i+1] == "-" {
			form.Del(changes[i])
		}
	}
	return form
}
