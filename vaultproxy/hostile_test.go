package vaultproxy_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestHostile_BodiesThatDripInDoNotHoldUpOtherKeys(t *testing.T) {
	t.Parallel()
	const places, share = 8, 2
	b := setup(t, setupOptions{maxInFlight: places})
	slow, other := b.issue(money.Dollar), b.issue(money.Dollar, func(r *client.IssueRequest) { r.Phase = "other" })
	answers := make(chan string, places)
	for i := range places {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.front.URL, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nIdempotency-Key: slow-%d\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", intents, slow.VaultKey, i, len(charge))
		require.NoError(t, err)
		go func() {
			if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				answers <- res.Header.Get("Tollgate-Denied")
				_ = res.Body.Close()
			}
		}()
	}
	for range places - share {
		require.Equal(t, "overloaded", <-answers)
	}
	require.Equal(t, http.StatusOK, b.post(other.VaultKey, intents, "item-1", charge).status)
	require.Equal(t, 1, b.sim.Truth().Posts)
}
