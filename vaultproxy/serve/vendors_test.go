package serve_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

// withResend adds Resend to what is configured.
func (b *testBundle) withResend() {
	b.cfg.ResendSecretFile, b.cfg.ResendURL = b.file(b.t, "resend.key", "re_sim_do_not_repeat\n"), b.cfg.StripeURL
	b.cfg.ResendFromDomains, b.cfg.ResendPriceUSD = []string{"mail.example.com"}, "0.0009"
}

// withTwilio adds Twilio to what is configured.
func (b *testBundle) withTwilio() {
	b.cfg.TwilioAuthTokenFile, b.cfg.TwilioURL = b.file(b.t, "twilio.token", "test_do_not_repeat\n"), b.cfg.StripeURL
	b.cfg.TwilioAccountSID = "AC00000000a1b2c3d4e5f60718293a4b5c"
	b.cfg.TwilioRatesFile = b.file(b.t, "rates.yaml", "as_of: 2026-11-01\ncurrency: usd\nfailed_message: \"0.001\"\ncountries:\n  US: {sms: \"0.0083\"}\n")
}

func issueFor(t *testing.T, s *serve.Server, vendor, endpoint string) (client.IssuedKey, error) {
	t.Helper()
	limit := 100 * money.Dollar
	return control(t, s).Issue(t.Context(), client.IssueRequest{
		Vendor: vendor, AllowedEndpoints: []string{endpoint}, ExpiresIn: "1h", AgentRunLabel: "run", TotalUSDCap: &limit,
	}, "")
}

func TestStart_ServesTheVendorsWhoseSecretIsGiven(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change     func(b *testBundle)
		has, lacks string
	}{
		"Stripe alone": {func(*testBundle) {}, "stripe", "resend"},
		"Resend alone": {func(b *testBundle) {
			b.withResend()
			b.cfg.StripeSecretFile = ""
		}, "resend", "stripe"},
		"Twilio alone": {func(b *testBundle) {
			b.withTwilio()
			b.cfg.StripeSecretFile = ""
		}, "twilio", "stripe"},
		"all three": {func(b *testBundle) {
			b.withResend()
			b.withTwilio()
		}, "resend, stripe, twilio", "mailgun"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			test.change(b)
			s := b.start(t)
			_, err := issueFor(t, s, test.lacks, "POST /emails")
			require.ErrorContains(t, err, `vendor "`+test.lacks+`" is not configured at this vault proxy, which has: `+test.has+";")
			key, err := issueFor(t, s, test.has[:6], "POST /emails")
			require.NoError(t, err)
			got := post(t, s.DataURL()+"/"+test.lacks+"/emails", key.VaultKey, "one")
			require.Equal(t, http.StatusNotFound, got.status)
			require.Equal(t, "vendor_unknown", got.header.Get("Tollgate-Denied"))
		})
	}
}

func TestStart_RefusesAVendorThatIsConfiguredByHalf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(b *testBundle)
		want   string
	}{
		"domains without a key":      {func(b *testBundle) { b.cfg.ResendSecretFile = "" }, "--resend-from-domains is given, and Resend's secret is not: set RESEND_API_KEY"},
		"a price without a key":      {func(b *testBundle) { b.cfg.ResendSecretFile, b.cfg.ResendFromDomains = "", nil }, "--resend-price-usd is given, and Resend's secret is not"},
		"no price":                   {func(b *testBundle) { b.cfg.ResendPriceUSD = "" }, "with Resend, give --resend-price-usd"},
		"a price that is none":       {func(b *testBundle) { b.cfg.ResendPriceUSD = "1e-4" }, `--resend-price-usd: "1e-4" is not an amount of dollars`},
		"a price of nothing":         {func(b *testBundle) { b.cfg.ResendPriceUSD = "0" }, "above 0 and at most 1 dollar"},
		"a price beyond belief":      {func(b *testBundle) { b.cfg.ResendPriceUSD = "9" }, "above 0 and at most 1 dollar"},
		"no domains":                 {func(b *testBundle) { b.cfg.ResendFromDomains = nil }, "--resend-from-domains"},
		"an address for a domain":    {func(b *testBundle) { b.cfg.ResendFromDomains = []string{"a@example.com"} }, `"a@example.com" is no domain`},
		"a domain in Unicode":        {func(b *testBundle) { b.cfg.ResendFromDomains = []string{"exämple.com"} }, "is no domain"},
		"a wildcard":                 {func(b *testBundle) { b.cfg.ResendFromDomains = []string{"*.example.com"} }, "is no domain"},
		"a key of another vendor":    {func(b *testBundle) { b.cfg.ResendSecretFile = b.file(b.t, "other.key", "sk_do_not_repeat") }, "does not start with re_"},
		"a vault key":                {func(b *testBundle) { b.cfg.ResendSecretFile = b.file(b.t, "other.key", "vault_key_do_not") }, "is a vault key"},
		"no file":                    {func(b *testBundle) { b.cfg.ResendSecretFile = "/nonexistent/resend.key" }, "read the Resend API key: open /nonexistent/resend.key"},
		"an account without a token": {func(b *testBundle) { b.cfg.TwilioAuthTokenFile = "" }, "--twilio-account-sid is given, and Twilio's secret is not: set TWILIO_AUTH_TOKEN"},
		"a token without an account": {func(b *testBundle) { b.cfg.TwilioAccountSID = "" }, "the Twilio account SID must be AC"},
		"a token without rates":      {func(b *testBundle) { b.cfg.TwilioRatesFile = "" }, "with Twilio, give --twilio-rates-file"},
		"rates that are not there":   {func(b *testBundle) { b.cfg.TwilioRatesFile = "/nonexistent/rates.yaml" }, "read the Twilio rates: open /nonexistent/rates.yaml"},
		"rates that are none":        {func(b *testBundle) { b.cfg.TwilioRatesFile = b.file(b.t, "bad.yaml", "a: b\n") }, "bad.yaml: rate card: yaml: unmarshal errors: line 1: field a not found"},
		"a country without a price":  {func(b *testBundle) { b.cfg.TwilioCountries = []string{"FR"} }, "not in the rate card"},
		"a token in clear":           {func(b *testBundle) { b.cfg.TwilioAuthTokenFile = b.file(b.t, "live.token", "do_not_repeat") }, "a Twilio auth token is not sent over plain http"},
		"a URL that is none":         {func(b *testBundle) { b.cfg.ResendURL = "api.resend.com" }, "the URL of resend must look like https://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.withResend()
			b.withTwilio()
			test.change(b)
			got := b.refused(t)
			require.Contains(t, got, test.want)
			require.NotContains(t, got, "do_not")
			require.NoDirExists(t, b.cfg.StateDir, "nothing was begun")
		})
	}
}

func TestStart_SendsNoResendKeyInClear(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.withResend()
	b.cfg.ResendSecretFile = b.file(b.t, "resend.key", "re_do_not_repeat")
	for _, url := range []string{"http://api.resend.com", "HTTP://127.0.0.1:1"} {
		b.cfg.ResendURL = url
		got := b.refused(t)
		require.Contains(t, got, "a Resend API key is not sent over plain http")
		require.NotContains(t, got, "do_not")
	}
	b.cfg.ResendURL = "https://api.resend.com"
	b.start(t)
}

func TestVendorFlags_AreThoseOfBindThatConfigureVendors(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, []string{
		"stripe-secret-file", "stripe-url", "fx-file", "resend-secret-file", "resend-url", "resend-from-domains", "resend-price-usd",
		"twilio-auth-token-file", "twilio-account-sid", "twilio-rates-file", "twilio-url", "twilio-countries", "twilio-status-callbacks", "twilio-call-urls",
	}, serve.VendorFlags())
}
