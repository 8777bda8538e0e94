package stripe_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money/fx"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

const secret = "sk_test_123"

func newProfile(t *testing.T) *stripe.Profile {
	t.Helper()
	p, err := stripe.New(stripe.Config{Secret: secret})
	require.NoError(t, err)
	return p
}

// account is what metering and looking up see: who holds what, and what Stripe
// answers to a GET, by path and query.
type account struct {
	bookings map[string]vendors.Booking
	answers  map[string]string // bodies of 200s
	status   map[string]int    // of answers that are no 200
	date     string            // what the answers say the time is
	err      error
	asked    []string
	scope    ledger.Scope
	now      time.Time
	rates    *fx.Table
	header   []string // of the request, in pairs of name and value
}

func (a *account) Scope() ledger.Scope { return a.scope }

func (a *account) Now(context.Context) (time.Time, error) { return a.now, a.err }

func (a *account) Booking(_ context.Context, object string) (vendors.Booking, bool, error) {
	b, ok := a.bookings[object]
	return b, ok, nil
}

func (a *account) Get(_ context.Context, path string, query vendors.Params) (vendors.Answer, error) {
	target := path
	if len(query) > 0 {
		readable, err := url.QueryUnescape(query.Encode())
		if err != nil {
			return vendors.Answer{}, err
		}
		target += "?" + readable
	}
	a.asked = append(a.asked, target)
	if a.err != nil {
		return vendors.Answer{}, a.err
	}
	if status, ok := a.status[target]; ok {
		return answer(status, `{"error":{"type":"api_error"}}`), nil
	}
	body, ok := a.answers[target]
	if !ok {
		return answer(http.StatusNotFound, `{"error":{"type":"invalid_request_error","code":"resource_missing"}}`), nil
	}
	return answer(http.StatusOK, body, "Date", a.date), nil
}

func answer(status int, body string, header ...string) vendors.Answer {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return vendors.Answer{Status: status, Header: h.Get, Body: []byte(body)}
}

// form is a write with a form body.
func form(path, body string) vendors.Raw {
	return vendors.Raw{
		Method: "POST", Path: path, ContentType: "application/x-www-form-urlencoded", Header: http.Header{}.Get, Body: []byte(body),
	}
}

// meter parses and meters a form.
func meter(t *testing.T, a *account, path, body string) (vendors.Quote, error) {
	t.Helper()
	p, err := stripe.New(stripe.Config{Secret: secret, Rates: a.rates})
	require.NoError(t, err)
	raw, header := form(path, body), http.Header{}
	for i := 0; i+1 < len(a.header); i += 2 {
		header.Set(a.header[i], a.header[i+1])
	}
	raw.Header = header.Get
	r, err := p.Parse(raw)
	require.NoError(t, err)
	return p.Meter(t.Context(), r, a)
}

var firstSent = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// sent is a call as it went out, metered and stamped.
func sent(operation, target, body string) vendors.Sent {
	return vendors.Sent{
		CallID: "call_1", Operation: operation, Target: target, FirstSentAt: firstSent,
		Wire: vendors.Wire{Method: "POST", Body: []byte(body)},
	}
}

func requireRefusal(t *testing.T, err error, code, param string) {
	t.Helper()
	var refusal *vendors.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, code, refusal.Code, refusal.Message)
	require.Equal(t, param, refusal.Param, refusal.Message)
	require.NotContains(t, refusal.Message, "%!", "a broken format")
}

// meterRead parses and meters a GET.
func meterRead(t *testing.T, a *account, target string) (vendors.Quote, error) {
	t.Helper()
	path, query, _ := strings.Cut(target, "?")
	header := http.Header{}
	for i := 0; i+1 < len(a.header); i += 2 {
		header.Set(a.header[i], a.header[i+1])
	}
	p := newProfile(t)
	r, err := p.Parse(vendors.Raw{Method: http.MethodGet, Path: path, Query: query, Header: header.Get})
	require.NoError(t, err)
	return p.Meter(t.Context(), r, a)
}
