package serve_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/serve"
	"github.com/tollgate/tollgate/vendorsim"
)

// forAsLongAsItTakes is a wait that no test sees the end of, however slow the
// machine is: it is there so that one that hangs says where.
const forAsLongAsItTakes = 5 * time.Minute

// testBundle is a folder with the vendor's secret, and a stand-in vendor.
type testBundle struct {
	t   *testing.T
	dir string
	cfg serve.Config
	sim *vendorsim.Sim
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	sim, err := vendorsim.New(vendorsim.Config{Seed: 1})
	require.NoError(t, err)
	upstream := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		sim.Close()
		upstream.Close()
	})
	b := &testBundle{t: t, dir: t.TempDir(), sim: sim}
	b.cfg = serve.Config{
		StateDir: filepath.Join(b.dir, "state"), DataAddr: "127.0.0.1:0", StripeURL: upstream.URL,
		StripeSecretFile: b.file(t, "stripe.key", "sk_test_123\n"), Logger: slog.New(slog.DiscardHandler),
	}
	return b
}

func (b *testBundle) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// start starts a proxy that is stopped with the test, or before it by stop.
func (b *testBundle) start(t *testing.T) *serve.Server {
	t.Helper()
	s, err := serve.Start(t.Context(), b.cfg)
	require.NoError(t, err)
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *serve.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), forAsLongAsItTakes)
	defer cancel()
	require.NoError(t, s.Close(ctx))
}

// refused starts a proxy that must not come up, and returns why.
func (b *testBundle) refused(t *testing.T) string {
	t.Helper()
	_, err := serve.Start(t.Context(), b.cfg)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "\n", "an error is one line")
	return err.Error()
}

// taken listens on a free port for as long as the test runs.
func taken(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// free is a port that nobody listens on now. It is below those that systems give
// to whoever asks for any, and above those of services: nobody else gets it while
// a test has let it go.
func free(t *testing.T) string {
	t.Helper()
	const first, count = 10_000, 10_000
	for {
		n, err := rand.Int(rand.Reader, big.NewInt(count))
		require.NoError(t, err)
		addr := fmt.Sprintf("127.0.0.1:%d", first+n.Int64())
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, l.Close())
		return addr
	}
}

// requireFree holds a port to be free again.
func requireFree(t *testing.T, addr string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func control(t *testing.T, s *serve.Server) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: s.ControlURL(), AdminKey: s.AdminKey()})
	require.NoError(t, err)
	return c
}

func issue(t *testing.T, s *serve.Server) client.IssuedKey {
	t.Helper()
	limit := 100 * money.Dollar
	key, err := control(t, s).Issue(t.Context(), client.IssueRequest{
		Vendor: "stripe", AllowedEndpoints: []string{"POST /v1/payment_intents"}, ExpiresIn: "1h", AgentRunLabel: "run", TotalUSDCap: &limit,
	}, "")
	require.NoError(t, err)
	return key
}

type answer struct {
	status int
	header http.Header
}

func post(t *testing.T, url, token, idempotencyKey string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("amount=100&currency=usd"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", idempotencyKey)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return answer{res.StatusCode, res.Header}
}
