package vaultproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// maxAnswer bounds what is read of a vendor's answer, in bytes.
const maxAnswer = 2 << 20

// upstream is a vendor and the way to it.
type upstream struct {
	vendor vendors.Vendor
	base   *url.URL
	rt     http.RoundTripper
	own    *http.Transport
}

func newUpstream(u Upstream, base *url.URL) *upstream {
	up := &upstream{vendor: u.Vendor, base: base, rt: u.Client}
	if up.rt == nil {
		up.own = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConns:        512, MaxIdleConnsPerHost: 512,
			IdleConnTimeout:    60 * time.Second,
			DisableCompression: true, // an answer is read as it was sent
			// HTTP/1.1 only: HTTP/2 has retries of its own.
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
			MaxResponseHeaderBytes: 64 << 10,
		}
		up.rt = up.own
	}
	return up
}

func (u *upstream) close() {
	if u.own != nil {
		u.own.CloseIdleConnections()
	}
}

// result is what came of one send.
type result struct {
	answer vendors.Answer
	header http.Header
	err    error
	unsent bool // certainly no byte of it left
}

// sendWithin is how soon after its row a send must leave. A process that was
// held up for longer (a suspended machine, say) gives the send up: by then
// another may have found nothing at the vendor and taken the call for not done.
const sendWithin = 5 * time.Second

// send is a recorded send of a call, or none if it comes too late.
func (p *Proxy) send(ctx context.Context, u *upstream, row ledger.Call, w vendors.Wire) result {
	now, err := p.store.Now(ctx)
	if err != nil || now.Sub(row.LastSentAt) > sendWithin {
		return result{err: errors.New("the send was held up for too long"), unsent: true}
	}
	return p.forward(ctx, u, w, vendorKey(row))
}

// forward is the seventh step: one send, on the wire once, to a fixed host, with
// the real secret and with nothing of the caller's headers.
func (p *Proxy) forward(ctx context.Context, u *upstream, w vendors.Wire, idempotencyKey string) result {
	began := time.Now()
	r := p.exchange(ctx, u, w, idempotencyKey)
	p.metrics.request(u, w.Method, began, r)
	return r
}

func (p *Proxy) exchange(ctx context.Context, u *upstream, w vendors.Wire, idempotencyKey string) result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})
	req, err := u.request(ctx, w, idempotencyKey)
	if err != nil {
		return result{err: err, unsent: true}
	}
	res, err := u.rt.RoundTrip(req) // not http.Client: no redirect is followed
	if err != nil {
		return result{err: sanitised(err), unsent: !connected && u.own != nil}
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return result{err: errors.New("the answer broke off")}
	case len(body) > maxAnswer:
		return result{err: errors.New("the answer is too large")}
	case res.Header.Get("Content-Encoding") != "":
		return result{err: errors.New("the answer is compressed although nobody asked for that")}
	}
	return result{answer: vendors.Answer{Status: res.StatusCode, Header: res.Header.Get, Body: body}, header: res.Header}
}

// request builds what is sent. Its body cannot be rewound: otherwise Go's
// transport would resend a request that bears an Idempotency-Key by itself when
// a reused connection breaks, and the ledger would know of one send where the
// vendor saw two.
func (u *upstream) request(ctx context.Context, w vendors.Wire, idempotencyKey string) (*http.Request, error) {
	var body io.Reader
	if w.Method != http.MethodGet {
		body = oneWay{bytes.NewReader(w.Body)}
	}
	base := u.base.String()
	if placer, ok := u.vendor.(vendors.Placer); ok {
		base = placer.Place(base, w.Target)
	}
	target := strings.TrimSuffix(base, "/") + w.Target
	req, err := http.NewRequestWithContext(ctx, w.Method, target, body)
	if err != nil {
		return nil, errors.New("the request cannot be built")
	}
	if body != nil {
		req.ContentLength = int64(len(w.Body))
		req.GetBody = nil
		if len(w.Body) == 0 {
			req.Header.Set("Content-Length", "0")
		}
	}
	for name, value := range w.Header {
		req.Header.Set(name, value)
	}
	if w.ContentType != "" {
		req.Header.Set("Content-Type", w.ContentType)
	}
	if name := u.vendor.IdempotencyHeader(); name != "" && idempotencyKey != "" {
		req.Header.Set(name, idempotencyKey)
	}
	req.Header.Set("User-Agent", "tollgate")
	for name, value := range u.vendor.Credentials() {
		req.Header.Set(name, value)
	}
	return req, nil
}

// oneWay hides everything of a reader but Read.
type oneWay struct{ io.Reader }

// sanitised keeps the kind of a transport error: its text may hold addresses
// and what a peer sent.
func sanitised(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection was closed")
	default:
		return errors.New("the connection failed")
	}
}

// vendorKey is the idempotency key that the vendor sees: it stays the same over
// all sends of a call, until a complete look-up has shown that none of them had
// an effect.
func vendorKey(c ledger.Call) string {
	return "tollgate_" + c.ID + "_" + strconv.Itoa(c.Resend)
}

// getter reads from a vendor. It is used for look-ups, which cause nothing.
func (p *Proxy) getter(u *upstream) vendors.Getter { return getter{p: p, u: u} }

type getter struct {
	p *Proxy
	u *upstream
}

func (g getter) Get(ctx context.Context, path string, query vendors.Params) (vendors.Answer, error) {
	quote := vendors.Quote{Request: vendors.Request{Method: http.MethodGet, Path: path, Query: query}}
	r := g.p.forward(ctx, g.u, g.u.vendor.Wire(quote, vendors.Stamp{}), "")
	return r.answer, r.err
}
