package resend_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// sent is a call as it went out, with its hold.
func sent(t *testing.T, path, body string) vendors.Sent {
	t.Helper()
	q, err := meter(t, path, body)
	require.NoError(t, err)
	return vendors.Sent{
		CallID: "call_1", Operation: q.Operation, Hold: q.Price, FirstSentAt: time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC),
		Wire: newProfile(t).Wire(q, vendors.Stamp{CallID: "call_1", Run: "temporal/default/r", Item: "7"}),
	}
}

func TestJudge_SaysWhatAnAnswerProves(t *testing.T) {
	t.Parallel()
	one := sent(t, "/emails", with(t, `{"cc":"b@example.org"}`))
	two := sent(t, "/emails/batch", "["+with(t, `{}`)+","+with(t, `{}`)+"]")
	const id = "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"
	settled := vendors.Verdict{Outcome: ledger.OutcomeSettled, Amount: 2 * price, Reason: "accepted", Object: id}
	unknown := func(reason string) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: reason}
	}
	refused := func(reason string) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: reason}
	}
	ours := vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: "vendor_credentials", Credentials: true}
	stored := func(reason string) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: reason, StoredFailure: true}
	}
	named := func(name string) string { return fmt.Sprintf(`{"statusCode":1,"name":%q,"message":"m"}`, name) }
	for name, test := range map[string]struct {
		sent   vendors.Sent
		status int
		body   string
		want   vendors.Verdict
	}{
		"accepted":                        {one, 200, `{"id":"` + id + `"}`, settled},
		"accepted, and told 201":          {one, 201, `{"id":"` + id + `"}`, settled},
		"a batch accepted":                {two, 200, `{"data":[{"id":"` + id + `"},{"id":"b"}]}`, settled},
		"a batch with an ID too few":      {two, 200, `{"data":[{"id":"` + id + `"}]}`, unknown("answer_not_understood")},
		"a batch with an ID too many":     {two, 200, `{"data":[{"id":"` + id + `"},{"id":"b"},{"id":"c"}]}`, unknown("answer_not_understood")},
		"a batch accepted in part":        {two, 200, `{"data":[{"id":"` + id + `"},{"id":"b"}],"errors":[{"index":1}]}`, unknown("answer_not_understood")},
		"a batch answered as one":         {two, 200, `{"id":"` + id + `"}`, unknown("answer_not_understood")},
		"one answered as a batch":         {one, 200, `{"data":[{"id":"` + id + `"}]}`, unknown("answer_not_understood")},
		"accepted without an ID":          {one, 200, `{}`, unknown("answer_not_understood")},
		"an ID that is none":              {one, 200, `{"id":"../x"}`, unknown("answer_not_understood")},
		"accepted, and broken":            {one, 200, `{"id":"`, unknown("answer_not_understood")},
		"a validation error":              {one, 422, named("validation_error"), refused("validation_error")},
		"a validation error as 400":       {one, 400, named("validation_error"), refused("validation_error")},
		"a domain that is not verified":   {one, 403, named("validation_error"), refused("validation_error")},
		"a field is missing":              {one, 422, named("missing_required_field"), refused("missing_required_field")},
		"a bad sender":                    {one, 422, named("invalid_from_address"), refused("invalid_from_address")},
		"too fast":                        {one, 429, named("rate_limit_exceeded"), refused("rate_limit_exceeded")},
		"the day's quota is used up":      {one, 429, named("daily_quota_exceeded"), refused("daily_quota_exceeded")},
		"the month's quota is used up":    {one, 429, named("monthly_quota_exceeded"), refused("monthly_quota_exceeded")},
		"a security error":                {one, 451, named("security_error"), refused("security_error")},
		"our key is refused":              {one, 403, named("invalid_api_key"), ours},
		"our key may not send":            {one, 401, named("restricted_api_key"), ours},
		"no key":                          {one, 401, named("missing_api_key"), ours},
		"a 403 that is not Resend's":      {one, 403, `<html>`, unknown("answer_not_understood")},
		"a 403 of another name":           {one, 403, named("something"), unknown("something")},
		"a 429 that is not Resend's":      {one, 429, `slow down`, unknown("answer_not_understood")},
		"a refusal's name under a 500":    {one, 500, named("validation_error"), stored("validation_error")},
		"the key with another payload":    {one, 409, named("invalid_idempotent_request"), unknown("invalid_idempotent_request")},
		"the key in use":                  {one, 409, named("concurrent_idempotent_requests"), unknown("concurrent_idempotent_requests")},
		"an error of the vendor":          {one, 500, named("internal_server_error"), stored("internal_server_error")},
		"a gateway's error":               {one, 502, `<html>`, stored("answer_not_understood")},
		"a redirect":                      {one, 302, ``, unknown("answer_not_understood")},
		"a name that does not look so":    {one, 422, `{"name":"a b"}`, unknown("answer_not_understood")},
		"a refusal without a name":        {one, 422, `{"message":"validation_error"}`, unknown("answer_not_understood")},
		"an error inside an error object": {one, 422, `{"error":{"name":"validation_error"}}`, unknown("answer_not_understood")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newProfile(t).Judge(test.sent, vendors.Answer{Status: test.status, Header: func(string) string { return "" }, Body: []byte(test.body)})
			require.Equal(t, test.want, got)
		})
	}
}

func TestWire_StampsEachEMailAndIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	one := sent(t, "/emails", with(t, `{"tags":[{"name":"plan","value":"pro"}]}`))
	require.Equal(t, vendors.Wire{
		Method: "POST", Target: "/emails", ContentType: "application/json",
		Body: []byte(`{"from":"billing@example.com","to":["ann@example.org"],"subject":"Receipt","text":"Paid.","tags":[{"name":"plan","value":"pro"},{"name":"tollgate_call","value":"call_1"}]}`),
	}, one.Wire)
	require.Equal(t, one.Wire, sent(t, "/emails", with(t, `{"tags":[{"name":"plan","value":"pro"}]}`)).Wire)

	batch := sent(t, "/emails/batch", "["+with(t, `{}`)+","+with(t, `{"to":"b@example.org"}`)+"]")
	require.Equal(t, map[string]string{"X-Batch-Validation": "strict"}, batch.Wire.Header, "what the price was worked out for")
	var items []struct {
		Tags []map[string]string `json:"tags"`
	}
	require.NoError(t, json.Unmarshal(batch.Wire.Body, &items))
	require.Len(t, items, 2)
	for _, item := range items {
		require.Equal(t, []map[string]string{{"name": "tollgate_call", "value": "call_1"}}, item.Tags)
	}
}

func TestWire_OfAReadSendsNothingButItsPath(t *testing.T) {
	t.Parallel()
	const path = "/emails/49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"
	q := vendors.Quote{Request: vendors.Request{Method: "GET", Path: path}}
	require.Equal(t, vendors.Wire{Method: "GET", Target: path}, newProfile(t).Wire(q, vendors.Stamp{}))
}

func TestLookup_ProvesNothing(t *testing.T) {
	t.Parallel()
	s := sent(t, "/emails", with(t, `{}`))
	found, err := newProfile(t).Lookup(t.Context(), s, nil)
	require.NoError(t, err)
	require.Equal(t, vendors.Finding{}, found, "neither found nor absent: the list has no tags")
	followed, err := newProfile(t).Follow(t.Context(), s, "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794", nil)
	require.NoError(t, err)
	require.Equal(t, vendors.Finding{}, followed)
	require.Contains(t, newProfile(t).Check(s, ""), "tollgate_call=call_1")
	require.Contains(t, newProfile(t).Check(s, "abc"), "e-mail abc")
}

// FuzzParse holds what is sent to be what was priced, read by a lenient reader.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"from":"a@example.com","to":"b@example.org","subject":"s","text":"t"}`,
		`[{"from":"A <a@example.com>","to":["b@example.org","c@example.org"],"cc":"d@example.org","subject":"s","html":"h"}]`,
		`{"from":"a@example.com","to":"b@example.org","to":"c@example.org","subject":"s","text":"t"}`,
		`{"from":"a@example.com","to":"b@example.org, c@example.org","subject":"s","text":"t","tags":[{"name":"a","value":"b"}]}`,
		`{"from":"a@example.com","to":"b@example.org","subject":"s","text":"t","attachments":[{"filename":"f","content":[1,2]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/emails", "/emails/batch"} {
			r, err := newProfile(t).Parse(raw(path, string(body)))
			if err != nil {
				var refusal *vendors.Refusal
				require.ErrorAs(t, err, &refusal)
				continue
			}
			q, err := newProfile(t).Meter(t.Context(), r, nil)
			if err != nil {
				continue
			}
			wire := newProfile(t).Wire(q, vendors.Stamp{CallID: "call_1"})
			require.Equal(t, q.Price, money.USD(countRecipients(t, wire.Body))*price)
			again, err := newProfile(t).Parse(raw(path, string(r.JSON)))
			require.NoError(t, err)
			require.Equal(t, string(r.JSON), string(again.JSON))
		}
	})
}

// countRecipients counts at signs in recipients: one for each address, however a
// reader splits them.
func countRecipients(t *testing.T, body []byte) (n int) {
	t.Helper()
	type lenient struct{ To, Cc, Bcc []string }
	var many []lenient
	if body[0] == '[' {
		require.NoError(t, json.Unmarshal(body, &many))
	} else {
		many = make([]lenient, 1)
		require.NoError(t, json.Unmarshal(body, &many[0]))
	}
	for _, e := range many {
		for _, list := range [][]string{e.To, e.Cc, e.Bcc} {
			for _, text := range list {
				for _, c := range text {
					if c == '@' {
						n++
					}
				}
			}
		}
	}
	return n
}
