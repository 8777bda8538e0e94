package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/policy"
)

func TestCompile_RefusesEntriesWithMoreThanOneReading(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]string{
		"nothing":                          "",
		"a path alone":                     "/v1/payment_intents",
		"a method alone":                   "POST",
		"a method and no path":             "POST ",
		"a path that does not start":       "POST v1/payment_intents",
		"the root":                         "POST /",
		"two spaces":                       "POST  /v1/payment_intents",
		"a tab":                            "POST\t/v1/payment_intents",
		"a space at the end":               "POST /v1/payment_intents ",
		"a space at the start":             " POST /v1/payment_intents",
		"a newline":                        "POST /v1/payment_intents\n",
		"a method in small letters":        "post /v1/payment_intents",
		"a method that is never passed on": "PUT /v1/payment_intents",
		"any method":                       "* /v1/payment_intents",
		"a wildcard":                       "POST /v1/*",
		"a wildcard in a segment":          "POST /v1/payment_*",
		"a slash at the end":               "POST /v1/payment_intents/",
		"two slashes":                      "POST /v1//payment_intents",
		"a dot segment":                    "POST /v1/./payment_intents",
		"two dots":                         "POST /v1/../v1/payment_intents",
		"an escape":                        "POST /v1/payment%5fintents",
		"a query":                          "POST /v1/payment_intents?x=1",
		"a fragment":                       "POST /v1/payment_intents#x",
		"a matrix parameter":               "POST /v1/payment_intents;x=1",
		"a backslash":                      `POST /v1\payment_intents`,
		"a NUL":                            "POST /v1/payment_intents\x00",
		"a full URL":                       "POST https://api.stripe.com/v1/payment_intents",
		"a look-alike letter":              "POST /v1/payment_int\u0435nts",
		"a parameter without a name":       "POST /v1/payment_intents/{}/capture",
		"half a parameter":                 "POST /v1/payment_intents/{id/capture",
		"the other half":                   "POST /v1/payment_intents/id}/capture",
		"a parameter in a segment":         "POST /v1/payment_intents/pi_{id}/capture",
		"a parameter with a tail":          "POST /v1/payment_intents/{id}x/capture",
		"a parameter over segments":        "POST /v1/{rest...}/x y",
		"a parameter in a parameter":       "POST /v1/{{id}}",
		"a segment longer than any":        "POST /v1/" + strings.Repeat("a", 256),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := policy.Compile([]string{"GET /v1/refunds", entry})
			require.Error(t, err)
			require.Contains(t, err.Error(), `write it like "POST /v1/payment_intents/{id}/capture"`)
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, len(err.Error()), 400)
		})
	}
}

func TestCompile_BoundsTheList(t *testing.T) {
	t.Parallel()
	_, err := policy.Compile(nil)
	require.ErrorContains(t, err, "allowed_endpoints is empty")
	var entries []string
	for i := range policy.MaxEndpoints {
		entries = append(entries, fmt.Sprintf("GET /v1/things/%d", i))
	}
	_, err = policy.Compile(entries)
	require.NoError(t, err)
	_, err = policy.Compile(append(entries, "GET /v1/things"))
	require.ErrorContains(t, err, "allowed_endpoints has 101 entries: at most 100")
}

func TestAllows_MatchesExactMethodsAndPathTemplatesOnly(t *testing.T) {
	t.Parallel()
	a, err := policy.Compile([]string{
		"POST /v1/payment_intents", "POST /v1/payment_intents/{id}/capture", "GET /v1/charges/{charge}", "DELETE /v1/x.y/{a}/{b}",
	})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		method, path string
		want         bool
	}{
		"a path that is listed":             {"POST", "/v1/payment_intents", true},
		"a template that is listed":         {"POST", "/v1/payment_intents/pi_1/capture", true},
		"another object of the template":    {"POST", "/v1/payment_intents/pi_2/capture", true},
		"two parameters":                    {"DELETE", "/v1/x.y/1/2", true},
		"another method":                    {"GET", "/v1/payment_intents", false},
		"a method in small letters":         {"post", "/v1/payment_intents", false},
		"what a listed path begins":         {"POST", "/v1/payment_intents/pi_1", false},
		"what a template begins":            {"POST", "/v1/payment_intents/pi_1/capture/x", false},
		"a parent":                          {"GET", "/v1/charges", false},
		"another move of the template":      {"POST", "/v1/payment_intents/pi_1/cancel", false},
		"another case":                      {"POST", "/v1/Payment_Intents", false},
		"a name that goes on":               {"POST", "/v1/payment_intents2", false},
		"a slash at the end":                {"POST", "/v1/payment_intents/", false},
		"an empty object":                   {"GET", "/v1/charges/", false},
		"an empty object within":            {"POST", "/v1/payment_intents//capture", false},
		"dots for an object":                {"GET", "/v1/charges/..", false},
		"a word for an object":              {"GET", "/v1/charges/search", false},
		"an escaped slash in an object":     {"GET", "/v1/charges/ch_1%2frefund", false},
		"a dot where a letter is":           {"DELETE", "/v1/xzy/1/2", false},
		"the name of the parameter, braced": {"GET", "/v1/charges/{charge}", false},
		"a query":                           {"GET", "/v1/charges/ch_1?x=1", false},
		"nothing":                           {"GET", "", false},
		"the root":                          {"GET", "/", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, a.Allows(test.method, test.path))
		})
	}
}

func TestAllows_DeniesByDefault(t *testing.T) {
	t.Parallel()
	require.False(t, policy.Allowlist{}.Allows("GET", "/v1/charges"))
	require.False(t, policy.Allowlist{}.Allows("", ""))
}

func TestIsSegment_TakesOnlyWhatNobodyDecodes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"v1", "pi_3MtwBw", "x-y.z", "...", strings.Repeat("a", 255)} {
		require.True(t, policy.IsSegment(s), s)
	}
	for _, s := range []string{"", ".", "..", "a b", "a%20b", "a/b", `a\b`, "a;b", "a?b", "a#b", "a:b", "a~b", "é", "\x00", "\x7f", strings.Repeat("a", 256)} {
		require.False(t, policy.IsSegment(s), s)
	}
}
