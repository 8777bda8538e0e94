package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// TwilioPlaceholder stands for the Twilio account that the vault proxy is bound
// to, for callers who do not know it: the proxy puts the real account's SID into
// what it sends.
const TwilioPlaceholder = "AC00000000000000000000000000000000"

// Twilio points Twilio's own SDK at the data plane. twilio-go builds its URLs
// from fixed host names and takes no password with an underscore, so neither the
// address nor the vault key can be given to it as such: its HTTP client is
// replaced instead.
//
//	base := &twilioclient.Client{
//		Credentials: twilioclient.NewCredentials(client.TwilioPlaceholder, "unused"),
//		HTTPClient:  points.HTTPClient(ctx, client.TwilioCall{VaultKey: key, IdempotencyKey: "run-7-text"}),
//	}
//	base.SetAccountSid(client.TwilioPlaceholder)
//	rest := twilio.NewRestClientWithParams(twilio.ClientParams{Client: base})
//
// It is safe for concurrent use.
type Twilio struct {
	proxy   *url.URL
	next    http.RoundTripper
	timeout time.Duration
}

// TwilioConfig says where the data plane is.
type TwilioConfig struct {
	DataURL   string            // such as http://127.0.0.1:8787; required
	Transport http.RoundTripper // nil: a transport of its own
	Timeout   time.Duration     // of one request; zero: 45 s, longer than the proxy takes for a send
}

// TwilioCall is what goes with the requests of one HTTP client.
type TwilioCall struct {
	VaultKey string // required
	// IdempotencyKey names the one effect that the client's write may have, up to
	// 255 printable ASCII characters; the same one on every retry. A client with a
	// key makes one write. Reads need none.
	IdempotencyKey string
	Item           string // noted in the audit log; may be empty
	WorkflowID     string // noted in the audit log; may be empty
}

// defaultTwilioTimeout is longer than the proxy's waiting, sending and booking together.
const defaultTwilioTimeout = 45 * time.Second

// NewTwilio checks the configuration; it does not call the proxy.
func NewTwilio(cfg TwilioConfig) (*Twilio, error) {
	u, err := url.Parse(cfg.DataURL)
	plain := err == nil && u.User == nil && u.RawQuery == "" && u.Fragment == ""
	if !plain || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the vault proxy's data URL must look like http://127.0.0.1:8787")
	}
	if cfg.Timeout < 0 {
		return nil, errors.New("the timeout of Twilio calls must not be negative")
	}
	t := &Twilio{proxy: u, next: cfg.Transport, timeout: cfg.Timeout}
	if t.next == nil {
		t.next = &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 60 * time.Second}
	}
	if t.timeout == 0 {
		t.timeout = defaultTwilioTimeout
	}
	return t, nil
}

// HTTPClient returns the HTTP client for one call. Its requests end with the
// context, which twilio-go itself does not take. It follows no redirect: the
// vault key would go along. Answers are read to their end before they are handed
// on, since twilio-go leaves the bodies of errors open.
func (t *Twilio) HTTPClient(ctx context.Context, call TwilioCall) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			joint, cancel := context.WithTimeout(ctx, t.timeout)
			defer cancel()
			defer context.AfterFunc(req.Context(), cancel)()
			out, err := t.rewrite(joint, req, call)
			if err != nil {
				return nil, err
			}
			res, err := t.next.RoundTrip(out)
			if err != nil {
				return nil, err
			}
			defer res.Body.Close()
			body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
			switch {
			case joint.Err() != nil:
				return nil, joint.Err()
			case err != nil:
				return nil, errors.New("the vault proxy's answer was cut off")
			case len(body) > maxAnswer:
				return nil, errors.New("the vault proxy's answer is too large")
			}
			whole := *res
			whole.Body = io.NopCloser(bytes.NewReader(body))
			return &whole, nil
		}),
	}
}

// rewrite turns a request to Twilio into one to the data plane.
func (t *Twilio) rewrite(ctx context.Context, req *http.Request, call TwilioCall) (*http.Request, error) {
	host := req.URL.Hostname()
	product, _, _ := strings.Cut(host, ".")
	if !strings.HasSuffix(host, ".twilio.com") || (product != "api" && product != "verify") {
		return nil, errors.New("the vault proxy passes on Twilio's api and verify hosts only")
	}
	out := req.Clone(ctx)
	out.URL.Scheme, out.URL.Host = t.proxy.Scheme, t.proxy.Host
	out.URL.Path = strings.TrimRight(t.proxy.Path, "/") + "/twilio" + req.URL.Path
	out.URL.RawPath = ""
	out.Host = ""
	out.Header.Set("Authorization", "Bearer "+call.VaultKey)
	for name, value := range map[string]string{
		"Idempotency-Key": call.IdempotencyKey, "Tollgate-Item": call.Item, "Tollgate-Workflow-Id": call.WorkflowID,
	} {
		out.Header.Del(name)
		if value != "" {
			out.Header.Set(name, value)
		}
	}
	return out, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
