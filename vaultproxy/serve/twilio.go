package serve

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/vendors/twilio"
)

func twilioVendor() vendor {
	return vendor{
		name:  "Twilio",
		wants: "set TWILIO_AUTH_TOKEN, or TWILIO_AUTH_TOKEN_FILE or --twilio-auth-token-file to a file that holds it",
		bind: func(fs *pflag.FlagSet, cfg *Config) {
			bindString(fs, &cfg.TwilioAuthTokenFile, "twilio-auth-token-file", "", "file with the Twilio account's auth token (default: $TWILIO_AUTH_TOKEN_FILE, else $TWILIO_AUTH_TOKEN, else no Twilio)")
			bindString(fs, &cfg.TwilioAccountSID, "twilio-account-sid", "", "the Twilio account, AC… (default: $TWILIO_ACCOUNT_SID); needed with Twilio")
			bindString(fs, &cfg.TwilioRatesFile, "twilio-rates-file", "", "YAML file with Twilio's prices by country; needed with Twilio")
			bindString(fs, &cfg.TwilioURL, "twilio-url", "https://api.twilio.com", "where Twilio's API is")
			fs.StringSliceVar(&cfg.TwilioCountries, "twilio-countries", cfg.TwilioCountries, "the only countries that may be written to or called, such as US,CA (default: all of the rates file)")
			fs.StringSliceVar(&cfg.TwilioStatusCallbacks, "twilio-status-callbacks", cfg.TwilioStatusCallbacks, "the only URLs that are passed on as a request's StatusCallback; others are left out of what is sent (default: none)")
			fs.StringSliceVar(&cfg.TwilioCallURLs, "twilio-call-urls", cfg.TwilioCallURLs, "the only URLs that a call may take its instructions from (default: none)")
		},
		secret: func(cfg Config) (string, error) {
			return vendorSecret("Twilio auth token", cfg.TwilioAuthTokenFile, "TWILIO_AUTH_TOKEN")
		},
		upstream: twilioUpstream,
		orphan: func(cfg Config) string {
			switch {
			case cfg.TwilioAccountSID != "":
				return "twilio-account-sid"
			case cfg.TwilioRatesFile != "":
				return "twilio-rates-file"
			case len(cfg.TwilioCountries) > 0:
				return "twilio-countries"
			}
			return ""
		},
	}
}

func twilioUpstream(cfg Config, secret string) (vaultproxy.Upstream, error) {
	if cfg.TwilioRatesFile == "" {
		return vaultproxy.Upstream{}, errors.New("with Twilio, give --twilio-rates-file: what a text, a call and a verification cost by country")
	}
	text, err := os.ReadFile(cfg.TwilioRatesFile)
	if err != nil {
		return vaultproxy.Upstream{}, fmt.Errorf("read the Twilio rates: %w", err)
	}
	rates, err := twilio.ParseRates(text)
	if err != nil {
		return vaultproxy.Upstream{}, fmt.Errorf("%s: %w", cfg.TwilioRatesFile, yamlError(err))
	}
	profile, err := twilio.New(twilio.Config{
		AccountSID: cmp.Or(cfg.TwilioAccountSID, os.Getenv("TWILIO_ACCOUNT_SID")), AuthToken: secret, Rates: rates,
		Countries: cfg.TwilioCountries, StatusCallbacks: cfg.TwilioStatusCallbacks, CallURLs: cfg.TwilioCallURLs,
	})
	if err != nil {
		return vaultproxy.Upstream{}, err
	}
	// Twilio's own tokens do not say whether they cost money, and look like no stand-in's.
	if inClear(cfg.TwilioURL) && !strings.HasPrefix(secret, "test_") {
		return vaultproxy.Upstream{}, errors.New("a Twilio auth token is not sent over plain http: give Twilio's URL as https://…; only a stand-in's token (test_…) may")
	}
	return vaultproxy.Upstream{Vendor: profile, URL: cfg.TwilioURL}, nil
}
