package twilio_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/twilio"
)

// FuzzMessage: what is sent means to a lenient reader what was metered, and
// costs the same when it is metered again.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		values("To", "+14155550123", "From", "+14155550100", "Body", "Paid."),
		values("To", "+14155550123", "MessagingServiceSid", service, "Body", "好😀€[", "SmartEncoded", "true"),
		values("To", "+447400123456", "From", "Tollgate", "Body", "x"),
		values("To", "+14155550123", "From", "+14155550100", "MediaUrl", "https://a", "MediaUrl", "https://b"),
		"To=%2B14155550123&to=%2B1&Body=x", "Body=a&Body=b", "a;b", "Body=%00", "=&=", "Body=%ff",
	} {
		f.Add(seed)
	}
	rates, err := twilio.ParseRates([]byte(card))
	require.NoError(f, err)
	p, err := twilio.New(twilio.Config{AccountSID: account, AuthToken: token, Rates: rates})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body string) {
		q, err := meter(t, p, messages, body)
		if err != nil {
			var refusal *vendors.Refusal
			require.ErrorAs(t, err, &refusal)
			return
		}
		require.Positive(t, q.Price)
		sent := string(p.Wire(q, vendors.Stamp{}).Body)
		again, err := meter(t, p, messages, sent)
		require.NoError(t, err, sent)
		require.Equal(t, q.Price, again.Price)
		lenient, err := url.ParseQuery(sent)
		require.NoError(t, err)
		count := 0
		for name, all := range lenient {
			count += len(all)
			require.Equal(t, all, q.Request.Body.All(name))
		}
		require.Len(t, q.Request.Body, count)
	})
}
