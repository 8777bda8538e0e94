package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// issueOne issues a key of a proxy that runs.
func issueOne(t *testing.T, s served) client.IssuedKey {
	t.Helper()
	admin, err := os.ReadFile(filepath.Join(s.state, "admin.key"))
	require.NoError(t, err)
	c, err := client.New(client.Config{BaseURL: s.url, AdminKey: strings.TrimSpace(string(admin))})
	require.NoError(t, err)
	limit := 5 * money.Dollar
	key, err := c.Issue(t.Context(), client.IssueRequest{
		Vendor: "stripe", AllowedEndpoints: []string{"POST /v1/payment_intents"}, ExpiresIn: "1h", AgentRunLabel: "run", TotalUSDCap: &limit,
	}, "")
	require.NoError(t, err)
	return key
}

func TestLedgerCommands_MakeNoLedgerWhereThereIsNone(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"migrate"}, {"verify"}, {"prune", "--older-than=90d"}, {"close-all"}, {"backup", filepath.Join(t.TempDir(), "copy")}} {
		empty := t.TempDir()
		code, stdout, stderr := runOnce(t, append(args, "--state-dir", empty)...)
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		requireOneLine(t, stderr, "there is no ledger for 'vaultproxy "+args[0]+"': ")
		entries, err := os.ReadDir(empty)
		require.NoError(t, err)
		require.Empty(t, entries)
	}
}

func TestServe_SaysInOneLineThatItsLedgerIsDamaged(t *testing.T) {
	t.Parallel()
	s := startServe(t, filepath.Join(t.TempDir(), "state"))
	issueOne(t, s)
	code, stderr := s.stop()
	require.Zero(t, code, stderr)
	path := filepath.Join(s.state, "ledger.db")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	const page = 4096
	for i := page; i < len(whole); i++ { // all but the first page
		whole[i] ^= 0xA5
	}
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	secret := filepath.Join(t.TempDir(), "stripe.key")
	require.NoError(t, os.WriteFile(secret, []byte("sk_test_1"), 0o600))
	for _, args := range [][]string{
		{"serve", "--stripe-secret-file", secret, "--data-addr", "127.0.0.1:0"}, {"verify"}, {"migrate"}, {"prune", "--older-than=90d"},
		{"backup", filepath.Join(t.TempDir(), "copy")},
	} {
		code, stdout, stderr := runOnce(t, append(args, "--state-dir", s.state)...)
		require.Equal(t, 1, code, "%s: %s", args[0], stdout)
		requireOneLine(t, stderr, path)
		require.Contains(t, stderr, "malformed")
	}
}

func TestMigrate_SaysTheVersionAndLeavesAProxyAtWorkAlone(t *testing.T) {
	t.Parallel()
	s := startServe(t, filepath.Join(t.TempDir(), "state"))
	code, _, stderr := runOnce(t, "migrate", "--state-dir", s.state)
	require.Equal(t, 1, code)
	requireOneLine(t, stderr, "another vault proxy holds it")
	code, stderr = s.stop()
	require.Zero(t, code, stderr)
	code, stdout, stderr := runOnce(t, "migrate", "--state-dir", s.state)
	require.Zero(t, code, stderr)
	require.Regexp(t, `^the ledger has schema version \d+, the newest that this program knows\n$`, stdout)
}

func TestPrune_WantsAnAgeThatIsMeant(t *testing.T) {
	t.Parallel()
	s := startServe(t, filepath.Join(t.TempDir(), "state"))
	issueOne(t, s)
	code, _, stderr := runOnce(t, "prune", "--older-than", "90d", "--state-dir", s.state)
	require.Equal(t, 1, code)
	requireOneLine(t, stderr, "another vault proxy holds it")
	code, stderr = s.stop()
	require.Zero(t, code, stderr)

	for age, want := range map[string]string{
		"": "--older-than is missing", "90": "write it like 90d or 2160h", "d": "write it like", "-1d": "at least 24h", "0d": "at least 24h",
		"1h": "at least 24h", "23h59m": "at least 24h", "1.5d": "write it like", "106752d": "at least 24h", "99999999999999999999d": "write it like",
	} {
		code, stdout, stderr := runOnce(t, "prune", "--older-than", age, "--state-dir", s.state)
		require.Equal(t, 1, code, age)
		requireOneLine(t, stderr, want)
		require.Empty(t, stdout)
	}
	for _, age := range []string{"24h", "1d", "90d", "2160h"} {
		code, stdout, stderr := runOnce(t, "prune", "--older-than", age, "--state-dir", s.state)
		require.Zero(t, code, stderr)
		require.Regexp(t, `^pruned 0 runs that ended before .*Z: 0 calls and 0 audit rows\n$`, stdout, "the run has a key that lives")
	}
}

func TestBackup_OfAProxyAtWorkStartsWithItsKeysRevoked(t *testing.T) {
	t.Parallel()
	s := startServe(t, filepath.Join(t.TempDir(), "state"))
	key := issueOne(t, s)
	require.Equal(t, http.StatusServiceUnavailable, postIntent(t, s.url, key.VaultKey), "the key works; nobody is there to be sent to")

	restored := filepath.Join(t.TempDir(), "restored")
	require.NoError(t, os.Mkdir(restored, 0o700))
	file := filepath.Join(restored, "ledger.db")
	code, stdout, stderr := runOnce(t, "backup", file, "--state-dir", s.state)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "wrote "+file)
	code, _, stderr = runOnce(t, "backup", file, "--state-dir", s.state)
	require.Equal(t, 1, code)
	requireOneLine(t, stderr, "is there already")
	require.Equal(t, http.StatusServiceUnavailable, postIntent(t, s.url, key.VaultKey), "the proxy goes on")
	code, stderr = s.stop()
	require.Zero(t, code, stderr)

	code, stdout, stderr = runOnce(t, "verify", "--state-dir", restored)
	require.Zero(t, code, stderr)
	require.Equal(t, "every budget equals the sum over its calls\n", stdout)
	for _, name := range []string{"master.key", "admin.key"} {
		secret, err := os.ReadFile(filepath.Join(s.state, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(restored, name), secret, 0o600))
	}
	again := startServe(t, restored)
	require.Equal(t, http.StatusUnauthorized, postIntent(t, again.url, key.VaultKey))
	code, stderr = again.stop()
	require.Zero(t, code, stderr)
}

// relative is a path as a person types it, from where the test runs.
func relative(t *testing.T, path string) string {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	rel, err := filepath.Rel(here, path)
	require.NoError(t, err)
	return rel
}

func TestLedgerCommands_TakeRelativePaths(t *testing.T) {
	t.Parallel()
	s := startServe(t, filepath.Join(t.TempDir(), "state"))
	issueOne(t, s)
	folder := relative(t, s.state)
	file := filepath.Join(t.TempDir(), "copy.db")
	for _, args := range [][]string{{"verify"}, {"backup", relative(t, file)}} {
		code, _, stderr := runOnce(t, append(args, "--state-dir", folder)...)
		require.Zero(t, code, stderr)
	}
	require.FileExists(t, file)
	code, stderr := s.stop()
	require.Zero(t, code, stderr)
	for _, args := range [][]string{{"verify"}, {"migrate"}, {"prune", "--older-than=90d"}, {"close-all"}} {
		code, _, stderr := runOnce(t, append(args, "--state-dir", folder)...)
		require.Zero(t, code, stderr)
	}
}

func TestLedgerCommands_WorkOnADatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url := filepath.Join(dir, "ledger.url")
	require.NoError(t, os.WriteFile(url, []byte(pgtest.URL(t)+"\n"), 0o600))
	said := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := runOnce(t, append(args, "--ledger-url-file", url, "--state-dir", dir)...)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, want)
	}
	said("the ledger has schema version 1 now; it had 0", "migrate")
	said("the newest that this program knows", "migrate")
	said("every budget equals the sum over its calls", "verify")
	said("pruned 0 runs", "prune", "--older-than=90d")
	said("closed 0 runs", "close-all")
	code, _, stderr := runOnce(t, "backup", filepath.Join(dir, "copy"), "--ledger-url-file", url)
	require.Equal(t, 1, code)
	requireOneLine(t, stderr, "vaultproxy close-all")
	code, _, stderr = runOnce(t, "verify", "--ledger-url-file", filepath.Join(dir, "gone"))
	require.Equal(t, 1, code)
	requireOneLine(t, stderr, "read the ledger's URL")
}

func TestCloseAll_LeavesNoKeyThatWorks(t *testing.T) {
	t.Parallel()
	s := startServe(t, filepath.Join(t.TempDir(), "state"))
	issueOne(t, s)
	code, stderr := s.stop()
	require.Zero(t, code, stderr)
	code, stdout, stderr := runOnce(t, "close-all", "--state-dir", s.state)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "closed 1 runs")
}
