package serve

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/vaultproxy"
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
	return []vendor{stripeVendor(), twilioVendor(), resendVendor()}
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
