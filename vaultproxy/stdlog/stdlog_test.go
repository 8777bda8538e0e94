package stdlog_test

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/stdlog"
)

// written is what the standard logger wrote.
type written struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// answerTwice has a peer answer one request with two responses. It returns once the
// client has closed the connection, and so has written what it has to say.
func answerTwice(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	closed := make(chan error, 1)
	go func() {
		closed <- func() error {
			conn, err := listener.Accept()
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				return err
			}
			const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
			if _, err := io.WriteString(conn, answer+"sk_live_of_somebody"); err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, conn)
			return err
		}()
	}()
	transport := &http.Transport{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
	require.NoError(t, err)
	res, err := transport.RoundTrip(req)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	if err := <-closed; err != nil {
		require.ErrorIs(t, err, syscall.ECONNRESET, "the client need not have read everything")
	}
}

func TestDiscard_KeepsWhatAPeerSentOutOfTheLog(t *testing.T) {
	t.Parallel()
	before := log.Writer()
	defer log.SetOutput(before)
	var w written
	log.SetOutput(&w)
	answerTwice(t)
	require.Contains(t, w.String(), "sk_live_of_somebody", "net/http repeats it, unless it is kept from that")

	w.text.Reset()
	stdlog.Discard()
	answerTwice(t)
	require.Empty(t, w.String())
}
