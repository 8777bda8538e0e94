package resend_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/resend"
)

const price = 900 * money.Micro

func newProfile(tb testing.TB) *resend.Profile {
	tb.Helper()
	p, err := resend.New(resend.Config{Secret: "re_123", FromDomains: []string{"example.com", "Mail.Example.COM"}, Price: price})
	require.NoError(tb, err)
	return p
}

// raw is a request with a JSON body.
func raw(path, body string) vendors.Raw {
	return vendors.Raw{
		Method: http.MethodPost, Path: path, ContentType: "application/json", Body: []byte(body),
		Header: func(string) string { return "" },
	}
}

// parse reads a request that must be understood.
func parse(t *testing.T, path, body string) vendors.Request {
	t.Helper()
	r, err := newProfile(t).Parse(raw(path, body))
	require.NoError(t, err, body)
	return r
}

// meter prices a request that must be understood.
func meter(t *testing.T, path, body string) (vendors.Quote, error) {
	t.Helper()
	return newProfile(t).Meter(t.Context(), parse(t, path, body), nil)
}

func requireRefusal(t *testing.T, err error, code, param string) {
	t.Helper()
	var refusal *vendors.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, code, refusal.Code, refusal.Message)
	require.Equal(t, param, refusal.Param, refusal.Message)
	require.NotEmpty(t, refusal.Message)
	require.NotContains(t, refusal.Message, "%!", "a broken format")
	require.Less(t, len(refusal.Message), 400)
}

// with is a plain e-mail with members set or, by null, left out.
func with(t *testing.T, members string) string {
	t.Helper()
	email := map[string]json.RawMessage{
		"from": []byte(`"billing@example.com"`), "to": []byte(`"ann@example.org"`), "subject": []byte(`"Receipt"`), "text": []byte(`"Paid."`),
	}
	var change map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(members), &change), members)
	for name, value := range change {
		email[name] = value
		if string(value) == "null" {
			delete(email, name)
		}
	}
	body, err := json.Marshal(email)
	require.NoError(t, err)
	return string(body)
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // texts can always be encoded
	}
	return string(quoted)
}
