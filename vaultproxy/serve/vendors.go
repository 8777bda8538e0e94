package serve

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors/resend"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// vendor is how one vendor is configured.
type vendor struct {
	name string
	// bind registers the vendor's flags. None of them holds a secret.
	bind func(fs *pflag.FlagSet, cfg *Config)
	// secret finds the vendor's secret; empty if there is none, and then the
	// vendor is not configured.
	secret func(cfg Config) (string, error)
	// upstream makes the profile out of the secret and the rest of the configuration.
	upstream func(cfg Config, secret string) (vaultproxy.Upstream, error)
	// orphan names a flag that is of no use without the secret, and is given all the same.
	orphan func(cfg Config) string
	// wants says where the secret is looked for.
	wants string
}

// vendors lists all vendors that a proxy can be configured for, in the order of
// the flags. A proxy needs one of them; none is needed more than another.
func vendors() []vendor {
	return []vendor{stripeVendor(), resendVendor()}
}

// VendorFlags are the names of the flags that configure vendors.
func VendorFlags() []string {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, v := range vendors() {
		v.bind(fs, &Config{})
	}
	var names []string
	fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// Upstreams are the vendors whose secret is given, by flag or in the
// environment, with the real secret in their profiles. It is an error if there is
// none, and if one of them is configured by half.
func Upstreams(cfg Config) ([]vaultproxy.Upstream, error) {
	var (
		found []vaultproxy.Upstream
		wants []string
	)
	for _, v := range vendors() {
		secret, err := v.secret(cfg)
		if err != nil {
			return nil, err
		}
		if secret == "" {
			if flag := v.orphan(cfg); flag != "" {
				return nil, fmt.Errorf("--%s is given, and %s's secret is not: %s", flag, v.name, v.wants)
			}
			wants = append(wants, v.name+": "+v.wants)
			continue
		}
		u, err := v.upstream(cfg, secret)
		if err != nil {
			return nil, err
		}
		found = append(found, u)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no vendor is configured: give the secret of at least one (%s)", strings.Join(wants, "; "))
	}
	return found, nil
}

func bindString(fs *pflag.FlagSet, into *string, name, fallback, usage string) {
	if *into == "" {
		*into = fallback
	}
	fs.StringVar(into, name, *into, usage)
}

// vendorSecret finds a secret in the file that the flag names, else in the file
// that NAME_FILE names, else in NAME.
func vendorSecret(what, file, variable string) (string, error) {
	if file == "" {
		file = os.Getenv(variable + "_FILE")
	}
	if file != "" {
		return readSecret(what, file)
	}
	return strings.TrimSpace(os.Getenv(variable)), nil
}

func inClear(target string) bool { return strings.HasPrefix(strings.ToLower(target), "http:") }

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
