package serve_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/serve"
)

func TestStart_RefusesAVendorSecretThatIsNone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ secret, want string }{
		"an empty file":        {"", "is empty or holds no key"},
		"white space":          {" \n\t\n", "is empty or holds no key"},
		"two lines":            {"sk_test_do_not\nrepeat_this", "is empty or holds no key"},
		"a binary file":        {"sk_test_do_not\x00repeat_this", "is empty or holds no key"},
		"far too much":         {strings.Repeat("sk_test_do_not", 1000), "is empty or holds no key"},
		"a publishable key":    {"pk_test_do_not_repeat", "publishable key"},
		"a vault key":          {"vault_key_do_not_repeat", "vault key"},
		"a key with a comment": {"sk_test_do_not # repeat", "spaces or other characters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.cfg.StripeSecretFile = b.file(t, "stripe.key", test.secret)
			got := b.refused(t)
			require.Contains(t, got, test.want)
			require.NotContains(t, got, "do_not")
			require.NoDirExists(t, b.cfg.StateDir, "nothing was begun")
		})
	}
	t.Run("no file", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.cfg.StripeSecretFile = filepath.Join(b.dir, "absent")
		require.Contains(t, b.refused(t), "read the Stripe secret: open "+b.cfg.StripeSecretFile)
		require.NoDirExists(t, b.cfg.StateDir)
	})
}

func TestStart_SendsNoLiveKeyInClear(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"sk_live_do_not_repeat", "rk_live_do_not_repeat"} {
		b := setup(t)
		b.cfg.StripeSecretFile = b.file(t, "stripe.key", secret)
		for _, url := range []string{"http://api.stripe.com", "HTTP://127.0.0.1:1"} {
			b.cfg.StripeURL = url
			got := b.refused(t)
			require.Contains(t, got, "a live Stripe key is not sent over plain http")
			require.NotContains(t, got, "do_not")
		}
		require.NoDirExists(t, b.cfg.StateDir)
		b.cfg.StripeURL = "https://api.stripe.com"
		b.start(t)
	}
}

// Not parallel: the environment belongs to the whole process.
func TestStart_FindsTheVendorSecretInFileThenInTheEnvironment(t *testing.T) {
	b := setup(t)
	t.Setenv("STRIPE_SECRET_KEY_FILE", "")
	t.Setenv("STRIPE_SECRET_KEY", "")
	t.Setenv("TOLLGATE_ADMIN_KEY", "")
	good := b.cfg.StripeSecretFile
	bad := b.file(t, "bad.key", "pk_test_1")

	b.cfg.StripeSecretFile = ""
	require.Contains(t, b.refused(t), "no vendor is configured: give the secret of at least one (Stripe: set STRIPE_SECRET_KEY, or STRIPE_SECRET_KEY_FILE or --stripe-secret-file to a file that holds it; Twilio: ")
	t.Setenv("STRIPE_SECRET_KEY", "sk_test_123\n")
	stop(t, b.start(t))
	t.Setenv("STRIPE_SECRET_KEY_FILE", bad)
	require.Contains(t, b.refused(t), "publishable", "the file goes before the variable")
	t.Setenv("STRIPE_SECRET_KEY_FILE", filepath.Join(b.dir, "absent"))
	require.Contains(t, b.refused(t), "absent", "a file that is named must be there")
	b.cfg.StripeSecretFile = good
	stop(t, b.start(t))
}

// Not parallel: the environment belongs to the whole process.
func TestAdminKey_IsFoundInFileThenInTheEnvironmentThenBesideTheLedger(t *testing.T) {
	b := setup(t)
	t.Setenv("TOLLGATE_ADMIN_KEY", "")
	_, err := serve.AdminKey("", b.cfg.StateDir)
	require.ErrorContains(t, err, "set TOLLGATE_ADMIN_KEY, name its file by --admin-key-file, or start the proxy first")
	require.NoDirExists(t, b.cfg.StateDir, "asking makes none")

	s := b.start(t)
	require.Regexp(t, "^tollgate_admin_[0-9a-f]{48}$", s.AdminKey())
	made, err := serve.AdminKey("", b.cfg.StateDir)
	require.NoError(t, err)
	require.Equal(t, s.AdminKey(), made)

	t.Setenv("TOLLGATE_ADMIN_KEY", " admin-key-of-the-environment\n")
	fromEnv, err := serve.AdminKey("", b.cfg.StateDir)
	require.NoError(t, err)
	require.Equal(t, "admin-key-of-the-environment", fromEnv, "what a header cannot carry is no part of it")
	t.Setenv("TOLLGATE_ADMIN_KEY", "two\nlines")
	_, err = serve.AdminKey("", b.cfg.StateDir)
	require.EqualError(t, err, "read the admin key: TOLLGATE_ADMIN_KEY is empty or holds no key")

	fromFile, err := serve.AdminKey(b.file(t, "admin", "admin-key-of-the-file\n"), b.cfg.StateDir)
	require.NoError(t, err)
	require.Equal(t, "admin-key-of-the-file", fromFile)
	_, err = serve.AdminKey(filepath.Join(b.dir, "absent"), b.cfg.StateDir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStart_IsNotStoppedByAKeyThatACrashLeftHalfMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, os.MkdirAll(b.cfg.StateDir, 0o700))
	b.file(t, "state/master.key.new-1", "07")
	b.file(t, "state/admin.key.new-1", "")
	issue(t, b.start(t))
}
