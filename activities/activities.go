package activities

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/paymentintent"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/client"
)

// idleConnections to the proxy that are kept. Fewer than the charges in flight
// would open and close a connection for most calls.
const idleConnections = 512

// Config says which proxy the activities use.
type Config struct {
	DataURL string         // data plane of the vault proxy, such as http://127.0.0.1:8787; required
	Control *client.Client // its control plane; required
	// Transport carries the data plane's calls; nil: one made for a wide fan-out.
	Transport http.RoundTripper
	Logger    *slog.Logger // nil: nothing is logged
}

// Activities are the activities of a billing run. A nil *Activities serves
// workflows as a source of method references.
type Activities struct {
	stripe    stripe.Backend
	transport http.RoundTripper
	dataURL   string // of the data plane, without a slash at its end
	control   *client.Client
	lists     *customerlist.Reader
	log       *slog.Logger
}

// New checks the configuration; it does not call the proxy.
func New(cfg Config) (*Activities, error) {
	u, err := url.Parse(cfg.DataURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the vault proxy's data URL must look like http://127.0.0.1:8787")
	}
	if cfg.Control == nil {
		return nil, errors.New("the activities need a client of the vault proxy's control plane")
	}
	transport := cfg.Transport
	if transport == nil {
		transport = fanOutTransport()
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dataURL := strings.TrimRight(cfg.DataURL, "/")
	return &Activities{
		stripe:    stripeBackend(dataURL+"/stripe", transport),
		transport: transport,
		dataURL:   dataURL,
		control:   cfg.Control,
		lists:     customerlist.NewReader(),
		log:       log,
	}, nil
}

func stripeBackend(baseURL string, transport http.RoundTripper) stripe.Backend {
	return stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(baseURL),
		// No client timeout: the activity's StartToClose is the deadline.
		HTTPClient: &http.Client{Transport: observer{transport}, CheckRedirect: noRedirect},
		// A retry inside the SDK would be an attempt that neither Temporal nor the
		// proxy's caller could see.
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		// The SDK logs error bodies; ours are told through typed errors.
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
}

func (a *Activities) paymentIntents(vaultKey string) paymentintent.Client {
	return paymentintent.Client{B: a.stripe, Key: vaultKey}
}

func fanOutTransport() *http.Transport {
	// HTTP/1.1 alone: with HTTP/2 one lost connection takes every call in flight
	// with it, and each of them would need its outcome proved.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	// No HTTP_PROXY: the vault key goes to the vault proxy and to nobody else.
	return &http.Transport{
		MaxIdleConns:        idleConnections,
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		Protocols:           protocols,
	}
}

// noRedirect: a vault key must not follow a redirect to another host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
