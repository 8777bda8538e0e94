// Package bench measures Tollgate against bare baselines: the same work without
// what Tollgate adds, on the same machine, in the same run. Only ratios count;
// the absolute numbers depend on the machine and on what else it does.
package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// ProxyConfig says how much load there is.
type ProxyConfig struct {
	Connections int
	Calls       int // in one round
	Rounds      int // of each, in turn
}

// Throughput is calls a second, of Tollgate and of its baseline, by round.
type Throughput struct {
	Tollgate, Bare []float64
}

// Ratio is Tollgate's median over its baseline's.
func (t Throughput) Ratio() float64 { return Median(t.Tollgate) / Median(t.Bare) }

// Median of at least one value.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Proxy measures charges through a vault proxy with everything on (a durable
// hold before each, a durable settlement and an audit row after it) against the
// same requests through Go's bare httputil.ReverseProxy.
func Proxy(ctx context.Context, cfg ProxyConfig) (_ Throughput, err error) {
	upstream := httptest.NewServer(instantVendor())
	defer upstream.Close()
	bare, err := reverseProxy(upstream.URL)
	if err != nil {
		return Throughput{}, err
	}
	defer bare.Close()
	tollgate, token, stop, err := vaultProxy(ctx, upstream.URL)
	if err != nil {
		return Throughput{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	var out Throughput
	for round := range cfg.Rounds {
		one, err := load(ctx, cfg, bare.URL, "sk_test_bench", fmt.Sprintf("bare-%d", round))
		if err != nil {
			return out, fmt.Errorf("bare reverse proxy: %w", err)
		}
		out.Bare = append(out.Bare, one)
		if one, err = load(ctx, cfg, tollgate+"/stripe", token, fmt.Sprintf("tollgate-%d", round)); err != nil {
			return out, fmt.Errorf("vault proxy: %w", err)
		}
		out.Tollgate = append(out.Tollgate, one)
	}
	return out, nil
}

// instantVendor answers every charge at once, with a PaymentIntent of the usual size.
func instantVendor() http.Handler {
	var n atomic.Int64
	padding := strings.Repeat("x", 2000)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		body := `{"id":"pi_` + strconv.FormatInt(n.Add(1), 10) +
			`","object":"payment_intent","amount":100,"amount_received":100,"currency":"usd","status":"succeeded","description":"` +
			padding + `"}`
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	})
}

// reverseProxy is the baseline. Its transport keeps as many connections as the
// load has: with Go's default of two it would spend its time on dialling.
func reverseProxy(target string) (*httptest.Server, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.Transport = &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, DisableCompression: true}
	return httptest.NewServer(proxy), nil
}

func vaultProxy(ctx context.Context, target string) (base, token string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "tollgate-bench-")
	if err != nil {
		return "", "", nil, err
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "ledger.db")})
	if err != nil {
		return "", "", nil, err
	}
	profile, err := stripe.New(stripe.Config{Secret: "sk_test_bench"})
	if err != nil {
		return "", "", nil, err
	}
	const adminKey = "admin-key-of-the-bench"
	proxy, err := vaultproxy.New(vaultproxy.Config{
		Store: store, AdminKey: adminKey, MasterKey: bytes.Repeat([]byte{1}, vaultproxy.MasterKeySize),
		Logger:    slog.New(slog.NewJSONHandler(io.Discard, nil)), //nolint:sloglint // writing the lines is part of what is measured
		Upstreams: []vaultproxy.Upstream{{Vendor: profile, URL: target}},
	})
	if err != nil {
		return "", "", nil, err
	}
	server := httptest.NewServer(proxy.Combined())
	stop = func() error {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return errors.Join(proxy.Close(ctx), store.Close(), os.RemoveAll(dir))
	}
	control, err := client.New(client.Config{BaseURL: server.URL, AdminKey: adminKey})
	if err != nil {
		return "", "", stop, err
	}
	limit := 1_000_000_000 * money.Dollar
	key, err := control.Issue(ctx, client.IssueRequest{
		Vendor: "stripe", AllowedEndpoints: []string{"POST /v1/payment_intents"}, ExpiresIn: "2h", AgentRunLabel: "bench",
		TotalUSDCap: &limit,
	}, "")
	return server.URL, key.VaultKey, stop, err
}

const charge = "amount=100&currency=usd&customer=cus_1&payment_method=pm_card_visa&payment_method_types%5B%5D=card&confirm=true&off_session=true"

// load sends the calls over so many connections and returns calls a second.
func load(ctx context.Context, cfg ProxyConfig, base, token, prefix string) (float64, error) {
	transport := &http.Transport{MaxIdleConns: cfg.Connections, MaxIdleConnsPerHost: cfg.Connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	var (
		next   atomic.Int64
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	began := time.Now()
	for range cfg.Connections {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(cfg.Calls) {
					return
				}
				if err := one(ctx, transport, base, token, prefix+"-"+strconv.FormatInt(i, 10)); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(cfg.Calls) / time.Since(began).Seconds(), failed
}

func one(ctx context.Context, rt http.RoundTripper, base, token, key string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/payment_intents", strings.NewReader(charge))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", key)
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}
