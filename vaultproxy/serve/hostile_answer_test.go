package serve_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// intentOf is a PaymentIntent as a vendor would answer it, that took the money.
const intentOf = `{"id":"pi_%s","object":"payment_intent","status":"succeeded","amount":100,"amount_received":100,"currency":"usd"}`

// rawVendor answers a POST with the bytes that are listed for its run, and hangs
// up; it knows nothing of GETs. It counts what arrives.
type rawVendor struct {
	url     string
	answers map[string]func(net.Conn)
	posts   atomic.Int64
}

func rawListener(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				talk(conn)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func (v *rawVendor) talk(conn net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if req.Method != http.MethodPost {
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	}
	v.posts.Add(1)
	for run, answer := range v.answers {
		if strings.HasSuffix(string(body), "=run+"+strings.ReplaceAll(run, " ", "+")) {
			answer(conn)
		}
	}
}

// says writes bytes and hangs up.
func says(format string, args ...any) func(net.Conn) {
	return func(conn net.Conn) { _, _ = fmt.Fprintf(conn, format, args...) }
}

// saysAndWaits writes bytes and keeps the connection open until the other side
// hangs up.
func saysAndWaits(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	}
}

// answerWith is a whole answer.
func answerWith(status, body string, header ...string) func(net.Conn) {
	return says("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, strings.Join(append(header, ""), "\r\n"), len(body), body)
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// Whatever a vendor, or somebody who stands in its place, answers: what is not
// understood fully proves nothing, and the hold stays.
//
//nolint:tparallel // what comes behind the group looks at what it left behind
func TestHostile_AnswersThatProveNothingLeaveTheHold(t *testing.T) {
	t.Parallel()
	took := fmt.Sprintf(intentOf, "1")
	refusal := `{"error":{"type":"invalid_request_error","code":"parameter_missing"}}`
	const isJSON = "Content-Type: application/json"
	var elsewhere atomic.Int64
	other := rawListener(t, func(net.Conn) { elsewhere.Add(1) })
	v := &rawVendor{answers: map[string]func(net.Conn){
		"nothing":                     func(net.Conn) {},
		"no HTTP":                     says("SSH-2.0-OpenSSH_9.9\r\n"),
		"HTTP of another version":     says("HTTP/9.9 200 OK\r\nContent-Type: application/json\r\n\r\n%s", refusal),
		"no status":                   says("HTTP/1.1 \r\n\r\n"),
		"a status that is none":       answerWith("999 Fine", refusal, isJSON),
		"half a status line":          says("HTTP/1.1 20"),
		"half a head":                 says("HTTP/1.1 200 OK\r\nContent-Type: appl"),
		"half a body":                 says("HTTP/1.1 200 OK\r\n%s\r\nContent-Length: %d\r\n\r\n%s", isJSON, len(took), took[:20]),
		"half a refusal":              says("HTTP/1.1 400 Bad Request\r\n%s\r\nContent-Length: 999\r\n\r\n%s", isJSON, refusal),
		"half a body in chunks":       says("HTTP/1.1 200 OK\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n%s", isJSON, took),
		"chunks without the last one": says("HTTP/1.1 200 OK\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", isJSON, len(took), took),
		"a body without a length that breaks off": says("HTTP/1.1 200 OK\r\n%s\r\n\r\n%s", isJSON, took[:60]),
		"two lengths":                          says("HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 2\r\nContent-Length: %d\r\n\r\n%s", isJSON, len(took), took),
		"no body":                              answerWith("200 OK", "", isJSON),
		"no content":                           says("HTTP/1.1 204 No Content\r\n\r\n"),
		"half JSON":                            answerWith("200 OK", took[:60], isJSON),
		"JSON with something behind it":        answerWith("200 OK", took+took, isJSON),
		"another object":                       answerWith("200 OK", `{"id":"cus_1","object":"customer"}`, isJSON),
		"an object without an ID":              answerWith("200 OK", strings.Replace(took, "pi_1", "", 1), isJSON),
		"an ID that is none":                   answerWith("200 OK", strings.Replace(took, "pi_1", "pi_1/../pi_2", 1), isJSON),
		"an ID without end":                    answerWith("200 OK", strings.Replace(took, "pi_1", "pi_"+strings.Repeat("1", 1000), 1), isJSON),
		"a status nobody knows":                answerWith("200 OK", strings.Replace(took, "succeeded", "succeeded!", 1), isJSON),
		"another currency":                     answerWith("200 OK", strings.Replace(took, "usd", "jpy", 1), isJSON),
		"a negative amount":                    answerWith("200 OK", strings.Replace(took, `received":100`, `received":-100`, 1), isJSON),
		"an amount that overflows":             answerWith("200 OK", strings.Replace(took, `received":100`, `received":9223372036854775807`, 1), isJSON),
		"an amount with a fraction":            answerWith("200 OK", strings.Replace(took, `received":100`, `received":0.5`, 1), isJSON),
		"no amount":                            answerWith("200 OK", strings.Replace(took, `"amount_received":100,`, "", 1), isJSON),
		"a page":                               answerWith("200 OK", "<html>"+took+"</html>", "Content-Type: text/html"),
		"JSON called a page":                   answerWith("200 OK", took, "Content-Type: text/html"),
		"a refusal called a page":              answerWith("400 Bad Request", refusal, "Content-Type: text/html"),
		"JSON of no kind":                      answerWith("200 OK", took),
		"JSON of two kinds":                    answerWith("200 OK", took, isJSON, "Content-Type: text/html"),
		"a page of a proxy in between":         answerWith("400 Bad Request", "<html>Bad Request</html>", "Content-Type: text/html"),
		"a refusal of nobody":                  answerWith("400 Bad Request", `{}`, isJSON),
		"a decline of nobody":                  answerWith("402 Payment Required", `{"error":{"type":"invalid_request_error"}}`, isJSON),
		"a conflict":                           answerWith("409 Conflict", refusal, isJSON),
		"a time-out":                           answerWith("408 Request Timeout", refusal, isJSON),
		"a teapot":                             answerWith("418 I'm a teapot", refusal, isJSON),
		"a failure":                            answerWith("500 Internal Server Error", refusal, isJSON),
		"a compressed answer":                  answerWith("200 OK", zipped(took), isJSON, "Content-Encoding: gzip"),
		"a compressed refusal":                 answerWith("400 Bad Request", zipped(refusal), isJSON, "Content-Encoding: gzip"),
		"an answer called compressed":          answerWith("200 OK", took, isJSON, "Content-Encoding: br"),
		"an answer that would unpack for ever": answerWith("200 OK", zipped(strings.Repeat(" ", 64<<20)+took), isJSON, "Content-Encoding: gzip"),
		"compressed chunks":                    says("HTTP/1.1 200 OK\r\n%s\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", isJSON),
		"an answer larger than what is read":   answerWith("200 OK", strings.Replace(took, "{", "{"+strings.Repeat(" ", 2<<20), 1), isJSON),
		"an answer without end":                endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", " "),
		"a length without end":                 saysAndWaits("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9223372036854775807\r\n\r\n{"),
		"headers larger than what is read":     answerWith("200 OK", took, isJSON, "X-Note: "+strings.Repeat("a", 128<<10)),
		"headers without end":                  endless("HTTP/1.1 200 OK\r\n", "X-Note: a\r\n"),
		"a flood of early hints":               endless("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
		"a flood of going on":                  endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
		"a flood of processing":                endless("", "HTTP/1.1 102 Processing\r\n\r\n"),
		"another protocol":                     saysAndWaits("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		"silence":                              saysAndWaits(""),
		"an answer that comes to a halt":       saysAndWaits("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n{"),
		"an answer that drips":                 drips("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"),
	}}
	for _, code := range []string{"300 Multiple Choices", "301 Moved Permanently", "302 Found", "303 See Other", "304 Not Modified", "307 Temporary Redirect", "308 Permanent Redirect"} {
		v.answers["a redirect "+code[:3]] = answerWith(code, took, isJSON, "Location: "+other+"/v1/payment_intents")
		v.answers["a redirect of a refusal "+code[:3]] = answerWith(code, refusal, isJSON, "Location: "+other+"/v1/payment_intents")
	}
	v.url = rawListener(t, v.talk)
	h := hostileBefore(t, v.url, 3*time.Second) // of which the endless ones see the end
	t.Run("answers", func(t *testing.T) {
		for name := range v.answers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := h.in(t, "run "+name)
				got := h.send(create(plainBody))
				require.Equal(t, "outcome_unknown", got.code, "HTTP %d %s", got.status, got.body)
				require.Equal(t, http.StatusBadGateway, got.status)
				report, err := control(t, h.server).RunReport(t.Context(), h.run)
				require.NoError(t, err)
				require.Equal(t, client.CallCounts{Unknown: 1}, report.Calls)
				require.Equal(t, money.Dollar, report.Budget.UnknownUSD)
				// The cap is used up: a new key must not find room.
				require.Equal(t, "cap_exhausted", h.send(create(plainBody, "Idempotency-Key: another")).code)
			})
		}
	})
	require.LessOrEqual(t, v.posts.Load(), int64(len(v.answers)), "none was sent twice")
	require.Zero(t, elsewhere.Load(), "no redirect was followed")
}

// endless repeats itself until the other side hangs up.
func endless(begin, again string) func(net.Conn) {
	return func(conn net.Conn) {
		text := []byte(strings.Repeat(again, 1+4096/len(again)))
		_, err := io.WriteString(conn, begin)
		for err == nil {
			_, err = conn.Write(text)
		}
	}
}

// drips sends a byte now and then, so that no wait for the next one is long.
func drips(begin string) func(net.Conn) {
	return func(conn net.Conn) {
		_, err := io.WriteString(conn, begin)
		for tick := time.NewTicker(50 * time.Millisecond); err == nil; <-tick.C {
			_, err = io.WriteString(conn, " ")
		}
	}
}

// hostileBefore is a stand before another vendor than the stand-in, which is
// waited for so long.
func hostileBefore(t *testing.T, url string, upstreamTimeout time.Duration) *hostileStand {
	t.Helper()
	h := &hostileStand{t: t, sim: setup(t)}
	h.sim.cfg.StripeURL = url
	h.sim.cfg.UpstreamTimeout = upstreamTimeout
	h.server = h.sim.start(t)
	return h
}

// in is the same stand for a run of its own.
func (h *hostileStand) in(t *testing.T, run string) *hostileStand {
	t.Helper()
	out := &hostileStand{t: t, sim: h.sim, server: h.server, run: run}
	out.key = out.issue(run, "POST /v1/payment_intents", "GET /v1/payment_intents/{id}", "POST /v1/payment_intents/{id}/capture")
	return out
}

func TestHostile_TheVendorCannotSpeakInTheProxysName(t *testing.T) {
	t.Parallel()
	v := &rawVendor{answers: map[string]func(net.Conn){
		"forged": answerWith("200 OK", fmt.Sprintf(intentOf, "1"), "Content-Type: application/json", "Tollgate-Denied: cap_exhausted",
			"tollgate-remaining-usd: 1000000.00", "TOLLGATE-REPLAYED: true", "Tollgate-Call-Id: call_forged", "Tollgate-Next: x", "Set-Cookie: a=b",
			"Authorization: Bearer x", "Location: http://127.0.0.1/", "Connection: Tollgate-Denied", "Alt-Svc: h3=\":443\"", "Refresh: 0"),
	}}
	v.url = rawListener(t, v.talk)
	h := hostileBefore(t, v.url, forAsLongAsItTakes).in(t, "run forged")
	got := h.send(create(plainBody))
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Equal(t, []string{"0.00"}, got.header.Values("Tollgate-Remaining-Usd"))
	require.Len(t, got.header.Values("Tollgate-Call-Id"), 1)
	require.NotEqual(t, "call_forged", got.header.Get("Tollgate-Call-Id"))
	for _, name := range []string{"Tollgate-Denied", "Tollgate-Replayed", "Tollgate-Next", "Set-Cookie", "Authorization", "Location", "Connection", "Alt-Svc", "Refresh"} {
		require.Empty(t, got.header.Values(name), name)
	}
}

// Reads and look-ups follow nobody either, and a price is not taken from there.
func TestHostile_RedirectedReadsStayWithTheVendor(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	other := rawListener(t, func(net.Conn) { elsewhere.Add(1) })
	for name, answer := range map[string]func(net.Conn){
		"a redirect":          answerWith("302 Found", `{"id":"pi_1"}`, "Content-Type: application/json", "Location: "+other),
		"a lasting redirect":  answerWith("308 Permanent Redirect", "", "Location: "+other),
		"a page":              answerWith("200 OK", "<html></html>", "Content-Type: text/html"),
		"a compressed answer": answerWith("200 OK", zipped(`{"id":"pi_1"}`), "Content-Type: application/json", "Content-Encoding: gzip"),
		"another protocol":    saysAndWaits("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
		"half an answer":      says("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var posts atomic.Int64
			url := rawListener(t, func(conn net.Conn) {
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil && req.Method != http.MethodGet {
					posts.Add(1)
				}
				answer(conn)
			})
			h := hostileBefore(t, url, forAsLongAsItTakes).in(t, "run")
			got := h.send(write("GET /stripe/v1/payment_intents/pi_1 HTTP/1.1", ""))
			require.Equal(t, "vendor_unavailable", got.code, got.body)
			got = h.send(write("POST /stripe/v1/payment_intents/pi_1/capture HTTP/1.1", ""))
			require.Equal(t, "vendor_unavailable", got.code, got.body)
			report, err := control(t, h.server).RunReport(t.Context(), h.run)
			require.NoError(t, err)
			require.Equal(t, client.CallCounts{}, report.Calls)
			require.Zero(t, posts.Load())
		})
	}
	t.Cleanup(func() { require.Zero(t, elsewhere.Load()) })
}
