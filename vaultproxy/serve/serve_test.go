package serve_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/serve"
)

func TestStart_ServesBothPlanesOnOneListener(t *testing.T) {
	t.Parallel()
	for name, controlAddr := range map[string]string{"no control address": "", "the same address": "127.0.0.1:0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.cfg.ControlAddr = controlAddr
			s := b.start(t)
			require.Equal(t, s.DataURL(), s.ControlURL())
			require.NoError(t, control(t, s).Ready(t.Context()))
			key := issue(t, s)
			require.Equal(t, http.StatusOK, post(t, s.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "item-1").status)
		})
	}
}

func TestStart_SplitsThePlanesOverTwoListeners(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.DataAddr, b.cfg.ControlAddr = free(t), "127.0.0.1:0"
	s := b.start(t)
	require.NotEqual(t, s.DataURL(), s.ControlURL())
	key := issue(t, s)

	const charge = "/stripe/v1/payment_intents"
	require.Equal(t, http.StatusOK, post(t, s.DataURL()+charge, key.VaultKey, "item-1").status)
	require.Equal(t, http.StatusNotFound, post(t, s.ControlURL()+charge, key.VaultKey, "item-2").status, "the control plane passes nothing on")
	require.Equal(t, http.StatusNotFound, post(t, s.ControlURL()+charge, s.AdminKey(), "item-2").status)
	for _, path := range []string{"/vault/keys", "/vault/audit", "/readyz"} {
		got := post(t, s.DataURL()+path, s.AdminKey(), "")
		require.Equal(t, http.StatusUnauthorized, got.status, "the data plane knows no admin key")
		require.Equal(t, "key_unknown", got.header.Get("Tollgate-Denied"))
	}
	require.Equal(t, 1, b.sim.Truth().Posts)
}

func TestStart_KeepsItsKeysAndItsLedgerToTheirOwner(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	info, err := os.Stat(b.cfg.StateDir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	entries, err := os.ReadDir(b.cfg.StateDir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		if entry.Name() == "ledger.db.lock" {
			continue // empty
		}
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), entry.Name())
	}
	require.Subset(t, names, []string{"admin.key", "master.key", "ledger.db"})
	for _, name := range names {
		require.NotContains(t, name, ".new-", "no half-made file is left")
	}
}

func TestStart_AgainKeepsEveryVaultKeyAndReplays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.start(t)
	admin, key := first.AdminKey(), issue(t, first)
	require.Equal(t, http.StatusOK, post(t, first.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "item-1").status)
	stop(t, first)

	second, err := serve.Start(t.Context(), b.cfg)
	require.NoError(t, err)
	defer stop(t, second)
	require.Equal(t, admin, second.AdminKey())
	require.Equal(t, key.VaultKey, issue(t, second).VaultKey)
	again := post(t, second.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "item-1")
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, "true", again.header.Get("Tollgate-Replayed"))
	require.Equal(t, 1, b.sim.Truth().Posts)
}

func TestStart_LeavesNothingBehindWhenItCannot(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		breaks func(b *testBundle, busy, short string)
		want   string
	}{
		"its data port is taken":     {func(b *testBundle, busy, _ string) { b.cfg.DataAddr = busy }, "address already in use; free the port or choose another address (--data-addr, --control-addr)"},
		"its control port is taken":  {func(b *testBundle, busy, _ string) { b.cfg.ControlAddr = busy }, "address already in use; free the port"},
		"its address is none":        {func(b *testBundle, _, _ string) { b.cfg.DataAddr = "127.0.0.1" }, "listen on 127.0.0.1: "},
		"its admin key is not there": {func(b *testBundle, _, _ string) { b.cfg.AdminKeyFile = filepath.Join(b.dir, "absent") }, "read the admin key: "},
		"its admin key is too short": {func(b *testBundle, _, short string) { b.cfg.AdminKeyFile = short }, "at least 16 characters"},
		"its vendor's URL is none":   {func(b *testBundle, _, _ string) { b.cfg.StripeURL = "api.stripe.com" }, "the URL of stripe must look like https://"},
		"its vendor's URL has a key": {func(b *testBundle, _, _ string) { b.cfg.StripeURL = "https://sk_test_1@api.stripe.com" }, "the URL of stripe must look like https://"},
		"it has no logger":           {func(b *testBundle, _, _ string) { b.cfg.Logger = nil }, "a logger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			data := free(t)
			b.cfg.DataAddr = data
			whole := b.cfg
			test.breaks(b, taken(t), b.file(t, "short.key", "short"))
			require.Contains(t, b.refused(t), test.want)
			requireFree(t, data)
			require.NoDirExists(t, b.cfg.StateDir)

			broken := b.cfg
			b.cfg = whole
			s, err := serve.Start(t.Context(), b.cfg)
			require.NoError(t, err)
			require.NoError(t, control(t, s).Ready(t.Context()), "the next start finds nothing in its way")
			stop(t, s)

			b.cfg = broken
			before := content(t, whole.StateDir)
			require.Contains(t, b.refused(t), test.want)
			require.Equal(t, before, content(t, whole.StateDir), "a ledger that is there is not even opened")
		})
	}
}

func TestStart_RefusesAnAdminKeyThatWasCutShortInItsFolder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, os.Mkdir(b.cfg.StateDir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(b.cfg.StateDir, "admin.key"), []byte("short\n"), 0o600))
	require.Contains(t, b.refused(t), "at least 16 characters")
	require.Len(t, content(t, b.cfg.StateDir), 1, "nothing was begun")
}

// content is a digest of every file of a folder.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := map[string]string{}
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		files[entry.Name()] = fmt.Sprintf("%x", sha256.Sum256(raw))
	}
	return files
}

func TestStart_RefusesAStateFolderThatIsInUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.start(t)
	key := issue(t, first)
	b.cfg.DataAddr = free(t)
	require.Contains(t, b.refused(t), "another vault proxy holds it")
	requireFree(t, b.cfg.DataAddr)
	require.Equal(t, http.StatusOK, post(t, first.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "item-1").status, "the first one goes on")
}

func TestStart_OfManyOnAFreshFolderIsOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		started []*serve.Server
	)
	for range 8 {
		wg.Go(func() {
			s, err := serve.Start(t.Context(), b.cfg)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				started = append(started, s)
				return
			}
			if !strings.Contains(err.Error(), "another vault proxy holds it") {
				t.Errorf("not the reason that helps: %v", err)
			}
		})
	}
	wg.Wait()
	require.Len(t, started, 1)
	stop(t, started[0])

	again := b.start(t)
	require.Equal(t, started[0].AdminKey(), again.AdminKey())
}

func TestStart_RefusesALedgerThatHasLostItsMasterKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.start(t)
	key := issue(t, s)
	stop(t, s)
	master := filepath.Join(b.cfg.StateDir, "master.key")
	kept, err := os.ReadFile(master)
	require.NoError(t, err)

	require.NoError(t, os.Remove(master))
	require.Contains(t, b.refused(t), "restore the key from a backup")
	require.NoFileExists(t, master, "a new key would open nothing that is stored")
	for name, damaged := range map[string]string{"cut short": string(kept[:20]), "empty": "", "no number": strings.Repeat("z", 64), "two": string(kept) + string(kept)} {
		require.NoError(t, os.WriteFile(master, []byte(damaged), 0o600))
		got := b.refused(t)
		require.Contains(t, got, master, name)
		require.NotContains(t, got, string(kept[:20]), name)
	}

	require.NoError(t, os.WriteFile(master, kept, 0o600))
	require.Equal(t, key.VaultKey, issue(t, b.start(t)).VaultKey)
}

func TestStart_RefusesATimeoutThatIsNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.UpstreamTimeout = -time.Second
	require.Contains(t, b.refused(t), "the upstream timeout is negative")
	require.NoDirExists(t, b.cfg.StateDir)
}

func TestPrepare_HoldsItsPortsAndTouchesNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.DataAddr, b.cfg.ControlAddr = free(t), free(t)
	s, err := serve.Prepare(t.Context(), b.cfg)
	require.NoError(t, err)
	require.Contains(t, b.refused(t), "address already in use")
	require.NoDirExists(t, b.cfg.StateDir)
	stop(t, s)
	requireFree(t, b.cfg.DataAddr)
	requireFree(t, b.cfg.ControlAddr)
	require.NoDirExists(t, b.cfg.StateDir)
}

func TestClose_AfterARunThatFailedIsNoError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t) // holds the folder
	s, err := serve.Prepare(t.Context(), b.cfg)
	require.NoError(t, err)
	require.ErrorContains(t, s.Run(t.Context()), "another vault proxy holds it")
	stop(t, s)
}

func TestClose_FreesThePorts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.DataAddr, b.cfg.ControlAddr = free(t), free(t)
	s, err := serve.Start(t.Context(), b.cfg)
	require.NoError(t, err)
	issue(t, s)
	stop(t, s)
	requireFree(t, b.cfg.DataAddr)
	requireFree(t, b.cfg.ControlAddr)
	select {
	case err := <-s.Err():
		require.NoError(t, err, "a listener that was closed has not died")
	default:
	}
}

func TestBind_SetsEverythingFromFlags(t *testing.T) {
	t.Parallel()
	var cfg serve.Config
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	serve.Bind(flags, &cfg)
	require.Equal(t, serve.Config{
		StateDir: ".tollgate", DataAddr: serve.DefaultAddr, StripeURL: "https://api.stripe.com", UpstreamTimeout: 30 * time.Second,
		ContentionWait: 2 * time.Second, ResendURL: "https://api.resend.com", TwilioURL: "https://api.twilio.com",
	}, cfg)
	require.NoError(t, flags.Parse([]string{
		"--state-dir=s", "--data-addr=d:1", "--control-addr=c:2", "--admin-key-file=a", "--stripe-secret-file=k",
		"--stripe-url=http://x", "--upstream-timeout=5s", "--contention-wait=1s", "--master-key-file=m", "--ledger-url-file=l",
		"--resend-secret-file=r", "--resend-url=http://y", "--resend-from-domains=a.example,b.example", "--resend-price-usd=0.0009",
		"--twilio-auth-token-file=t", "--twilio-account-sid=AC1", "--twilio-rates-file=y", "--twilio-url=http://z", "--twilio-countries=US,CA",
		"--twilio-status-callbacks=https://s", "--twilio-call-urls=https://u",
	}))
	require.Equal(t, serve.Config{
		StateDir: "s", DataAddr: "d:1", ControlAddr: "c:2", AdminKeyFile: "a", StripeSecretFile: "k", StripeURL: "http://x",
		UpstreamTimeout: 5 * time.Second, ContentionWait: time.Second, MasterKeyFile: "m", LedgerURLFile: "l",
		ResendSecretFile: "r", ResendURL: "http://y", ResendFromDomains: []string{"a.example", "b.example"}, ResendPriceUSD: "0.0009",
		TwilioAuthTokenFile: "t", TwilioAccountSID: "AC1", TwilioRatesFile: "y", TwilioURL: "http://z", TwilioCountries: []string{"US", "CA"},
		TwilioStatusCallbacks: []string{"https://s"}, TwilioCallURLs: []string{"https://u"},
	}, cfg)
	require.Nil(t, flags.Lookup("ledger-url"), "it may hold a password")
	require.NoError(t, flags.Parse([]string{"--contention-wait=0s"}))
	require.Negative(t, cfg.ContentionWait, "none, and not the default")
	require.Error(t, flags.Parse([]string{"--contention-wait=-1s"}))
	for _, name := range []string{"stripe-secret", "stripe-secret-key", "resend-secret", "resend-api-key", "twilio-auth-token"} {
		require.Nil(t, flags.Lookup(name), "a secret is no flag: other users of a machine can read those")
	}
}
