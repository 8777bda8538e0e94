package stripe_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

func TestNew_RefusesWhatIsNoSecretKeyAndNeverRepeatsIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ secret, want string }{
		"none":              {"", "the Stripe secret is missing"},
		"a publishable key": {"pk_test_do_not_repeat", "publishable"},
		"a vault key":       {"vault_key_do_not_repeat", "vault key"},
		"two lines":         {"sk_test_do_not\nrepeat", "spaces or other characters"},
		"a space in it":     {"sk_test_do not_repeat", "spaces or other characters"},
		"typographic dash":  {"sk–test_do_not_repeat", "spaces or other characters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := stripe.New(stripe.Config{Secret: test.secret})
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "do_not")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestProfile_CarriesTheSecretAsBearer(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"sk_test_123", "rk_live_123"} {
		p, err := stripe.New(stripe.Config{Secret: key})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"Authorization": "Bearer " + key}, p.Credentials())
		require.Equal(t, "stripe", p.Name())
		require.Equal(t, "Idempotency-Key", p.IdempotencyHeader())
	}
}
