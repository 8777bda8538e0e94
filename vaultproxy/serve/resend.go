package serve

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors/resend"
)

func resendVendor() vendor {
	return vendor{
		name:  "Resend",
		wants: "set RESEND_API_KEY, or RESEND_API_KEY_FILE or --resend-secret-file to a file that holds it",
		bind: func(fs *pflag.FlagSet, cfg *Config) {
			bindString(fs, &cfg.ResendSecretFile, "resend-secret-file", "", "file with the Resend API key (default: $RESEND_API_KEY_FILE, else $RESEND_API_KEY, else no Resend)")
			bindString(fs, &cfg.ResendURL, "resend-url", "https://api.resend.com", "where Resend's API is")
			fs.StringSliceVar(&cfg.ResendFromDomains, "resend-from-domains", cfg.ResendFromDomains, "domains that e-mails may be sent from, exactly as listed; needed with Resend")
			bindString(fs, &cfg.ResendPriceUSD, "resend-price-usd", "", "what one recipient of one e-mail costs at most, in dollars, such as 0.0009; needed with Resend")
		},
		secret: func(cfg Config) (string, error) {
			return vendorSecret("Resend API key", cfg.ResendSecretFile, "RESEND_API_KEY")
		},
		upstream: resendUpstream,
		orphan: func(cfg Config) string {
			switch {
			case len(cfg.ResendFromDomains) > 0:
				return "resend-from-domains"
			case cfg.ResendPriceUSD != "":
				return "resend-price-usd"
			}
			return ""
		},
	}
}

func resendUpstream(cfg Config, secret string) (vaultproxy.Upstream, error) {
	if cfg.ResendPriceUSD == "" {
		return vaultproxy.Upstream{}, errors.New("with Resend, give --resend-price-usd: what one recipient of one e-mail costs at most by your plan, in dollars, such as 0.0009")
	}
	price, err := money.Parse(cfg.ResendPriceUSD)
	if err != nil {
		return vaultproxy.Upstream{}, fmt.Errorf("--resend-price-usd: %w", err)
	}
	profile, err := resend.New(resend.Config{Secret: secret, FromDomains: cfg.ResendFromDomains, Price: price})
	if err != nil {
		return vaultproxy.Upstream{}, err
	}
	// Resend's keys have no test mode, so all but the stand-in's count as live.
	if inClear(cfg.ResendURL) && !resend.IsStandInKey(secret) {
		return vaultproxy.Upstream{}, errors.New("a Resend API key is not sent over plain http: give Resend's URL as https://…; only a stand-in's key (re_sim_…) may")
	}
	return vaultproxy.Upstream{Vendor: profile, URL: cfg.ResendURL}, nil
}
