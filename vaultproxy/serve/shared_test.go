package serve_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

// share puts the ledger into a database of the test's own, with the keys that
// everyone needs who shares it.
func (b *testBundle) share(t *testing.T) {
	t.Helper()
	b.cfg.LedgerURLFile = b.file(t, "ledger.url", pgtest.URL(t)+"\n")
	b.cfg.MasterKeyFile = b.file(t, "master.key", strings.Repeat("5a", 32)+"\n")
	b.cfg.AdminKeyFile = b.file(t, "admin.key", "an-admin-key-for-both\n")
}

func TestStart_ProxiesThatShareALedgerTakeOneAnothersVaultKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.share(t)
	one, two := b.start(t), b.start(t)
	control, err := client.New(client.Config{BaseURL: one.ControlURL(), AdminKey: one.AdminKey()})
	require.NoError(t, err)
	limit := 3 * money.Dollar
	key, err := control.Issue(t.Context(), client.IssueRequest{
		Vendor: "stripe", AllowedEndpoints: []string{"POST /v1/payment_intents"}, AgentRunLabel: "run", TotalUSDCap: &limit, ExpiresIn: "1h",
	}, "")
	require.NoError(t, err)
	require.Equal(t, 200, post(t, one.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "a").status)
	require.Equal(t, 200, post(t, two.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "b").status)
	require.Equal(t, 200, post(t, two.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "a").status, "a replay of what the other one did")
	require.Equal(t, 200, post(t, one.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "c").status)
	require.Equal(t, 429, post(t, two.DataURL()+"/stripe/v1/payment_intents", key.VaultKey, "d").status)
	require.Len(t, b.sim.Truth().Sends, 3)
}

func TestStart_RefusesALedgerOfAnotherMasterKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.share(t)
	b.start(t)
	b.cfg.MasterKeyFile = b.file(t, "other.key", strings.Repeat("a5", 32)+"\n")
	require.Contains(t, b.refused(t), "another master key")
}

func TestStart_RefusesASharedLedgerWithoutSharedKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*serve.Config)
		want   string
	}{
		"no master key":                  {func(c *serve.Config) { c.MasterKeyFile = "" }, "--master-key-file"},
		"a master key that is not there": {func(c *serve.Config) { c.MasterKeyFile += ".gone" }, "openssl rand -hex 32"},
		"no admin key":                   {func(c *serve.Config) { c.AdminKeyFile = "" }, "--admin-key-file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.share(t)
			c.change(&b.cfg)
			require.Contains(t, b.refused(t), c.want)
			require.NoDirExists(t, b.cfg.StateDir)
		})
	}
}

func TestStart_TellsOfADatabaseThatIsNotThereWithoutItsPassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.share(t)
	b.cfg.LedgerURLFile = b.file(t, "other.url", "postgres://tollgate:hunter2@127.0.0.1:1/tollgate\n")
	said := b.refused(t)
	require.Contains(t, said, "cannot be reached")
	require.NotContains(t, said, "hunter2")
	b.cfg.LedgerURLFile = b.file(t, "bad.url", "postgres://tollgate:hunter2@[::1/tollgate\n")
	said = b.refused(t)
	require.Contains(t, said, "cannot be read")
	require.NotContains(t, said, "hunter2")
}
