package serve

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

func stripeVendor() vendor {
	return vendor{
		name:  "Stripe",
		wants: "set STRIPE_SECRET_KEY, or STRIPE_SECRET_KEY_FILE or --stripe-secret-file to a file that holds it",
		bind: func(fs *pflag.FlagSet, cfg *Config) {
			bindString(fs, &cfg.StripeSecretFile, "stripe-secret-file", "", "file with the Stripe secret key (default: $STRIPE_SECRET_KEY_FILE, else $STRIPE_SECRET_KEY, else no Stripe)")
			bindString(fs, &cfg.StripeURL, "stripe-url", "https://api.stripe.com", "where Stripe's API is")
		},
		secret: func(cfg Config) (string, error) {
			return vendorSecret("Stripe secret", cfg.StripeSecretFile, "STRIPE_SECRET_KEY")
		},
		upstream: func(cfg Config, secret string) (vaultproxy.Upstream, error) {
			profile, err := stripe.New(stripe.Config{Secret: secret})
			if err != nil {
				return vaultproxy.Upstream{}, err
			}
			// Keys of the test mode move no money and say what they are.
			if inClear(cfg.StripeURL) && strings.Contains(secret, "_live_") {
				return vaultproxy.Upstream{}, errors.New("a live Stripe key is not sent over plain http: give Stripe's URL as https://…")
			}
			return vaultproxy.Upstream{Vendor: profile, URL: cfg.StripeURL}, nil
		},
		orphan: func(Config) string { return "" },
	}
}
