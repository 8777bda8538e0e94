// Package framing reads along on HTTP/1.1 connections, more strictly than
// net/http does: where one request ends and the next begins must be beyond doubt
// for everybody on the way, a load balancer before the proxy among them.
//
// net/http is lenient where a message has two readings. It drops a
// Content-Length that stands beside Transfer-Encoding, takes lines that end in a
// bare LF, and joins folded headers, and a handler cannot see any of that any
// more. So the bytes are watched below it, as they arrive:
//
//	listener -> Conn (watches) -> net/http -> handler (asks Flaw)
//
// A flaw stays with its connection. What follows one cannot be told apart with
// certainty, so every later request on it is to be refused as well.
//
// Rules: RFC 9112, sections 2.2, 3, 5 and 6, read as strictly as they allow.
package framing

import (
	"context"
	"net"
	"sync/atomic"
)

// Listen wraps a listener so that the connections that it accepts are watched.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // net/http looks at what kind of error it is
	}
	return &conn{Conn: c}, nil
}

// conn is a connection that is read by one goroutine at a time, as net/http does.
type conn struct {
	net.Conn

	watch watcher
	flaw  atomic.Pointer[string] // a handler reads it while net/http waits for the next byte
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.flaw.Load() == nil {
		if flaw := c.watch.feed(p[:n]); flaw != "" {
			c.flaw.Store(&flaw)
		}
	}
	return n, err //nolint:wrapcheck // a connection's errors are read by their type
}

type contextKey struct{}

// ConnContext is for http.Server: it lets handlers ask about their connection.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// Flaw says what is wrong with the framing of the connection that a request came
// on, so far: an empty text if nothing is, or if nobody watches it. It holds
// nothing of what was sent. Ask it again once the body was read.
func Flaw(ctx context.Context) string {
	if c, ok := ctx.Value(contextKey{}).(*conn); ok {
		if flaw := c.flaw.Load(); flaw != nil {
			return *flaw
		}
	}
	return ""
}
