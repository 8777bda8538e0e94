package vendorsim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vendorsim"
)

const mail = `{"from":"a@example.com","to":["b@example.org"],"cc":"c@example.org","subject":"s","text":"t","tags":[{"name":"n","value":"v"}]}`

// mail sends one request as Resend's caller does.
func (b *testBundle) mail(t *testing.T, path, key, body string, headers ...string) (reply, error) {
	t.Helper()
	return b.send(t, http.MethodPost, path, body, append([]string{
		"Authorization: Bearer re_sim_one", "Content-Type: application/json", "Idempotency-Key: " + key,
	}, headers...)...)
}

func TestResend_RemembersAKeyForADay(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	first, err := b.mail(t, "/emails", "k", mail)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, first.status, first.body)
	again, err := b.mail(t, "/emails", "k", mail)
	require.NoError(t, err)
	require.Equal(t, first.body, again.body)
	other, err := b.mail(t, "/emails", "k", strings.Replace(mail, `"s"`, `"other"`, 1))
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, other.status)
	require.Equal(t, "invalid_idempotent_request", other.object(t)["name"])
	require.Equal(t, 1, b.sim.Truth().Emails)

	b.clock.advance(24 * time.Hour)
	late, err := b.mail(t, "/emails", "k", mail)
	require.NoError(t, err)
	require.NotEqual(t, first.body, late.body)
	truth := b.sim.Truth()
	require.Equal(t, 2, truth.Emails)
	require.Equal(t, 4, truth.EmailRecipients)
	require.Equal(t, map[string]int{"b@example.org": 2, "c@example.org": 2}, truth.EmailsPerRecipient)
	require.Equal(t, map[string]string{"n": "v"}, truth.Emailed[0].Tags)
}

func TestResend_FaultsTellWhetherAnythingWasSentOnTheNextTry(t *testing.T) {
	t.Parallel()
	for fault, sentAtOnce := range map[vendorsim.Fault]bool{
		vendorsim.AnswerLost: true, vendorsim.TruncatedAnswer: true, vendorsim.Error500AfterCharge: true, vendorsim.SlowAnswer: true,
		vendorsim.ClosedAfterRead: false, vendorsim.Error500BeforeCharge: false, vendorsim.Error503: false,
		vendorsim.RateLimited429: false, vendorsim.Redirect302: false, vendorsim.ConnectionReset: false,
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{SlowDelay: time.Millisecond})
			b.sim.NextResendFaults(fault)
			_, _ = b.mail(t, "/emails/batch", "k", "["+mail+","+mail+"]") // its answer may be lost
			require.Equal(t, sentAtOnce, b.sim.Truth().Emails == 2)
			got, err := b.mail(t, "/emails/batch", "k", "["+mail+","+mail+"]")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, got.status, got.body)
			data, ok := got.object(t)["data"].([]any)
			require.True(t, ok)
			require.Len(t, data, 2)
			require.Equal(t, 2, b.sim.Truth().Emails)
			require.Equal(t, map[string]int{string(fault): 1}, b.sim.Faults())
		})
	}
}

func TestResend_RefusesWhatResendRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path, body, header string
		status             int
		says               string
	}{
		"no recipient":         {"/emails", `{"from":"a@example.com","subject":"s","text":"t"}`, "", 422, "missing_required_field"},
		"an address that none": {"/emails", strings.Replace(mail, "b@example.org", "b", 1), "", 422, "validation_error"},
		"a parameter too many": {"/emails", strings.Replace(mail, `{`, `{"template":{},`, 1), "", 422, "validation_error"},
		"a tag with a space":   {"/emails", strings.Replace(mail, `"v"`, `"a b"`, 1), "", 422, "validation_error"},
		"an empty batch":       {"/emails/batch", `[]`, "", 422, "validation_error"},
		"a bad item":           {"/emails/batch", `[` + mail + `,{}]`, "", 422, "missing_required_field"},
		"a key too long":       {"/emails", mail, "Idempotency-Key: " + strings.Repeat("k", 257), 400, "invalid_idempotency_key"},
		"a live key":           {"/emails", mail, "Authorization: Bearer re_12345678_abc", 403, "invalid_api_key"},
		"Stripe's key":         {"/emails", mail, "Authorization: Bearer sk_test_one", 403, "invalid_api_key"},
		"a vault key":          {"/emails", mail, "Authorization: Bearer vault_key_one", 403, "invalid_api_key"},
		"another path":         {"/emails/x/cancel", mail, "", 405, "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			var headers []string
			if tc.header != "" {
				headers = append(headers, tc.header)
			}
			got, err := b.mail(t, tc.path, "k", tc.body, headers...)
			require.NoError(t, err)
			require.Equal(t, tc.status, got.status, got.body)
			require.Equal(t, tc.says, got.object(t)["name"])
			require.Zero(t, b.sim.Truth().Emails)
		})
	}
}

func TestResend_ReadsBackAnEMailWithoutItsTags(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	made, err := b.mail(t, "/emails", "k", mail)
	require.NoError(t, err)
	id, ok := made.object(t)["id"].(string)
	require.True(t, ok)
	got, err := b.send(t, http.MethodGet, "/emails/"+id, "", "Authorization: Bearer re_sim_one")
	require.NoError(t, err)
	require.Equal(t, "s", got.object(t)["subject"])
	require.NotContains(t, got.body, "tags")
	got, err = b.send(t, http.MethodGet, "/emails/other", "", "Authorization: Bearer re_sim_one")
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, got.status)
}
