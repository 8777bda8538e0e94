package vendors_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{
		"", "amount=100&currency=usd", "a[]=1&a[]=2", "a[0]=1&a[1][b]=2", "a=%41%2B+", "a;b=1", "a=1&a[b]=2", "a[b]=1&a[b][c]=2",
		"=&=", "a=\xff", "a[[b]]=1", "metadata[ x ]=1", "a%00=1", "a=1&A=2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		params, err := vendors.ParseForm(text)
		if err != nil {
			requireRefusalOfForm(t, err)
			return
		}
		requireOneReading(t, params)
	})
}

func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"amount":100,"currency":"usd"}`, `{"a":[1,{"b":true}]}`, `{"a":{"b":{"c":"d"}}}`, `{"a":1,"A":2}`, `{"a":1e5}`,
		`{"a":"\ud800"}`, `{"a[b]":1}`, `{"a":null}`, `{"a":{}}`, `{"a":1}{}`, `{"a":"\u0000"}`, `[`, "{\"\xff\":1}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		params, err := vendors.ParseJSON(body)
		if err != nil {
			requireRefusalOfForm(t, err)
			return
		}
		requireOneReading(t, params)

		// And read by another reader than ours, which keeps the last of what is there twice.
		var object map[string]any
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		require.NoError(t, dec.Decode(&object))
		want := map[string]string{}
		flatten(want, "", object)
		got := map[string]string{}
		for _, p := range params {
			got[p.Name] = p.Value
		}
		require.Equal(t, want, got)
		require.Len(t, params, len(want))
	})
}

// flatten names every value of a JSON object in bracket notation.
func flatten(into map[string]string, name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for member, inner := range v {
			if name != "" {
				member = name + "[" + member + "]"
			}
			flatten(into, member, inner)
		}
	case []any:
		for i, inner := range v {
			flatten(into, fmt.Sprintf("%s[%d]", name, i), inner)
		}
	default:
		into[name] = fmt.Sprint(v)
	}
}

func requireRefusalOfForm(t *testing.T, err error) {
	t.Helper()
	var refusal *vendors.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Contains(t, []string{vendors.Ambiguous, vendors.Invalid}, refusal.Code)
}

// requireOneReading holds parameters to come back the same from what is sent,
// by our own reader and by a lenient one.
func requireOneReading(t *testing.T, params vendors.Params) {
	t.Helper()
	encoded := params.Encode()
	again, err := vendors.ParseForm(encoded)
	require.NoError(t, err, encoded)
	require.Equal(t, encoded, again.Encode())
	require.Len(t, again, len(params))
	for i := range params {
		require.Equal(t, params[i], again[i])
	}

	lenient, err := url.ParseQuery(encoded)
	require.NoError(t, err)
	count := 0
	for _, values := range lenient {
		count += len(values)
	}
	require.Len(t, params, count)
	folded := map[string]string{}
	for _, p := range params {
		require.Contains(t, lenient[p.Name], p.Value)
		name := strings.ToLower(p.Name)
		if before, ok := folded[name]; ok {
			require.Equal(t, before, p.Name, "one name in two cases")
			require.True(t, strings.HasSuffix(name, "[]"), "a name twice, and no list")
		}
		folded[name] = p.Name
		for at := strings.LastIndexByte(name, '['); at > 0; at = strings.LastIndexByte(name[:at], '[') {
			require.NotContains(t, lenient, name[:at], "a value and members of one name")
		}
	}
}
