package twilio_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/twilio"
)

const (
	account  = "AC0123456789abcdef0123456789abcdef"
	token    = "do_not_repeat_me"
	messages = "/2010-04-01/Accounts/" + account + "/Messages.json"
	calls    = "/2010-04-01/Accounts/" + account + "/Calls.json"
	verify   = "/v2/Services/VA0123456789abcdef0123456789abcdef/Verifications"
	service  = "MG0123456789abcdef0123456789abcdef"
	form     = "application/x-www-form-urlencoded"

	micro = money.Micro
)

const card = `
as_of: 2026-11-01
currency: usd
failed_message: "0.001"
countries:
  US: {sms: "0.0083", mms: "0.022", call: "0.014", verify: "0.0583"}
  GB: {sms: "0.0463", call: "0.0305"}
  DE: {call: "0.0158"}
`

func config(t *testing.T) twilio.Config {
	t.Helper()
	rates, err := twilio.ParseRates([]byte(card))
	require.NoError(t, err)
	return twilio.Config{AccountSID: account, AuthToken: token, Rates: rates}
}

func newProfile(t *testing.T, change ...func(*twilio.Config)) *twilio.Profile {
	t.Helper()
	cfg := config(t)
	for _, f := range change {
		f(&cfg)
	}
	p, err := twilio.New(cfg)
	require.NoError(t, err)
	return p
}

// parse reads a POST with a form.
func parse(p *twilio.Profile, path, body string) (vendors.Request, error) {
	return p.Parse(vendors.Raw{Method: http.MethodPost, Path: path, ContentType: form, Header: http.Header{}.Get, Body: []byte(body)})
}

// meter parses and meters a POST with a form.
func meter(t *testing.T, p *twilio.Profile, path, body string) (vendors.Quote, error) {
	t.Helper()
	r, err := parse(p, path, body)
	if err != nil {
		return vendors.Quote{}, err
	}
	return p.Meter(t.Context(), r, nil)
}

// values writes a form from pairs of name and value.
func values(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func requireRefusal(t *testing.T, err error, code, param string) {
	t.Helper()
	var refusal *vendors.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, code, refusal.Code, refusal.Message)
	require.Equal(t, param, refusal.Param, refusal.Message)
	require.NotContains(t, refusal.Message, "%!", "a broken format")
}

// lists is what a look-up sees: what Twilio answers, by path and query, and which
// objects other calls own.
type lists struct {
	answers map[string]string
	status  int
	date    time.Time
	taken   map[string]bool
	twin    bool // another call with the same request is on its way
	asked   []string
}

func (l *lists) Get(_ context.Context, path string, query vendors.Params) (vendors.Answer, error) {
	target := path
	if len(query) > 0 {
		readable, err := url.QueryUnescape(query.Encode())
		if err != nil {
			return vendors.Answer{}, err
		}
		target += "?" + readable
	}
	l.asked = append(l.asked, target)
	body, ok := l.answers[target]
	if !ok {
		return answer(http.StatusNotFound, `{"code":20404,"status":404}`, l.date), nil
	}
	return answer(max(l.status, http.StatusOK), body, l.date), nil
}

func (l *lists) Taken(_ context.Context, object string) (bool, error) { return l.taken[object], nil }

func (l *lists) InFlight(context.Context) (bool, error) { return l.twin, nil }

func answer(status int, body string, date time.Time) vendors.Answer {
	h := http.Header{}
	if !date.IsZero() {
		h.Set("Date", date.UTC().Format(http.TimeFormat))
	}
	return vendors.Answer{Status: status, Header: h.Get, Body: []byte(body)}
}

var firstSent = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func sent(operation, body string) vendors.Sent {
	return vendors.Sent{
		CallID: "call_1", Operation: operation, Hold: 8_300 * micro, FirstSentAt: firstSent,
		Wire: vendors.Wire{Method: http.MethodPost, Body: []byte(body)},
	}
}
