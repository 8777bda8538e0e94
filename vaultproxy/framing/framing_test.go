package framing_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/framing"
)

// flaw is what is wrong with bytes that arrive in pieces of a size.
func flaw(t *testing.T, bytes string, size int) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	out, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	in, err := framing.Listen(l).Accept()
	require.NoError(t, err)
	defer func() { _ = in.Close() }()
	_, err = io.WriteString(out, bytes)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{in}, make([]byte, size))
	require.NoError(t, err)
	return framing.Flaw(framing.ConnContext(t.Context(), in))
}

const (
	head = "POST /a HTTP/1.1\r\nHost: a\r\n"
	next = "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
)

func TestFlaw_FindsNoneInRequestsThatFollowOneAnother(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 7, 4096} {
		require.Empty(t, flaw(t, next+head+"Content-Length: 3\r\n\r\nabc"+head+"Content-Length: 0\r\n\r\n"+
			head+"Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n"+next+
			head+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+head+"content-length:\t2 \r\n\r\n\r\n"+next, size), size)
	}
}

func TestFlaw_FindsOneWhereverTheBytesAreCut(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string]string{
		"both lengths":            head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a body that is longer":   head + "Content-Length: 2\r\n\r\nabc",
		"a chunk that is longer":  head + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
		"trailers":                head + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
		"a bare LF":               "POST /a HTTP/1.1\nHost: a\r\n\r\n",
		"a bare CR":               head + "A: b\rc\r\n\r\n",
		"a flaw in a later one":   next + next + head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"a line that never ends":  strings.Repeat("A", 70_000),
		"a header that never end": head + "A: " + strings.Repeat("a", 70_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 3, 4096} {
				require.NotEmpty(t, flaw(t, bytes, size), size)
				require.NotEmpty(t, flaw(t, bytes+"\r\n\r\n"+next+next, size), "what follows does not heal it")
			}
		})
	}
}

func TestFlaw_IsNoneWhereNobodyWatches(t *testing.T) {
	t.Parallel()
	require.Empty(t, framing.Flaw(context.Background()))
}
