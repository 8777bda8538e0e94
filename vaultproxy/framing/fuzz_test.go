package framing_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/framing"
)

// FuzzFraming holds the watcher and net/http to the same ends of messages, for
// as long as there is no flaw: else the watcher would look at the wrong bytes.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{
		next, head + "Content-Length: 3\r\n\r\nabc" + next, head + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + next,
		head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"POST /a HTTP/1.0\r\nContent-Length: 1\r\n\r\na" + next, head + "A: b\r\n c\r\n\r\n", head + "A: b\n\n", head + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n1;a=b\r\na\r\n0\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		head + "Content-Length: +3\r\n\r\nabc", head + "Content-Length : 3\r\n\r\nabc", head + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ends, flaw := framing.Ends(b)
		require.Equal(t, flaw, framing.Whole(b), "however the bytes are cut")
		if flaw != "" {
			return
		}
		source := bytes.NewReader(b)
		r := bufio.NewReader(source)
		for _, end := range ends {
			req, err := http.ReadRequest(r)
			if err != nil {
				return // net/http refuses it, and hangs up
			}
			_, err = io.Copy(io.Discard, req.Body)
			require.NoError(t, err)
			require.Equal(t, end, len(b)-source.Len()-r.Buffered())
			require.Empty(t, req.Trailer)
		}
	})
}
