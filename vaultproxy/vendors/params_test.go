package vendors_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// requireRefusal holds an error to be a refusal of that code, and to be fit for an answer.
func requireRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var refusal *vendors.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, code, refusal.Code, refusal.Message)
	require.NotEmpty(t, refusal.Message)
	require.NotContains(t, refusal.Message, "%!", "a broken format")
	require.Less(t, len(refusal.Message), 400)
}

func TestParseForm_ReadsWhatHasOneReading(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want vendors.Params
	}{
		"nothing":                         {"", nil},
		"one parameter":                   {"amount=100", vendors.Params{{Name: "amount", Value: "100"}}},
		"an empty value":                  {"description=", vendors.Params{{Name: "description", Value: ""}}},
		"parameters in any order":         {"b=2&a=1", vendors.Params{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}},
		"escaped brackets":                {"metadata%5Border%5D=7", vendors.Params{{Name: "metadata[order]", Value: "7"}}},
		"a plus for a space":              {"description=a+b", vendors.Params{{Name: "description", Value: "a b"}}},
		"an escaped plus":                 {"description=a%2Bb", vendors.Params{{Name: "description", Value: "a+b"}}},
		"an escaped semicolon":            {"description=a%3Bb", vendors.Params{{Name: "description", Value: "a;b"}}},
		"an equals sign in a value":       {"description=a=b", vendors.Params{{Name: "description", Value: "a=b"}}},
		"an escaped ampersand":            {"description=a%26amount%3D1", vendors.Params{{Name: "description", Value: "a&amount=1"}}},
		"text beyond ASCII":               {"description=%E2%82%AC", vendors.Params{{Name: "description", Value: "€"}}},
		"a list whose order means things": {"expand[]=z&expand[]=a", vendors.Params{{Name: "expand[]", Value: "z"}, {Name: "expand[]", Value: "a"}}},
		"a numbered list":                 {"t[0]=card&t[1]=link", vendors.Params{{Name: "t[0]", Value: "card"}, {Name: "t[1]", Value: "link"}}},
		"members of numbered elements":    {"i[0][price]=p&i[1][price]=q", vendors.Params{{Name: "i[0][price]", Value: "p"}, {Name: "i[1][price]", Value: "q"}}},
		"a list below a member":           {"o[card][]=a&o[card][]=b", vendors.Params{{Name: "o[card][]", Value: "a"}, {Name: "o[card][]", Value: "b"}}},
		"a member name with spaces":       {"metadata[order+no.]=7", vendors.Params{{Name: "metadata[order no.]", Value: "7"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := vendors.ParseForm(test.text)
			require.NoError(t, err)
			require.Equal(t, test.want, got)

			again, err := vendors.ParseForm(got.Encode())
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

func TestParseForm_RefusesWhatTwoReadersReadDifferently(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a parameter twice":                        "amount=1&amount=100",
		"a parameter twice with the same value":    "amount=1&amount=1",
		"a parameter twice, once escaped":          "amount=1&%61mount=100",
		"a member twice":                           "metadata[a]=1&metadata[a]=2",
		"a numbered element twice":                 "t[0]=a&t[0]=b",
		"a name in capitals":                       "Amount=100",
		"a case variant of a name":                 "amount=1&AMOUNT=100",
		"a case variant of a member":               "metadata[a]=1&metadata[A]=2",
		"a value and a list":                       "amount=1&amount[]=100",
		"a value and a numbered list":              "amount=1&amount[0]=100",
		"a value and a member":                     "shipping=x&shipping[name]=y",
		"a value and a member, further down":       "o[card]=x&o[card][y]=z",
		"a value and a list, further down":         "o[card]=x&o[card][]=z",
		"two kinds of list":                        "t[]=a&t[0]=b",
		"a list and members":                       "metadata[]=a&metadata[b]=c",
		"a list and members, further down":         "o[card][]=a&o[card][b]=c",
		"a list and members, with another case":    "o[card][]=a&o[CARD][b]=c",
		"a raw semicolon":                          "amount=1;amount=100",
		"a raw semicolon in a value":               "description=a;b",
		"a parameter without a value":              "amount",
		"an empty parameter":                       "amount=1&&currency=usd",
		"an ampersand at the end":                  "amount=1&",
		"an ampersand at the start":                "&amount=1",
		"no name":                                  "=100",
		"a percent sign by itself":                 "amount=100%",
		"half an escape":                           "amount=%4",
		"an escape that is no number":              "amount=%zz",
		"an escape in a name that is no number":    "am%zzount=1",
		"a byte that is not UTF-8":                 "description=%ff",
		"a raw byte that is not UTF-8":             "description=\xff",
		"an overlong encoding":                     "description=%c0%af",
		"half a surrogate pair":                    "description=%ed%a0%80",
		"a NUL in a value":                         "amount=100%00",
		"a NUL in a name":                          "amount%00=100",
		"a space in a name":                        "amount+=100",
		"a space before a name":                    "+amount=100",
		"a tab in a name":                          "amount%09=100",
		"a newline in a name":                      "amount%0a=100",
		"a dot in a name":                          "a.mount=100",
		"a dash in a name":                         "a-mount=100",
		"a look-alike letter in a name":            "am%D0%BEunt=100",
		"a full-width letter in a name":            "%EF%BD%81mount=100",
		"a long s in a name":                       "de%C5%BFcription=1",
		"an invisible character in a name":         "amount%E2%80%8B=100",
		"a name that starts with a bracket":        "[amount]=100",
		"an open bracket":                          "metadata[a=1",
		"a closed bracket":                         "metadata]=1",
		"a bracket after a bracket":                "metadata[[a]]=1",
		"a bracket closed twice":                   "metadata[a]]=1",
		"text after a bracket":                     "metadata[a]b=1",
		"members under an unnumbered list":         "items[][price]=1",
		"a list in a list":                         "items[][]=1",
		"a member name beyond ASCII":               "metadata[%C3%A9]=1",
		"a control character in a member name":     "metadata[a%07]=1",
		"more levels than anything at Stripe has":  "m" + strings.Repeat("[a]", 9) + "=1",
		"a name longer than anything at Stripe is": strings.Repeat("a", 256) + "=1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := vendors.ParseForm(text)
			requireRefusal(t, err, vendors.Ambiguous)
		})
	}
}

func TestParseForm_BoundsTheNumberOfParameters(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("expand[]=x&", 999)
	_, err := vendors.ParseForm(many + "expand[]=x")
	require.NoError(t, err)
	_, err = vendors.ParseForm(many + "expand[]=x&expand[]=x")
	requireRefusal(t, err, vendors.Invalid)
}

func TestParams_EncodeEscapesWhateverHasAMeaning(t *testing.T) {
	t.Parallel()
	p := vendors.Params{{Name: "metadata[a&b]", Value: "x=1&amount=5;\n€ +%"}}
	require.Equal(t, "metadata%5Ba%26b%5D=x%3D1%26amount%3D5%3B%0A%E2%82%AC+%2B%25", p.Encode())
	require.Empty(t, vendors.Params(nil).Encode())
}

func TestParams_WithReplacesAndLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	original := vendors.Params{{Name: "amount", Value: "1"}, {Name: "currency", Value: "usd"}}
	changed := original.With("amount", "2").With("capture", "false")
	require.Equal(t, "amount=2&capture=false&currency=usd", changed.Encode())
	require.Equal(t, "amount=1&currency=usd", original.Encode())

	value, ok := changed.Get("amount")
	require.True(t, ok)
	require.Equal(t, "2", value)
	_, ok = changed.Get("Amount")
	require.False(t, ok)
}

func TestRoot_IsTheOutermostName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "metadata", vendors.Root("metadata[order][id]"))
	require.Equal(t, "amount", vendors.Root("amount"))
}
