package serve_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

// The hostile tests play somebody who holds a vault key with a cap of one dollar
// and writes to the proxy's listener byte by byte, past every HTTP library.

const (
	plainBody = "amount=100&currency=usd"
	formType  = "Content-Type: application/x-www-form-urlencoded"
	// byNetHTTP is a refusal that comes from net/http, before any handler: a status
	// of its own, and no code.
	byNetHTTP = ""
)

// hostileStand is a proxy on a real listener before a stand-in vendor, and a
// record of everything that arrives there.
type hostileStand struct {
	t      *testing.T
	sim    *testBundle
	server *serve.Server
	key    client.IssuedKey
	run    string

	mu      sync.Mutex
	arrived []string // method, target and body of what the vendor was sent
}

// hostile starts a proxy and issues a key with a cap of one dollar.
func hostile(t *testing.T, endpoints ...string) *hostileStand {
	t.Helper()
	return hostileWithin(t, forAsLongAsItTakes, endpoints...)
}

// hostileWithin is a proxy that lets a request take so long to arrive.
func hostileWithin(t *testing.T, readTimeout time.Duration, endpoints ...string) *hostileStand {
	t.Helper()
	h := &hostileStand{t: t, sim: setup(t), run: t.Name()}
	upstream := httptest.NewServer(http.HandlerFunc(h.record))
	t.Cleanup(upstream.Close)
	h.sim.cfg.StripeURL = upstream.URL
	h.sim.cfg.ReadTimeout = readTimeout
	h.server = h.sim.start(t)
	if len(endpoints) == 0 {
		endpoints = []string{"POST /v1/payment_intents"}
	}
	h.key = h.issue(h.run, endpoints...)
	return h
}

func (h *hostileStand) record(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		body = []byte("broken")
	}
	h.mu.Lock()
	h.arrived = append(h.arrived, fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, body))
	h.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.sim.sim.Handler().ServeHTTP(w, r)
}

func (h *hostileStand) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.arrived...)
}

func (h *hostileStand) issue(run string, endpoints ...string) client.IssuedKey {
	h.t.Helper()
	limit := money.Dollar
	key, err := control(h.t, h.server).Issue(h.t.Context(), client.IssueRequest{
		Vendor: "stripe", AllowedEndpoints: endpoints, ExpiresIn: "1h", AgentRunLabel: run, TotalUSDCap: &limit, RunUSDCap: &limit,
	}, "")
	require.NoError(h.t, err)
	return key
}

// rawRequest is a request as its bytes. In it, {key} stands for the vault key.
type rawRequest string

// write makes a request that is in order but for what is given. Header lines
// that are given take the place of those of the same name.
func write(requestLine, body string, header ...string) rawRequest {
	lines := []string{"Host: 127.0.0.1", "Authorization: Bearer {key}", "Idempotency-Key: hostile", formType, fmt.Sprintf("Content-Length: %d", len(body))}
	given := map[string]bool{}
	for _, line := range header {
		name, _, _ := strings.Cut(line, ":")
		given[strings.ToLower(name)] = true
	}
	var b strings.Builder
	b.WriteString(requestLine + "\r\n")
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		if !given[strings.ToLower(name)] && !(given["transfer-encoding"] && name == "Content-Length") {
			b.WriteString(line + "\r\n")
		}
	}
	for _, line := range header {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return rawRequest(b.String())
}

// create is a creation with a body and perhaps other headers.
func create(body string, header ...string) rawRequest {
	return write("POST /stripe/v1/payment_intents HTTP/1.1", body, header...)
}

// rawAnswer is what came back on the connection.
type rawAnswer struct {
	status int
	header http.Header
	code   string // of the proxy's own answers
	body   string
}

// open connects to the proxy's data plane.
func (h *hostileStand) open() net.Conn {
	h.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", strings.TrimPrefix(h.server.DataURL(), "http://"))
	require.NoError(h.t, err)
	require.NoError(h.t, conn.SetDeadline(time.Now().Add(forAsLongAsItTakes)))
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// send writes a request in one piece and reads one answer.
func (h *hostileStand) send(raw rawRequest) rawAnswer { return h.sendAs(h.key.VaultKey, raw) }

func (h *hostileStand) sendAs(token string, raw rawRequest) rawAnswer {
	h.t.Helper()
	conn := h.open()
	// The proxy may answer, and hang up, before it has read everything.
	_, _ = io.WriteString(conn, strings.ReplaceAll(string(raw), "{key}", token))
	return h.answer(conn, raw)
}

func (h *hostileStand) answer(conn net.Conn, raw rawRequest) rawAnswer {
	h.t.Helper()
	method, _, _ := strings.Cut(string(raw), " ")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	require.NoError(h.t, err, "%.300q", string(raw))
	for res.StatusCode == http.StatusContinue {
		res, err = http.ReadResponse(r, &http.Request{Method: method})
		require.NoError(h.t, err)
	}
	body, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	require.NoError(h.t, res.Body.Close())
	a := rawAnswer{status: res.StatusCode, header: res.Header, code: res.Header.Get("Tollgate-Denied"), body: string(body)}
	if method != http.MethodHead && a.code != "" {
		var said struct {
			Code string `json:"code"`
		}
		require.NoError(h.t, json.Unmarshal(body, &said))
		require.Equal(h.t, a.code, said.Code)
	}
	return a
}

// refuses sends a request that must be refused, and holds the proxy to have
// asked the vendor nothing.
func (h *hostileStand) refuses(raw rawRequest, code string) {
	h.t.Helper()
	got := h.send(raw)
	require.Equal(h.t, code, got.code, "HTTP %d %s", got.status, got.body)
	if code == byNetHTTP {
		require.Contains(h.t, []int{400, 414, 417, 431, 501, 505}, got.status)
	}
	require.Empty(h.t, h.seen())
}

// untouched holds the proxy to have sent nothing, held nothing and used no
// idempotency key up: the plain request still goes through, and only it.
func (h *hostileStand) untouched() {
	h.t.Helper()
	require.Empty(h.t, h.seen())
	report, err := control(h.t, h.server).RunReport(h.t.Context(), h.run)
	require.NoError(h.t, err)
	require.Equal(h.t, client.CallCounts{}, report.Calls)
	require.Equal(h.t, money.Dollar, report.Budget.RemainingUSD)

	got := h.send(create(plainBody))
	require.Equal(h.t, http.StatusOK, got.status, got.body)
	require.Len(h.t, h.seen(), 1)
	report, err = control(h.t, h.server).RunReport(h.t.Context(), h.run)
	require.NoError(h.t, err)
	require.Equal(h.t, money.Dollar, report.Budget.CommittedUSD)
}

// hostileCase is a request and the code that refuses it.
type hostileCase struct {
	raw  rawRequest
	code string
}

// refusesAll runs a table. Its cases share a proxy, and the budget that none of
// them may touch.
func (h *hostileStand) refusesAll(cases map[string]hostileCase) {
	h.t.Helper()
	for name, tc := range cases {
		h.t.Run(name, func(t *testing.T) {
			was := h.t
			h.t = t
			defer func() { h.t = was }()
			h.refuses(tc.raw, tc.code)
		})
	}
	h.untouched()
}
