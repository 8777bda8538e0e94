package vendors_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

func TestParseJSON_TranscodesToTheFormThatMeansTheSame(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ json, want string }{
		"an empty object":            {`{}`, ""},
		"white space around":         {" \n{ \"a\" : 1 }\t\n", "a=1"},
		"a charge as scripts send":   {`{"amount":4900,"currency":"usd","customer":"cus_1"}`, "amount=4900&currency=usd&customer=cus_1"},
		"booleans":                   {`{"confirm":true,"off_session":false}`, "confirm=true&off_session=false"},
		"members":                    {`{"metadata":{"order":"7","Shop":"x y"}}`, "metadata%5BShop%5D=x+y&metadata%5Border%5D=7"},
		"an array":                   {`{"payment_method_types":["card","link"]}`, "payment_method_types%5B0%5D=card&payment_method_types%5B1%5D=link"},
		"objects in an array":        {`{"i":[{"price":"p"},{"price":"q"}]}`, "i%5B0%5D%5Bprice%5D=p&i%5B1%5D%5Bprice%5D=q"},
		"an empty text":              {`{"description":""}`, "description="},
		"a negative number":          {`{"amount":-5}`, "amount=-5"}, // its meaning is the meter's business
		"a number of many digits":    {`{"amount":123456789012345678901234567890}`, "amount=123456789012345678901234567890"},
		"an escaped letter":          {`{"\u0061mount":1}`, "amount=1"},
		"a character beyond the BMP": {`{"description":"\ud83d\ude00"}`, "description=%F0%9F%98%80"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := vendors.ParseJSON([]byte(test.json))
			require.NoError(t, err)
			require.Equal(t, test.want, got.Encode())

			again, err := vendors.ParseForm(got.Encode())
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

func TestParseJSON_RefusesWhatTwoReadersReadDifferently(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":                              "",
		"white space":                          "  ",
		"null":                                 "null",
		"a number":                             "5",
		"a text":                               `"amount=5"`,
		"an array":                             `[{"amount":5}]`,
		"a byte order mark":                    "\xef\xbb\xbf{}",
		"a name twice":                         `{"amount":1,"amount":100}`,
		"a name twice, once escaped":           `{"amount":1,"\u0061mount":100}`,
		"a name in two cases":                  `{"amount":1,"Amount":100}`,
		"a name in capitals":                   `{"AMOUNT":100}`,
		"a member twice":                       `{"metadata":{"a":1,"a":2}}`,
		"a member in two cases":                `{"metadata":{"a":1,"A":2}}`,
		"a name with brackets":                 `{"metadata[a]":1}`,
		"a name that is an open bracket":       `{"metadata[":1}`,
		"a name with brackets beside members":  `{"metadata":{"a":1},"metadata[a]":2}`,
		"an empty name":                        `{"":1}`,
		"an empty member name":                 `{"metadata":{"":1}}`,
		"a name with a NUL":                    `{"amount\u0000":1}`,
		"a name with a space":                  `{"amount ":1}`,
		"a look-alike letter in a name":        `{"am\u043eunt":1}`,
		"a Kelvin sign in a name":              `{"\u212ay":1}`,
		"a fraction":                           `{"amount":1.5}`,
		"a fraction that is whole":             `{"amount":100.0}`,
		"an exponent":                          `{"amount":1e5}`,
		"an exponent in capitals":              `{"amount":1E5}`,
		"minus zero":                           `{"amount":-0}`,
		"a leading zero":                       `{"amount":0100}`,
		"a leading plus":                       `{"amount":+100}`,
		"a hexadecimal number":                 `{"amount":0x64}`,
		"no number":                            `{"amount":NaN}`,
		"a null":                               `{"amount":null}`,
		"a null in an array":                   `{"t":[null]}`,
		"an empty object in it":                `{"metadata":{}}`,
		"an empty array in it":                 `{"expand":[]}`,
		"an empty array in an array":           `{"t":[[]]}`,
		"something after it":                   `{"amount":1}{"amount":100}`,
		"a letter after it":                    `{"amount":1}x`,
		"a NUL after it":                       "{\"amount\":1}\x00",
		"a comma at the end":                   `{"amount":1,}`,
		"a comma at the end of an array":       `{"t":["a",]}`,
		"a missing comma":                      `{"amount":1 "currency":"usd"}`,
		"a missing colon":                      `{"amount" 1}`,
		"a missing brace":                      `{"amount":1`,
		"a wrong brace":                        `{"t":["a"}`,
		"a missing value":                      `{"amount":}`,
		"a comment":                            `{"amount":1/*00*/}`,
		"single quotes":                        `{'amount':1}`,
		"a name without quotes":                `{amount:1}`,
		"a raw newline in a text":              "{\"description\":\"a\nb\"}",
		"an unknown escape":                    `{"description":"\x41"}`,
		"half a surrogate pair":                `{"description":"\ud800"}`,
		"the other half of a surrogate pair":   `{"description":"\udc00"}`,
		"half a surrogate pair in a name":      `{"\ud800":1}`,
		"a NUL in a text":                      `{"description":"a\u0000"}`,
		"a byte that is not UTF-8":             "{\"description\":\"\xff\"}",
		"half a surrogate pair as bytes":       "{\"description\":\"\xed\xa0\x80\"}",
		"more levels than anything Stripe has": `{"a":` + strings.Repeat(`{"a":`, 20) + `1` + strings.Repeat(`}`, 21),
		"more arrays than anything Stripe has": `{"a":` + strings.Repeat(`[`, 10_000) + strings.Repeat(`]`, 10_000) + `}`,
		"more names than anything Stripe has":  `{"t":[` + strings.Repeat(`1,`, 1100) + `1]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := vendors.ParseJSON([]byte(text))
			requireRefusal(t, err, vendors.Ambiguous)
		})
	}
}
