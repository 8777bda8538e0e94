package vendors_test

import (
	"net/url"
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
	})
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
	for _, p := range params {
		require.Contains(t, lenient[p.Name], p.Value)
	}
}
