package main

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

// TestMain keeps the environment of whoever runs the tests out of them.
func TestMain(m *testing.M) {
	for _, name := range []string{"TOLLGATE_ADMIN_KEY", "STRIPE_SECRET_KEY", "STRIPE_SECRET_KEY_FILE", "RESEND_API_KEY", "RESEND_API_KEY_FILE", "TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_FILE", "TWILIO_ACCOUNT_SID"} {
		_ = os.Unsetenv(name)
	}
	m.Run()
}

// runOnce runs a command line that ends by itself.
func runOnce(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func requireOneLine(t *testing.T, stderr, want string) {
	t.Helper()
	require.True(t, strings.HasPrefix(stderr, "vaultproxy: "), stderr)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	require.Contains(t, stderr, want)
}

func TestVaultproxy_TellsWhatIsWrongInOneLine(t *testing.T) {
	t.Parallel()
	port := taken(t)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"an unknown command":         {[]string{"sevre"}, `"sevre" is no command or argument of 'vaultproxy'; see 'vaultproxy --help'`},
		"an argument":                {[]string{"serve", "now"}, `"now" is no command or argument of 'vaultproxy serve'`},
		"an unknown flag":            {[]string{"serve", "--stripe-secret=sk_test_1"}, "unknown flag: --stripe-secret; see 'vaultproxy serve --help'"},
		"a flag without its value":   {[]string{"serve", "--data-addr"}, "flag needs an argument: --data-addr"},
		"a duration without a unit":  {[]string{"serve", "--upstream-timeout=30"}, "missing unit in duration"},
		"a negative duration":        {[]string{"serve", "--upstream-timeout=-1s"}, "the upstream timeout is negative"},
		"an unknown log format":      {[]string{"serve", "--log-format=xml"}, `--log-format is "xml": it must be json or text`},
		"an unknown log level":       {[]string{"serve", "--log-level=loud"}, `--log-level is "loud": it must be debug, info, warn or error`},
		"an address that is none":    {[]string{"serve", "--data-addr=nowhere"}, "listen on nowhere: "},
		"a port that is taken":       {[]string{"serve", "--data-addr=" + port}, "listen on " + port + ": "},
		"a secret that is not there": {[]string{"serve", "--stripe-secret-file=/nonexistent/stripe.key"}, "read the Stripe secret: open /nonexistent/stripe.key"},
		"a vendor without a scheme":  {[]string{"serve", "--stripe-url=api.stripe.com"}, "the URL of stripe must look like https://api.example.com"},
		"a page that is no URL":      {[]string{"health", "--url=http://%zz"}, "--url: "},
		"a page of nobody":           {[]string{"health", "--url=http://127.0.0.1:1/readyz"}, "no proxy answers at http://127.0.0.1:1/readyz ("},
		"an argument to verify":      {[]string{"verify", "ledger.db"}, `"ledger.db" is no command or argument of 'vaultproxy verify'`},
		"a wait without an end":      {[]string{"serve", "--contention-wait=1h"}, "it must be from 0s to 20s"},
		"a negative wait":            {[]string{"serve", "--contention-wait=-1s"}, "it must be from 0s to 20s"},
		"an age that is none":        {[]string{"prune", "--older-than=soon", "--state-dir=/nonexistent"}, "write it like 90d or 2160h"},
		"no age":                     {[]string{"prune", "--state-dir=/nonexistent"}, "--older-than is missing"},
		"a backup to nowhere":        {[]string{"backup"}, "'vaultproxy backup' takes one file to write"},
		"a backup to two files":      {[]string{"backup", "a", "b"}, "'vaultproxy backup' takes one file to write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			secret := filepath.Join(dir, "stripe.key")
			require.NoError(t, os.WriteFile(secret, []byte("sk_test_1"), 0o600))
			args := test.args
			if args[0] == "serve" {
				args = append([]string{"serve", "--state-dir", filepath.Join(dir, "state"), "--stripe-secret-file", secret, "--data-addr", "127.0.0.1:0"}, args[1:]...)
			}
			code, stdout, stderr := runOnce(t, args...)
			require.Equal(t, 1, code)
			requireOneLine(t, stderr, test.want)
			require.Empty(t, stdout, "it was never ready")
		})
	}
}

func TestServe_WantsTheSecretOfAVendor(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	code, _, stderr := runOnce(t, "serve", "--state-dir", state, "--data-addr", "127.0.0.1:0")
	require.Equal(t, 1, code)
	requireOneLine(t, stderr, "no vendor is configured: give the secret of at least one (Stripe: set STRIPE_SECRET_KEY")
	require.Contains(t, stderr, "Resend: set RESEND_API_KEY")
	require.NoDirExists(t, state)
}

func TestVaultproxy_ExplainsItself(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}, {"serve", "--help"}} {
		code, stdout, stderr := runOnce(t, args...)
		require.Zero(t, code)
		require.Contains(t, stdout, "Usage:")
		require.Empty(t, stderr)
	}
}

func taken(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// served is a proxy that runs until stop is called, and the folder of its state.
type served struct {
	url, state string
	stop       func() (code int, stderr string)
}

func startServe(t *testing.T, state string) served {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "stripe.key")
	require.NoError(t, os.WriteFile(secret, []byte("sk_test_1"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ready, out := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{
			"serve", "--state-dir", state, "--stripe-secret-file", secret, "--data-addr", "127.0.0.1:0", "--stripe-url", "http://127.0.0.1:1",
			"--log-level", "error",
		}, out, &errs)
		_ = out.Close()
	}()
	line := make([]byte, 1000)
	n, err := ready.Read(line)
	require.NoError(t, err, "it ended before it was ready")
	_, url, ok := strings.Cut(strings.TrimSpace(string(line[:n])), "control plane ")
	require.True(t, ok, string(line[:n]))
	return served{url: url, state: state, stop: func() (int, string) {
		cancel()
		return <-code, errs.String()
	}}
}

func TestServe_IsReadyWhenItSaysSoAndStopsWhenTold(t *testing.T) {
	t.Parallel()
	s := startServe(t, filepath.Join(t.TempDir(), "state"))
	code, _, stderr := runOnce(t, "health", "--url", s.url+"/readyz")
	require.Zero(t, code, stderr)

	code, stderr = s.stop()
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	code, _, stderr = runOnce(t, "health", "--url", s.url+"/readyz")
	require.Equal(t, 1, code)
	requireOneLine(t, stderr, "connection refused")
}

func TestServe_StopsNoSoonerThanACallMayTake(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ upstream, wait, want time.Duration }{
		{30 * time.Second, 2 * time.Second, 40 * time.Second},
		{60 * time.Second, 2 * time.Second, 67 * time.Second},
		{60 * time.Second, -1, 65 * time.Second},
	} {
		require.Equal(t, c.want, drainFor(serve.Config{UpstreamTimeout: c.upstream, ContentionWait: c.wait}))
	}
}

func TestHealth_TellsThatAProxyIsNotReady(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "two\nlines")
	}))
	t.Cleanup(down.Close)
	code, stdout, stderr := runOnce(t, "health", "--url", down.URL+"/readyz")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	requireOneLine(t, stderr, down.URL+"/readyz answers 503 Service Unavailable")
}

func TestVerify_MakesNoLedgerWhereThereIsNone(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	absent, empty := filepath.Join(parent, "absent"), filepath.Join(parent, "empty")
	require.NoError(t, os.Mkdir(empty, 0o700))
	for _, state := range []string{absent, empty} {
		code, stdout, stderr := runOnce(t, "verify", "--state-dir", state)
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		requireOneLine(t, stderr, "there is no ledger for 'vaultproxy verify': ")
		require.Contains(t, stderr, filepath.Join(state, "ledger.db"))
	}
	require.NoDirExists(t, absent)
	entries, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, entries)

	s := startServe(t, empty)
	code, stderr := s.stop()
	require.Zero(t, code, stderr)
}

func TestVerify_ComparesBudgetsWithTheirCalls(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	s := startServe(t, state)
	admin, err := os.ReadFile(filepath.Join(state, "admin.key"))
	require.NoError(t, err)
	c, err := client.New(client.Config{BaseURL: s.url, AdminKey: strings.TrimSpace(string(admin))})
	require.NoError(t, err)
	limit := 5 * money.Dollar
	key, err := c.Issue(t.Context(), client.IssueRequest{
		Vendor: "stripe", AllowedEndpoints: []string{"POST /v1/payment_intents"}, ExpiresIn: "1h", AgentRunLabel: "run", TotalUSDCap: &limit,
	}, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, postIntent(t, s.url, key.VaultKey), "nobody is there, so nothing is sent and nothing is spent")

	code, stdout, stderr := runOnce(t, "verify", "--state-dir", state)
	require.Zero(t, code, "beside the proxy at work: %s", stderr)
	require.Equal(t, "every budget equals the sum over its calls\n", stdout)
	code, stderr = s.stop()
	require.Zero(t, code, stderr)
	code, stdout, stderr = runOnce(t, "verify", "--state-dir", state)
	require.Zero(t, code, stderr)
	require.Equal(t, "every budget equals the sum over its calls\n", stdout)

	spend(t, filepath.Join(state, "ledger.db"))
	code, stdout, stderr = runOnce(t, "verify", "--state-dir", state)
	require.Equal(t, 1, code)
	require.NotEmpty(t, stdout)
	require.NotContains(t, stdout, "every budget equals")
	requireOneLine(t, stderr, "differences between budgets and calls")
}

func postIntent(t *testing.T, url, token string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/stripe/v1/payment_intents", strings.NewReader("amount=100&currency=usd"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", "item-1")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

// spend books money on every budget that no call accounts for.
func spend(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "UPDATE budgets SET settled = settled + 1")
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
