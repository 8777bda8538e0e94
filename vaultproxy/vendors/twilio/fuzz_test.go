package twilio_test

import (
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/twilio"
)

// fuzzed meters what a fuzz target is given, and returns it with what is sent, read
// by another reader than ours. What is refused is none of its business.
func fuzzed(t *testing.T, p *twilio.Profile, path, body string) (vendors.Quote, url.Values, bool) {
	t.Helper()
	q, err := meter(t, p, path, body)
	if err != nil {
		var refusal *vendors.Refusal
		require.ErrorAs(t, err, &refusal)
		return q, nil, false
	}
	require.Positive(t, q.Price)
	wire := p.Wire(q, vendors.Stamp{})
	require.Equal(t, path, wire.Target)
	sent := string(wire.Body)
	again, err := meter(t, p, path, sent)
	require.NoError(t, err, sent)
	require.Equal(t, q.Price, again.Price)
	require.Equal(t, sent, string(p.Wire(again, vendors.Stamp{}).Body))
	lenient, err := url.ParseQuery(sent)
	require.NoError(t, err)
	count := 0
	for name, all := range lenient {
		count += len(all)
		require.Equal(t, all, q.Request.Body.All(name))
	}
	require.Len(t, q.Request.Body, count)
	require.Len(t, lenient["To"], 1)
	return q, lenient, true
}

func fuzzProfile(f *testing.F) *twilio.Profile {
	f.Helper()
	rates, err := twilio.ParseRates([]byte(card))
	require.NoError(f, err)
	p, err := twilio.New(twilio.Config{
		AccountSID: account, AuthToken: token, Rates: rates,
		StatusCallbacks: []string{"https://example.com/status"}, CallURLs: []string{"https://example.com/call"},
	})
	require.NoError(f, err)
	return p
}

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
	p := fuzzProfile(f)
	f.Fuzz(func(t *testing.T, body string) { fuzzed(t, p, messages, body) })
}

// FuzzCall: a call costs the minutes of the limit that is sent, at the price of the
// number that is sent, and is told to do nothing that costs more.
func FuzzCall(f *testing.F) {
	for _, seed := range []string{
		values("To", "+14155550123", "From", "+14155550100", "Twiml", "<Response/>"),
		values("To", "+447400123456", "From", "+14155550100", "TimeLimit", "61", "Twiml", `<?xml version="1.0"?><Response><Say voice="man">Paid</Say></Response>`),
		values("To", "+4930123456", "From", "+14155550100", "TimeLimit", "14400", "Twiml", "<Response><Pause length=\"2\"/><Hangup/></Response>"),
		values("To", "+14155550123", "From", "+14155550100", "Url", "https://example.com/call", "StatusCallback", "https://example.com/status",
			"StatusCallbackEvent", "answered", "StatusCallbackEvent", "completed", "StatusCallbackMethod", "GET"),
		values("To", "+14155550123", "From", "+14155550100", "Url", "https://example.com/call/", "Timeout", "5", "SendDigits", "1"),
		values("To", "+14155550123", "From", "+14155550100", "Twiml", "<Response><!-- <Dial>1</Dial> --><![CDATA[<Dial>]]></Response>"),
		values("To", "+14155550123", "From", "+14155550100", "Twiml", `<Response><Say voice="woman" voice="Polly.Amy">&lt;Dial&gt;</Say></Response>`),
		values("To", "+14155550123", "From", "+14155550100", "Twiml", "<Response><Dial>+14155550123</Dial></Response>"),
		"To=%2B14155550123&From=%2B14155550100&TimeLimit=060&Twiml=%3CResponse%2F%3E", "To=%2B14155550123&TimeLimit=60&TimeLimit=1",
		"TimeLimit=1e3", "timeLimit=1", "Twiml=%3CResponse%3E", "Record=true", "a;b",
	} {
		f.Add(seed)
	}
	p := fuzzProfile(f)
	minute := map[string]money.USD{"+1": 14_000 * micro, "+44": 30_500 * micro, "+49": 15_800 * micro}
	f.Fuzz(func(t *testing.T, body string) {
		q, sent, ok := fuzzed(t, p, calls, body)
		if !ok {
			return
		}
		require.Len(t, sent["TimeLimit"], 1)
		limit, err := strconv.ParseUint(sent.Get("TimeLimit"), 10, 16)
		require.NoError(t, err)
		price, minutes := money.USD(0), (limit+59)/60
		for prefix, rate := range minute {
			if strings.HasPrefix(sent.Get("To"), prefix) {
				price = rate * money.USD(minutes)
			}
		}
		require.Equal(t, price, q.Price)
		if target, ok := sent["StatusCallback"]; ok {
			require.Equal(t, []string{"https://example.com/status"}, target)
		} else {
			require.NotContains(t, strings.Join(slices.Collect(maps.Keys(sent)), " "), "StatusCallback")
		}
		if target, ok := sent["Url"]; ok {
			require.Equal(t, []string{"https://example.com/call"}, target)
			require.NotContains(t, sent, "Twiml")
			return
		}
		require.Len(t, sent["Twiml"], 1)
		requireCheapVerbs(t, sent.Get("Twiml"))
	})
}

var (
	notMarkup = regexp.MustCompile(`(?s)<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>`)
	markup    = regexp.MustCompile(`(?s)<\s*(/?)\s*([^\s/>]*)((?:"[^"]*"|'[^']*'|[^>"'])*)`)
	attribute = regexp.MustCompile(`(?s)([^\s=/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
)

// requireCheapVerbs takes everything behind a "<" for an instruction, well-formed or not.
func requireCheapVerbs(t *testing.T, twiml string) {
	t.Helper()
	for _, tag := range markup.FindAllStringSubmatch(notMarkup.ReplaceAllString(twiml, ""), -1) {
		require.Contains(t, []string{"Response", "Say", "Play", "Pause", "Hangup"}, tag[2], twiml)
		var voices []string
		for _, a := range attribute.FindAllStringSubmatch(tag[3], -1) {
			if strings.EqualFold(a[1], "voice") {
				voices = append(voices, html.UnescapeString(a[2]+a[3]))
			}
		}
		if tag[2] == "Say" && tag[1] == "" {
			require.Len(t, voices, 1)
			require.Contains(t, []string{"man", "woman"}, voices[0])
		}
	}
}

// FuzzVerify: a verification costs what one costs to the number that is sent, by
// text, and brings no text of its own along.
func FuzzVerify(f *testing.F) {
	for _, seed := range []string{
		values("To", "+14155550123", "Channel", "sms"),
		values("To", "+14155550123", "Channel", "sms", "Locale", "de", "CustomCode", "123456", "AppHash", "FA+9qCX9VSu"),
		values("To", "+14155550123", "Channel", "call"), values("To", "+447400123456", "Channel", "sms"),
		values("To", "+14155550123", "Channel", "sms", "CustomCode", "12345678901"),
		values("To", "+14155550123", "Channel", "sms", "CustomMessage", "x"),
		"To=%2B14155550123&Channel=sms&Channel=call", "To=%2B14155550123&channel=call&Channel=sms", "To=%2B14155550123&Channel=SMS",
		"To=%2B14155550123&Channel=sms&To=%2B447400123456", "Channel=sms;To=%2B14155550123", "Channel=sms%00", "=&=",
	} {
		f.Add(seed)
	}
	p := fuzzProfile(f)
	f.Fuzz(func(t *testing.T, body string) {
		q, sent, ok := fuzzed(t, p, verify, body)
		if !ok {
			return
		}
		require.Equal(t, 58_300*micro, q.Price)
		require.True(t, strings.HasPrefix(sent.Get("To"), "+1"), "no other country of the card has a price")
		require.Equal(t, []string{"sms"}, sent["Channel"])
		for name, all := range sent {
			require.Contains(t, []string{"To", "Channel", "Locale", "CustomCode", "AppHash"}, name)
			require.Len(t, all, 1)
		}
		require.LessOrEqual(t, len(sent.Get("CustomCode")), 10)
		require.LessOrEqual(t, len(sent.Get("AppHash")), 11)
	})
}
