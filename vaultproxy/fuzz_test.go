package vaultproxy_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// FuzzSplitTarget holds paths that are let through to have one reading: taken
// apart, decoded, tidied up or put together again, they stay the bytes that came.
func FuzzSplitTarget(f *testing.F) {
	for _, seed := range []string{
		"/stripe/v1/payment_intents", "/stripe/v1/payment_intents/pi_1?expand[]=a", "/stripe/v1/../v1", "/stripe/%2e%2e/x", "//stripe/v1",
		"/stripe/v1/", "/stripe/v1;x", `/stripe\v1`, "/stripe/v1%2Fx", "/stripe/v1%252Fx", "http://h/stripe/v1", "*", "/stripe/v1#x", "/stripe?a?b",
		"/stripe/v1/\x00", "/stripe", "/", "", "/stripe/v1/x.json", "/stripe/v1?", "/stripe/...", "/stripe/~", "/stripe/a b",
	} {
		f.Add(seed)
	}
	profile, err := stripe.New(stripe.Config{Secret: "sk_test_1"})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, target string) {
		vendor, below, query, ok := vaultproxy.SplitTarget(target)
		if !ok {
			return
		}
		raw, _, asked := strings.Cut(target, "?")
		require.Equal(t, raw, "/"+vendor+strings.TrimSuffix(below, "/"))
		if asked {
			require.Equal(t, target, raw+"?"+query)
		}
		require.Equal(t, raw, path.Clean(raw))
		decoded, err := url.PathUnescape(raw)
		require.NoError(t, err)
		require.Equal(t, raw, decoded)
		parsed, err := url.Parse("http://a" + raw)
		require.NoError(t, err)
		require.Equal(t, raw, parsed.Path)
		require.Equal(t, raw, parsed.EscapedPath())
		require.Empty(t, parsed.RawQuery+parsed.Fragment)

		req, err := vaultproxy.Outgoing(vaultproxy.Upstream{Vendor: profile, URL: "https://api.example.com"}, below)
		require.NoError(t, err)
		require.Equal(t, "api.example.com", req.URL.Host)
		require.Equal(t, below, req.URL.RequestURI())
	})
}
