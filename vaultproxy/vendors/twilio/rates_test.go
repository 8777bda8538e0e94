package twilio_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors/twilio"
)

func TestParseRates_TakesTheSampleCard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../deploy/twilio-rates.example.yaml")
	require.NoError(t, err)
	rates, err := twilio.ParseRates(text)
	require.NoError(t, err)
	require.False(t, rates.AsOf().IsZero())
	require.Equal(t, time.UTC, rates.AsOf().Location())
}

func TestParseRates_RefusesWhatCanBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	const head = "as_of: 2026-11-01\ncurrency: usd\n"
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                    {"", "rate card"},
		"no date":                    {"currency: usd\ncountries: {US: {sms: \"1\"}}", "as_of"},
		"a date of another form":     {"as_of: 01.11.2026\ncurrency: usd\ncountries: {US: {sms: \"1\"}}", "as_of"},
		"no currency":                {"as_of: 2026-11-01\ncountries: {US: {sms: \"1\"}}", "currency"},
		"another currency":           {"as_of: 2026-11-01\ncurrency: eur\ncountries: {US: {sms: \"1\"}}", "currency"},
		"no countries":               {head, "countries is empty"},
		"a country without a price":  {head + "countries: {US: {}}", "has no price"},
		"a country that is none":     {head + "countries: {XX: {sms: \"1\"}}", "is no country"},
		"a country in small letters": {head + "countries: {us: {sms: \"1\"}}", "is no country"},
		"Norway as a truth value":    {head + "countries: {no: {sms: \"1\"}}", "is no country"},
		"a name that is unknown":     {head + "countries: {US: {sms: \"1\", smss: \"2\"}}", "not found"},
		"a name in another case":     {head + "countries: {US: {SMS: \"1\"}}", "not found"},
		"a country twice":            {head + "countries:\n  US: {sms: \"1\"}\n  US: {sms: \"2\"}", "already defined"},
		"a price twice":              {head + "countries: {US: {sms: \"1\", sms: \"2\"}}", "already defined"},
		"no fee for a failed text":   {head + "countries: {US: {sms: \"1\"}}", "failed_message"},
		"two documents":              {head + "countries: {US: {sms: \"1\"}}\n---\ncurrency: usd\n", "more than one document"},
		"a price of nothing":         {head + "countries: {US: {sms: \"0\"}}", "above 0"},
		"a price that is null":       {head + "countries: {US: {sms: }}", "has no price"},
		"a price that is a list":     {head + "countries: {US: {sms: [\"1\"]}}", "decimal number"},
		"a negative price":           {head + "countries: {US: {sms: \"-1\"}}", "not an amount"},
		"a price with an exponent":   {head + "countries: {US: {sms: 1e-2}}", "not an amount"},
		"a price with an underscore": {head + "countries: {US: {sms: 1_0}}", "not an amount"},
		"a price with a comma":       {head + "countries: {US: {sms: \"0,0079\"}}", "not an amount"},
		"a hexadecimal price":        {head + "countries: {US: {sms: 0x1}}", "not an amount"},
		"seven decimals":             {head + "countries: {US: {sms: \"0.0000001\"}}", "more than six decimals"},
		"a slip of the point":        {head + "countries: {US: {sms: \"790\"}}", "at most 100"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := twilio.ParseRates([]byte(test.text))
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestNew_RefusesCredentialsAndNeverRepeatsThem(t *testing.T) {
	t.Parallel()
	const key = "SK0123456789abcdef0123456789abcdef"
	for name, test := range map[string]struct {
		change func(*twilio.Config)
		want   string
	}{
		"no account":               {func(c *twilio.Config) { c.AccountSID = "" }, "account SID"},
		"an account that is none":  {func(c *twilio.Config) { c.AccountSID = token }, "account SID"},
		"the placeholder":          {func(c *twilio.Config) { c.AccountSID = twilio.Placeholder }, "account SID"},
		"no secret":                {func(c *twilio.Config) { c.AuthToken = "" }, "secret is missing"},
		"two secrets":              {func(c *twilio.Config) { c.APIKeySID, c.APIKeySecret = key, token }, "one of them"},
		"a key without its secret": {func(c *twilio.Config) { c.AuthToken, c.APIKeySID = "", key }, "secret is missing"},
		"a secret without its key": {func(c *twilio.Config) { c.AuthToken, c.APIKeySecret = "", token }, "secret is missing"},
		"a vault key":              {func(c *twilio.Config) { c.AuthToken = "vault_key_" + token }, "vault key"},
		"a secret of two lines":    {func(c *twilio.Config) { c.AuthToken = token + "\n" }, "spaces or other characters"},
		"no rates":                 {func(c *twilio.Config) { c.Rates = twilio.Rates{} }, "rate card"},
		"a country without rates":  {func(c *twilio.Config) { c.Countries = []string{"FR"} }, "not in the rate card"},
		"a callback that is none":  {func(c *twilio.Config) { c.StatusCallbacks = []string{"http://example.com"} }, "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			test.change(&cfg)
			_, err := twilio.New(cfg)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), token)
		})
	}
}

func TestProfile_CarriesItsSecretAsBasic(t *testing.T) {
	t.Parallel()
	p := newProfile(t)
	require.Equal(t, map[string]string{
		"Authorization": "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpkb19ub3RfcmVwZWF0X21l",
	}, p.Credentials())
	require.Empty(t, p.IdempotencyHeader())
	p = newProfile(t, func(c *twilio.Config) {
		c.AuthToken, c.APIKeySID, c.APIKeySecret = "", "SK0123456789abcdef0123456789abcdef", "s"
	})
	require.Equal(t, "Basic U0swMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpz", p.Credentials()["Authorization"])
}

func TestPlace_FindsVerifyOnItsOwnHostOfTwilioAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ base, path, want string }{
		"a message":              {"https://api.twilio.com", messages, "https://api.twilio.com"},
		"a verification":         {"https://api.twilio.com", verify, "https://verify.twilio.com"},
		"another region":         {"https://api.sydney.au1.twilio.com", verify, "https://verify.sydney.au1.twilio.com"},
		"a stand-in":             {"http://127.0.0.1:12111", verify, "http://127.0.0.1:12111"},
		"a gateway":              {"https://api.gateway.example", verify, "https://api.gateway.example"},
		"a host that pretends":   {"https://api.twilio.com.example", verify, "https://api.twilio.com.example"},
		"a host that looks like": {"https://api.eviltwilio.com", verify, "https://api.eviltwilio.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, newProfile(t).Place(test.base, test.path))
		})
	}
}
