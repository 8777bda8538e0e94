package postgres_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// wire is the way to the server. One COMMIT on it can be treated in its own way.
type wire struct {
	address string // of the server
	url     string // to the same database, by this way

	mu    sync.Mutex
	next  fate
	done  chan struct{} // closed when the fate has come
	late  chan struct{} // closed when what is held up goes on
	work  sync.WaitGroup
	conns map[net.Conn]struct{}
}

// fate is what becomes of a COMMIT.
type fate int

const (
	delivered  fate = iota
	answerLost      // it reaches the server, and its answer nobody
	allLost         // it reaches the server, and every connection breaks
	neverSent       // its connection breaks before
	heldUp          // its sender loses the connection, and it arrives late
)

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{address: target.Host, late: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	target.Host = listener.Addr().String()
	w.url = target.String()
	w.work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			w.work.Go(func() { w.carry(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.cut(nil)
		w.work.Wait()
	})
	return w
}

// cut breaks every connection but one.
func (w *wire) cut(but net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		if c != but {
			_ = c.Close()
		}
	}
}

// treat says what becomes of the next COMMIT. The channel closes when it has.
func (w *wire) treat(f fate) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next, w.done = f, make(chan struct{})
	return w.done
}

func (w *wire) take() (fate, chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.next
	w.next = delivered
	return f, w.done
}

func (w *wire) keep(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = struct{}{}
}

func (w *wire) drop(c net.Conn) {
	_ = c.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
}

// simpleQuery is a statement as it goes over the wire.
func simpleQuery(statement string) []byte {
	message := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(4+len(statement)+1))
	return append(append(message, statement...), 0)
}

func (w *wire) carry(client net.Conn) {
	w.keep(client)
	defer w.drop(client)
	server, err := net.Dial("tcp", w.address)
	if err != nil {
		return
	}
	w.keep(server)
	defer w.drop(server)
	w.work.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	message := make([]byte, 64<<10)
	for {
		n, err := client.Read(message)
		if err != nil {
			return
		}
		if bytes.Contains(message[:n], []byte("COMMIT\x00")) {
			f, done := w.take()
			switch f {
			case delivered:
			case neverSent:
				close(done)
				return
			case answerLost, allLost:
				_ = client.Close()
				if f == allLost {
					w.cut(server)
				}
				_, _ = server.Write(message[:n])
				close(done)
				_, _ = server.Read(message) // until it is done
				return
			case heldUp:
				_ = client.Close()
				_, _ = server.Write(simpleQuery("SET LOCAL idle_in_transaction_session_timeout = 0")) // it may be late by any time
				close(done)
				<-w.late
				_, _ = server.Write(message[:n])
				_, _ = server.Read(message)
				return
			}
		}
		if _, err := server.Write(message[:n]); err != nil {
			return
		}
	}
}
