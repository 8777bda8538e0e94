package twilio_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/twilio"
)

func TestMeter_PricesByDestinationAndKind(t *testing.T) {
	t.Parallel()
	const say = `<Response><Say voice="woman">Hello</Say><Pause length="2"/><Hangup/></Response>`
	for name, test := range map[string]struct {
		path, body, sends string
		want              money.USD
	}{
		"a text":                        {messages, values("To", "+14155550123", "From", "+14155550100", "Body", "Paid."), "", 8_300 * micro},
		"a text of three segments":      {messages, values("To", "+14155550123", "From", "+14155550100", "Body", strings.Repeat("x", 400)), "", 24_900 * micro},
		"smart encoding helps nothing":  {messages, values("To", "+14155550123", "From", "+14155550100", "Body", strings.Repeat("x", 100)+"’", "SmartEncoded", "true"), "", 16_600 * micro},
		"a text to another country":     {messages, values("To", "+447400123456", "From", "Tollgate", "Body", "Paid."), "", 46_300 * micro},
		"a text by a messaging service": {messages, values("To", "+14155550123", "MessagingServiceSid", service, "Body", "Paid."), "", 8_300 * micro},
		"a picture":                     {messages, values("To", "+14155550123", "From", "+14155550100", "MediaUrl", "https://example.com/1.png"), "", 22_000 * micro},
		"a picture and a long text":     {messages, values("To", "+14155550123", "From", "+14155550100", "MediaUrl", "https://example.com/1.png", "Body", strings.Repeat("x", 400)), "", 33_200 * micro},
		"pictures that go out as links": {messages, values("To", "+14155550123", "From", "+14155550100", "MediaUrl", "https://example.com/1.png", "MediaUrl", "https://example.com/2.png", "Body", "x"), "", 24_900 * micro},
		"a call of a pinned limit":      {calls, values("To", "+14155550123", "From", "+14155550100", "Twiml", say), "600", 140_000 * micro},
		"a call of a second":            {calls, values("To", "+14155550123", "From", "+14155550100", "Twiml", say, "TimeLimit", "1"), "1", 14_000 * micro},
		"a call of a minute":            {calls, values("To", "+14155550123", "From", "+14155550100", "Twiml", say, "TimeLimit", "60"), "60", 14_000 * micro},
		"a call of a begun minute":      {calls, values("To", "+14155550123", "From", "+14155550100", "Twiml", say, "TimeLimit", "61"), "61", 28_000 * micro},
		"a verification":                {verify, values("To", "+14155550123", "Channel", "sms"), "", 58_300 * micro},
		"one with a code and a hash":    {verify, values("To", "+14155550123", "Channel", "sms", "CustomCode", "123456", "AppHash", "He42w354ol/"), "", 58_300 * micro},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProfile(t)
			q, err := meter(t, p, test.path, test.body)
			require.NoError(t, err)
			require.Equal(t, test.want, q.Price)
			wire := p.Wire(q, vendors.Stamp{CallID: "call_1", Run: "run"})
			require.Equal(t, test.path, wire.Target)
			if test.sends != "" {
				require.Contains(t, string(wire.Body), "TimeLimit="+test.sends)
				return
			}
			require.Equal(t, test.body, string(wire.Body), "what is sent is what was metered, in the order of its names")
		})
	}
}

func TestMeter_RefusesDestinationsThatTheCardDoesNotBound(t *testing.T) {
	t.Parallel()
	onlyGB := func(c *twilio.Config) { c.Countries = []string{"GB"} }
	for name, test := range map[string]struct {
		to, code string
		change   func(*twilio.Config)
	}{
		"none":                              {"", vendors.Invalid, nil},
		"a number without its country":      {"4155550123", vendors.Invalid, nil},
		"a number with 00":                  {"0014155550123", vendors.Invalid, nil},
		"a number with spaces":              {"+1 415 555 0123", vendors.Invalid, nil},
		"full-width digits":                 {"+1４155550123", vendors.Invalid, nil},
		"a number that nobody has":          {"+11155550123", vendors.Invalid, nil},
		"a number that is too long":         {"+1415555012345", vendors.Invalid, nil},
		"an extension":                      {"+14155550123;ext=5", vendors.Invalid, nil},
		"another channel":                   {"whatsapp:+14155550123", vendors.Invalid, nil},
		"a SIP address":                     {"sip:+14155550123@example.com", vendors.Invalid, nil},
		"a premium-rate number":             {"+19005550123", vendors.ScopeDenied, nil},
		"a British premium-rate number":     {"+449098790000", vendors.ScopeDenied, nil},
		"a British personal number":         {"+447012345678", vendors.ScopeDenied, nil},
		"a toll-free number":                {"+18005550123", vendors.ScopeDenied, nil},
		"a satellite phone":                 {"+881612345678", vendors.Unmetered, nil},
		"a country that the card has not":   {"+33612345678", vendors.Unmetered, nil},
		"an island under the same +1":       {"+18765550123", vendors.Unmetered, nil},
		"a country without a price for it":  {"+4915123456789", vendors.Unmetered, nil},
		"a country that is not let through": {"+14155550123", vendors.ScopeDenied, onlyGB},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProfile(t)
			if test.change != nil {
				p = newProfile(t, test.change)
			}
			_, err := meter(t, p, messages, values("To", test.to, "From", "+14155550100", "Body", "x"))
			requireRefusal(t, err, test.code, "To")
		})
	}
	_, err := meter(t, newProfile(t, onlyGB), messages, values("To", "+447400123456", "From", "+14155550100", "Body", "x"))
	require.NoError(t, err)
	_, err = meter(t, newProfile(t), messages, values("To", "+447400123456", "From", "Tollgate", "MediaUrl", "https://example.com/1.png"))
	requireRefusal(t, err, vendors.Unmetered, "MediaUrl")
}

func TestMeter_RefusesParametersThatItDoesNotBound(t *testing.T) {
	t.Parallel()
	text := []string{"To", "+14155550123", "From", "+14155550100", "Body", "x"}
	call := []string{"To", "+14155550123", "From", "+14155550100", "Twiml", "<Response/>"}
	verification := []string{"To", "+14155550123", "Channel", "sms"}
	for _, test := range []struct {
		path        string
		base        []string
		name, value string
		code        string
	}{
		{messages, text, "ApplicationSid", "AP1", vendors.ScopeDenied},
		{messages, text, "ContentSid", "HX1", vendors.Unmetered},
		{messages, text, "ContentVariables", "{}", vendors.Unmetered},
		{messages, text, "SendAsMms", "true", vendors.Unmetered},
		{messages, text, "SendAt", "2030-01-01T00:00:00Z", vendors.Unmetered},
		{messages, text, "ScheduleType", "fixed", vendors.Unmetered},
		{messages, text, "ShortenUrls", "true", vendors.Unmetered},
		{messages, text, "PersistentAction", "x", vendors.Unmetered},
		{messages, text, "FallbackFrom", "x", vendors.Unmetered},
		{messages, text, "ContentRetention", "discard", vendors.Unmetered},
		{messages, text, "AddressRetention", "obfuscate", vendors.Unmetered},
		{messages, text, "RiskCheck", "enable", vendors.Unmetered},
		{messages, text, "MaxPrice", "1", vendors.Invalid},
		{messages, text, "Tollgate", "1", vendors.Invalid},
		{messages, text, "TimeLimit", "1", vendors.Invalid},
		{messages, text, "Body[]", "x", vendors.Ambiguous},
		{messages, text, "body", "x", vendors.Ambiguous},
		{messages, text, "TO", "x", vendors.Ambiguous},
		{messages, text, "To", "+14155550124", vendors.Ambiguous},
		{messages, text, "Body", "y", vendors.Ambiguous},
		{messages, text, "Tо", "x", vendors.Ambiguous}, // a Cyrillic letter
		{messages, text, "", "x", vendors.Ambiguous},
		{calls, call, "Record", "true", vendors.Unmetered},
		{calls, call, "MachineDetection", "Enable", vendors.Unmetered},
		{calls, call, "RecordingStatusCallback", "https://example.com", vendors.ScopeDenied},
		{calls, call, "FallbackUrl", "https://example.com", vendors.ScopeDenied},
		{calls, call, "ApplicationSid", "AP1", vendors.ScopeDenied},
		{calls, call, "Url", "https://example.com", vendors.Invalid},
		{calls, call, "TimeLimit", "0", vendors.Invalid},
		{calls, call, "TimeLimit", "-60", vendors.Invalid},
		{calls, call, "TimeLimit", "+60", vendors.Invalid},
		{calls, call, "TimeLimit", "060", vendors.Invalid},
		{calls, call, "TimeLimit", "6e1", vendors.Invalid},
		{calls, call, "TimeLimit", "14401", vendors.Invalid},
		{calls, call, "TimeLimit", "99999999999999999999", vendors.Invalid},
		{verify, verification, "CustomMessage", "x", vendors.Unmetered},
		{verify, verification, "CustomFriendlyName", "Acme", vendors.Unmetered},
		{verify, verification, "AppHash", "He42w354ol91", vendors.Invalid},
		{verify, verification, "AppHash", "He42w354ol’", vendors.Invalid},
		{verify, verification, "CustomCode", "12345678901", vendors.Invalid},
		{verify, verification, "CustomCode", "１２３４", vendors.Invalid},
		{verify, verification, "Channel", "call", vendors.Ambiguous},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			t.Parallel()
			_, err := meter(t, newProfile(t), test.path, values(append(test.base, test.name, test.value)...))
			var refusal *vendors.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, test.code, refusal.Code, refusal.Message)
		})
	}
	for name, form := range map[string]string{
		"no sender": values("To", "+14155550123", "Body", "x"), "a sender of another channel": values("To", "+14155550123", "From", "whatsapp:+14155550100", "Body", "x"),
		"a service that is none": values("To", "+14155550123", "MessagingServiceSid", "MG1", "Body", "x"),
		"nothing to say":         values("To", "+14155550123", "From", "+14155550100"),
		"an empty picture":       values("To", "+14155550123", "From", "+14155550100", "MediaUrl", ""),
		"eleven pictures":        "To=%2B14155550123&From=%2B14155550100" + strings.Repeat("&MediaUrl=https%3A%2F%2Fexample.com", 11),
		"a raw semicolon":        "To=%2B14155550123;From=x", "half an escape": "To=%2", "a NUL": "Body=%00", "no UTF-8": "Body=%ff", "no value": "Body",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := meter(t, newProfile(t), messages, form)
			var refusal *vendors.Refusal
			require.ErrorAs(t, err, &refusal)
		})
	}
	_, err := meter(t, newProfile(t), verify, values("To", "+14155550123", "Channel", "whatsapp"))
	requireRefusal(t, err, vendors.Unmetered, "Channel")
}

func TestMeter_LeavesOutCallbacksThatTheOperatorHasNotAllowed(t *testing.T) {
	t.Parallel()
	p := newProfile(t, func(c *twilio.Config) { c.StatusCallbacks = []string{"https://example.com/status"} })
	for name, test := range map[string]struct {
		path         string
		form, passed []string
	}{
		"of a text": {messages, []string{"To", "+14155550123", "From", "+14155550100", "Body", "x"}, nil},
		"of a call": {
			calls, []string{"To", "+14155550123", "From", "+14155550100", "Twiml", "<Response/>", "TimeLimit", "60"},
			[]string{"StatusCallbackMethod", "GET", "StatusCallbackEvent", "answered", "StatusCallbackEvent", "completed"},
		},
	} {
		for target, allowed := range map[string]bool{
			"https://example.com/status": true, "https://example.com/status/": false, "https://example.net": false, "": false,
		} {
			t.Run(name+" to "+target, func(t *testing.T) {
				t.Parallel()
				asked := values(append(append(append([]string{}, test.form...), test.passed...), "StatusCallback", target)...)
				q, err := meter(t, p, test.path, asked)
				require.NoError(t, err)
				want := values(test.form...)
				if allowed {
					want = asked
				}
				require.Equal(t, want, string(p.Wire(q, vendors.Stamp{}).Body))
				r, err := parse(p, test.path, asked)
				require.NoError(t, err)
				require.Equal(t, asked, r.Body.Encode(), "another callback under the same idempotency key is another request")
			})
		}
	}
	q, err := meter(t, p, calls, values("To", "+14155550123", "From", "+14155550100", "Twiml", "<Response/>", "TimeLimit", "60",
		"StatusCallbackEvent", "completed"))
	require.NoError(t, err)
	require.NotContains(t, string(p.Wire(q, vendors.Stamp{}).Body), "StatusCallback", "events of no callback")
}

func TestMeter_TakesAddressesThatTheOperatorAllows(t *testing.T) {
	t.Parallel()
	p := newProfile(t, func(c *twilio.Config) {
		c.StatusCallbacks = []string{"https://example.com/status"}
		c.CallURLs = []string{"https://example.com/call"}
	})
	for _, body := range []string{
		values("To", "+14155550123", "From", "+14155550100", "Body", "x", "StatusCallback", "https://example.com/status"),
	} {
		_, err := meter(t, p, messages, body)
		require.NoError(t, err)
	}
	_, err := meter(t, p, calls, values("To", "+14155550123", "From", "+14155550100", "Url", "https://example.com/call",
		"StatusCallback", "https://example.com/status", "StatusCallbackEvent", "answered", "StatusCallbackEvent", "completed"))
	require.NoError(t, err)
	_, err = meter(t, p, calls, values("To", "+14155550123", "From", "+14155550100", "Url", "https://example.com/call/"))
	requireRefusal(t, err, vendors.ScopeDenied, "Url")
}

func TestMeter_TakesOnlyInstructionsThatCostNothingBeyondTheMinutes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ twiml, code string }{
		"nothing to do":                {`<Response/>`, ""},
		"a declaration":                {`<?xml version="1.0" encoding="UTF-8"?><Response><Play loop="2">https://example.com/a.mp3</Play></Response>`, ""},
		"a word":                       {`<Response><Say voice="man" language="de">Hallo</Say></Response>`, ""},
		"a comment":                    {`<Response><!-- x --><Hangup/></Response>`, ""},
		"nothing":                      {``, vendors.Ambiguous},
		"no XML":                       {`hello`, vendors.Ambiguous},
		"two responses":                {`<Response/><Response/>`, vendors.Ambiguous},
		"another root":                 {`<Say voice="man">x</Say>`, vendors.Unmetered},
		"text behind":                  {`<Response/>x`, vendors.Ambiguous},
		"a missing end":                {`<Response>`, vendors.Ambiguous},
		"an entity":                    {`<!DOCTYPE r [<!ENTITY x "y">]><Response>&x;</Response>`, vendors.Ambiguous},
		"a dial":                       {`<Response><Dial>+14155550123</Dial></Response>`, vendors.Unmetered},
		"a dial in small letters":      {`<Response><dial>+14155550123</dial></Response>`, vendors.Unmetered},
		"a dial in a name space":       {`<Response><x:Dial xmlns:x="y">+1</x:Dial></Response>`, vendors.Unmetered},
		"a pause in a name space":      {`<Response><x:Pause xmlns:x="y"/></Response>`, vendors.Unmetered},
		"a dial in a word":             {`<Response><Say voice="man"><Dial>+1</Dial></Say></Response>`, vendors.Unmetered},
		"a response in a response":     {`<Response><Response/></Response>`, vendors.Unmetered},
		"a recording":                  {`<Response><Record/></Response>`, vendors.Unmetered},
		"a message":                    {`<Response><Message>x</Message></Response>`, vendors.Unmetered},
		"a redirect":                   {`<Response><Redirect>https://example.com</Redirect></Response>`, vendors.Unmetered},
		"a word in a voice that costs": {`<Response><Say voice="Polly.Joanna-Neural">x</Say></Response>`, vendors.Unmetered},
		"a word in two voices":         {`<Response><Say voice="Polly.Joanna-Neural" voice="man">x</Say></Response>`, vendors.Ambiguous},
		"a word in no voice":           {`<Response><Say>x</Say></Response>`, vendors.Unmetered},
		"an attribute to come":         {`<Response><Play action="https://example.com">x</Play></Response>`, vendors.Unmetered},
		"another instruction":          {`<Response><?php x ?></Response>`, vendors.Ambiguous},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := meter(t, newProfile(t), calls, values("To", "+14155550123", "From", "+14155550100", "Twiml", test.twiml))
			if test.code == "" {
				require.NoError(t, err)
				return
			}
			requireRefusal(t, err, test.code, "Twiml")
		})
	}
}

func TestParse_PutsTheBoundAccountIntoThePathAndTakesNoOther(t *testing.T) {
	t.Parallel()
	const body = "To=%2B14155550123&From=%2B14155550100&Body=x"
	p := newProfile(t)
	for _, named := range []string{account, twilio.Placeholder} {
		r, err := parse(p, "/2010-04-01/Accounts/"+named+"/Messages.json", body)
		require.NoError(t, err)
		require.Equal(t, messages, r.Path)
	}
	for name, test := range map[string]struct {
		method, path, query, kind, body, code string
	}{
		"another account":          {"POST", "/2010-04-01/Accounts/ACffffffffffffffffffffffffffffffff/Messages.json", "", form, body, vendors.ScopeDenied},
		"a subaccount's read":      {"GET", "/2010-04-01/Accounts/ACffffffffffffffffffffffffffffffff/Messages.json", "", "", "", vendors.ScopeDenied},
		"the account":              {"GET", "/2010-04-01/Accounts/" + account + ".json", "", "", "", vendors.Unmetered},
		"the XML of a message":     {"POST", "/2010-04-01/Accounts/" + account + "/Messages", "", form, body, vendors.Unmetered},
		"an update of a message":   {"POST", "/2010-04-01/Accounts/" + account + "/Messages/SM0123456789abcdef0123456789abcdef.json", "", form, "Body=", vendors.Unmetered},
		"an update of a call":      {"POST", "/2010-04-01/Accounts/" + account + "/Calls/CA0123456789abcdef0123456789abcdef.json", "", form, "Url=x", vendors.Unmetered},
		"a deleted message":        {"DELETE", "/2010-04-01/Accounts/" + account + "/Messages/SM0123456789abcdef0123456789abcdef.json", "", "", "", vendors.Unmetered},
		"a message's media":        {"GET", "/2010-04-01/Accounts/" + account + "/Messages/SM0123456789abcdef0123456789abcdef/Media.json", "", "", "", vendors.Unmetered},
		"another case":             {"POST", "/2010-04-01/accounts/" + account + "/Messages.json", "", form, body, vendors.Unmetered},
		"a check of a code":        {"POST", "/v2/Services/VA0123456789abcdef0123456789abcdef/VerificationCheck", "", form, "To=x", vendors.Unmetered},
		"a service that is none":   {"POST", "/v2/Services/x/Verifications", "", form, "To=x", vendors.Unmetered},
		"a method of no known use": {"PUT", messages, "", form, body, vendors.Ambiguous},
		"a write with a query":     {"POST", messages, "To=x", form, body, vendors.Ambiguous},
		"a read with a body":       {"GET", messages, "", form, body, vendors.Ambiguous},
		"JSON":                     {"POST", messages, "", "application/json", `{"To":"+14155550123"}`, vendors.Ambiguous},
		"no content type":          {"POST", messages, "", "", body, vendors.Ambiguous},
		"another charset":          {"POST", messages, "", form + "; charset=utf-16", body, vendors.Ambiguous},
		"an unknown filter":        {"GET", messages, "Status=sent", "", "", vendors.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := p.Parse(vendors.Raw{
				Method: test.method, Path: test.path, Query: test.query, ContentType: test.kind, Header: http.Header{}.Get, Body: []byte(test.body),
			})
			var refusal *vendors.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, test.code, refusal.Code, refusal.Message)
		})
	}
	r, err := p.Parse(vendors.Raw{Method: "GET", Path: messages, Query: "DateSent%3E=2026-11-01&PageSize=5", Header: http.Header{}.Get})
	require.NoError(t, err)
	q, err := p.Meter(t.Context(), r, nil)
	require.NoError(t, err)
	require.Zero(t, q.Price)
	require.Equal(t, messages+"?DateSent%3E=2026-11-01&PageSize=5", p.Wire(q, vendors.Stamp{}).Target)
}
