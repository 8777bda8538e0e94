package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
)

// mapEnv is an environment of its own for each test.
type mapEnv map[string]string

func (e mapEnv) Environ() []string {
	var all []string
	for name, value := range e {
		all = append(all, name+"="+value)
	}
	return all
}

func (e mapEnv) LookupEnv(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// output can be read while a worker in the background writes to it.
type output struct {
	mu    sync.Mutex
	all   bytes.Buffer
	grown chan struct{}
}

func newOutput() *output { return &output{grown: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.grown <- struct{}{}:
	default:
	}
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// testBundle is a worker that runs inside the test.
type testBundle struct {
	*program
	stdout, stderr *output
	env            mapEnv
	dir            string
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{stdout: newOutput(), stderr: newOutput(), dir: t.TempDir()}
	// Without it the SDK reads the configuration file of whoever runs the test.
	b.env = mapEnv{"TEMPORAL_CONFIG_FILE": b.file(t, "temporal.toml", ""), "TEMPORAL_ADDRESS": nobody}
	b.program = &program{stdout: b.stdout, stderr: b.stderr, env: b.env}
	return b
}

// embedded are the flags of a proxy in this process that can start, on a port of
// the system's choice.
func (b *testBundle) embedded(t *testing.T, more ...string) []string {
	t.Helper()
	return append([]string{
		"--data-addr", "127.0.0.1:0",
		"--state-dir", filepath.Join(b.dir, "state"),
		"--stripe-secret-file", b.file(t, "stripe.key", "sk_test_worker\n"),
		"--stripe-url", "http://" + nobody,
		"--log-level", "error",
	}, more...)
}

func (b *testBundle) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// errorLine is what was written to standard error, which must be one line.
func (b *testBundle) errorLine(t *testing.T) string {
	t.Helper()
	text := b.stderr.String()
	require.Equal(t, 1, strings.Count(text, "\n"), "not one line: %q", text)
	return strings.TrimSuffix(text, "\n")
}

// hangs is how long a test waits for what comes, however busy the machine is, unless
// something hangs.
const hangs = 5 * time.Minute

// nobody is an address where nothing listens: the port of a service that no
// machine runs.
const nobody = "127.0.0.1:1"

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// server answers every request with this status and body.
func server(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// readyServer answers so to everything but to the question whether it is ready.
func readyServer(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// started is a worker under way in the background.
type started struct {
	*testBundle
	stop context.CancelFunc
	code chan int
}

// begin runs a worker and waits until it says that it is ready.
func (b *testBundle) begin(t *testing.T, args []string) *started {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &started{testBundle: b, stop: stop, code: make(chan int, 1)}
	go func() { s.code <- b.run(ctx, args) }()
	t.Cleanup(stop)
	deadline := time.After(hangs)
	for !strings.Contains(b.stdout.String(), "\n") {
		select {
		case <-b.stdout.grown:
		case code := <-s.code:
			require.FailNow(t, "the worker ended", "exit code %d: %s", code, b.stderr.String())
		case <-deadline:
			require.FailNow(t, "the worker is not ready", b.stderr.String())
		}
	}
	return s
}

func (s *started) ended(t *testing.T) int {
	t.Helper()
	select {
	case code := <-s.code:
		return code
	case <-time.After(hangs):
		require.FailNow(t, "the worker did not end", s.stderr.String())
		return -1
	}
}

// codecKey is what a worker and a client of a test share.
var codecKey = "test: " + strings.Repeat("7a", payloadcodec.KeySize)

// encrypting is a client that a worker with codecKey takes runs from.
func encrypting(t *testing.T, address string) client.Client {
	t.Helper()
	env := setup(t).env
	env["TEMPORAL_ADDRESS"], env[payloadcodec.KeyVariable] = address, codecKey
	opts, err := temporaldial.Options(temporaldial.Config{Env: env})
	require.NoError(t, err)
	connected, err := temporaldial.Dial(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(connected.Close)
	return connected
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
