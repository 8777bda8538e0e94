package vaultproxy_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// fickle answers the first POST on a connection and closes the connection in
// the face of every later one, once it has read it. That is where Go's transport
// sends a request again by itself, if it may.
type fickle struct {
	mu    sync.Mutex
	posts []string // bodies, as they arrived
}

func (f *fickle) serve(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.talk(conn)
		}
	}()
	return "http://" + listener.Addr().String()
}

func (f *fickle) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for answered := false; ; answered = true {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		var body strings.Builder
		_, _ = bufio.NewReader(req.Body).WriteTo(&body)
		if req.Method == http.MethodPost {
			f.mu.Lock()
			f.posts = append(f.posts, req.URL.Path+" "+body.String())
			f.mu.Unlock()
			if answered {
				return
			}
		}
		answer := `{"id":"pi_1","object":"payment_intent","status":"requires_capture","amount":100,"currency":"usd"}`
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
			strconv.Itoa(len(answer)) + "\r\n\r\n" + answer))
	}
}

func (f *fickle) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, post := range f.posts {
		if strings.HasPrefix(post, path+" ") {
			n++
		}
	}
	return n
}

func TestL3_AReusedConnectionThatBreaksDoesNotSendTwice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ path, body string }{
		"with a body":    {"/v1/payment_intents", strings.Replace(charge, "cus_1", "cus_2", 1)},
		"without a body": {"/v1/payment_intents/pi_1/cancel", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fickle{}
			b := setup(t, setupOptions{url: f.serve(t)})
			key := b.issue(10 * money.Dollar)
			first := b.post(key.VaultKey, intents, "opens the connection", charge)
			require.Equal(t, http.StatusOK, first.status, first.raw)

			before := f.count(tc.path)
			got := b.post(key.VaultKey, "/stripe"+tc.path, "breaks", tc.body)
			require.Equal(t, "outcome_unknown", got.code(), got.raw)
			require.Equal(t, 1, f.count(tc.path)-before)
			require.Equal(t, 1, b.call("breaks").Sends)
		})
	}
}

func TestForward_SendsNothingOfTheCallersHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	got := b.post(key.VaultKey, intents, "item-1", charge, "Tollgate-Item", "7", "Tollgate-Workflow-Id", "w",
		"X-Forwarded-For", "10.0.0.1", "Cookie", "a=b", "User-Agent", "caller", "Stripe-Version", "2023-10-16",
		"Traceparent", "00-1-1-00")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	posts := b.seen.of(http.MethodPost)
	require.Len(t, posts, 1)
	require.Equal(t, http.Header{
		"Authorization":   {"Bearer " + vendorSecret},
		"Content-Type":    {"application/x-www-form-urlencoded"},
		"Content-Length":  posts[0].header["Content-Length"],
		"Idempotency-Key": {"tollgate_" + got.header.Get("Tollgate-Call-Id") + "_0"},
		"Stripe-Version":  {"2023-10-16"},
		"User-Agent":      {"tollgate"},
	}, posts[0].header)
}

func TestAnswer_ForgedTollgateHeadersOfTheVendorAreStripped(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Tollgate-Remaining-Usd", "1000000.00")
			w.Header().Set("Tollgate-Denied", "cap_exhausted")
			w.Header().Set("Tollgate-Replayed", "true")
			w.Header().Set("Set-Cookie", "session=1")
			next.ServeHTTP(w, r)
		})
	}})
	key := b.issue(10 * money.Dollar)
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, []string{"9.00"}, got.header.Values("Tollgate-Remaining-Usd"))
	for _, name := range []string{"Tollgate-Denied", "Tollgate-Replayed", "Set-Cookie"} {
		require.Empty(t, got.header.Values(name), name)
	}
	read := b.get(key.VaultKey, intents+"/"+got.text("id"))
	require.Equal(t, http.StatusOK, read.status)
	for _, name := range []string{"Tollgate-Remaining-Usd", "Tollgate-Denied", "Tollgate-Replayed", "Set-Cookie"} {
		require.Empty(t, read.header.Values(name), name)
	}
}

func TestForward_TheCallersHangUpDoesNotStopTheCall(t *testing.T) {
	t.Parallel()
	g := newGate(http.MethodPost)
	noticed := make(chan struct{})
	b := setup(t, setupOptions{gate: g, handler: func(p *vaultproxy.Proxy) http.Handler {
		combined := p.Combined()
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Idempotency-Key") == "item-1" {
				context.AfterFunc(r.Context(), func() { close(noticed) })
			}
			combined.ServeHTTP(w, r)
		})
	}})
	key := b.issue(10 * money.Dollar)
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.front.URL, "http://"))
	require.NoError(t, err)
	req, err := http.NewRequest(http.MethodPost, b.front.URL+intents, strings.NewReader(charge))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+key.VaultKey)
	req.Header.Set("Idempotency-Key", "item-1")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	require.NoError(t, req.Write(conn))
	<-g.entered
	require.NoError(t, conn.Close())
	<-noticed
	g.release()
	b.stop() // waits for what is in flight
	b.start()
	require.Equal(t, "settled", b.call("item-1").State)
	require.Equal(t, 1, b.sim.Truth().Charges)
}
