package vendorsim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vendorsim"
)

const (
	simAccount  = "AC00000000000000000000000000000001"
	simPassword = "test_token"
	simMessages = "/2010-04-01/Accounts/" + simAccount + "/Messages.json"
)

// twilioDo sends one request as Twilio's account, or as whoever is named.
func (b *testBundle) twilioDo(t *testing.T, method, path, form string, credentials ...string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(form))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	user, password := simAccount, simPassword
	if len(credentials) == 2 {
		user, password = credentials[0], credentials[1]
	}
	req.SetBasicAuth(user, password)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil
	}
	var view map[string]any
	_ = json.Unmarshal(raw, &view) // half an answer is none
	return res.StatusCode, view
}

func simText(to, body string) string {
	return url.Values{"To": {to}, "From": {"+14155550100"}, "Body": {body}}.Encode()
}

func TestTwilio_SendsATextAsOftenAsItIsAsked(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{TwilioPriceDelay: time.Minute})
	for range 2 {
		status, message := b.twilioDo(t, http.MethodPost, simMessages, simText("+14155550123", "Paid."))
		require.Equal(t, http.StatusCreated, status)
		require.Equal(t, "queued", message["status"])
		require.Nil(t, message["price"])
		require.Regexp(t, "^SM[0-9a-f]{32}$", message["sid"])
	}
	truth := b.sim.Truth().Twilio
	require.Equal(t, 2, truth.Texts)
	require.NotEqual(t, truth.Sent[0].SID, truth.Sent[1].SID)
	require.Equal(t, int64(2*8_300), truth.TextsMicroUSD, "what it will cost is true before it is shown")
	path := strings.Replace(simMessages, ".json", "/"+truth.Sent[0].SID+".json", 1)
	b.clock.advance(59 * time.Second)
	_, message := b.twilioDo(t, http.MethodGet, path, "")
	require.Equal(t, "delivered", message["status"])
	require.Nil(t, message["price"])
	b.clock.advance(time.Second)
	_, message = b.twilioDo(t, http.MethodGet, path, "")
	require.Equal(t, "-0.008300", message["price"])
}

func TestTwilio_FaultsExecuteOrDoNotAsTheySay(t *testing.T) {
	t.Parallel()
	for fault, test := range map[vendorsim.Fault]struct{ status, texts int }{
		vendorsim.NoFault: {201, 1}, vendorsim.AnswerLost: {0, 1}, vendorsim.TruncatedAnswer: {0, 1}, vendorsim.Error500AfterCharge: {500, 1},
		vendorsim.SlowAnswer: {201, 1}, vendorsim.RateLimited429: {429, 0}, vendorsim.ClosedAfterRead: {0, 0}, vendorsim.ConnectionReset: {0, 0},
		vendorsim.Error503: {503, 0}, vendorsim.Error500BeforeCharge: {500, 0},
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{SlowDelay: time.Millisecond})
			b.sim.NextTwilioFaults(fault)
			status, _ := b.twilioDo(t, http.MethodPost, simMessages, simText("+14155550123", "Paid."))
			require.Equal(t, test.status, status)
			truth := b.sim.Truth()
			require.Equal(t, test.texts, truth.Twilio.Texts)
			if fault != vendorsim.NoFault {
				require.Equal(t, map[string]int{string(fault): 1}, truth.Twilio.Faults)
				require.Equal(t, 1, truth.Faults[string(fault)])
			}
			lost := test.texts == 0 && fault != vendorsim.RateLimited429
			require.Equal(t, map[bool]int{true: 1}[lost], truth.Twilio.Lost())
		})
	}
}

func TestTwilio_ListsTheNewestFirstByPageAndAfterItsLag(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{TwilioListLag: time.Minute})
	for i := range 5 {
		_, _ = b.twilioDo(t, http.MethodPost, simMessages, simText("+14155550123", fmt.Sprint(i)))
	}
	_, _ = b.twilioDo(t, http.MethodPost, simMessages, simText("+14155550124", "another's"))
	list := simMessages + "?To=%2B14155550123&PageSize=2"
	_, page := b.twilioDo(t, http.MethodGet, list, "")
	require.Empty(t, page["messages"])
	b.clock.advance(time.Minute)
	var bodies []string
	for next := any(list); next != nil; {
		_, page = b.twilioDo(t, http.MethodGet, next.(string), "")
		for _, m := range page["messages"].([]any) {
			bodies = append(bodies, m.(map[string]any)["body"].(string))
		}
		next = page["next_page_uri"]
	}
	require.Equal(t, []string{"4", "3", "2", "1", "0"}, bodies)
	for query, want := range map[string]int{
		"DateSent=2026-11-02": 6, "DateSent%3E=2026-11-03": 0, "DateSent%3C=2026-11-02": 6, "DateSent=2026-11-01": 0, "From=x": 0,
	} {
		_, page = b.twilioDo(t, http.MethodGet, simMessages+"?"+query, "")
		require.Len(t, page["messages"], want, query)
	}
}

func TestTwilio_RefusesWhatTwilioRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	for name, test := range map[string]struct {
		path, form string
		status     int
		code       float64
	}{
		"no recipient":           {simMessages, simText("", "x"), 400, 21211},
		"one that has left":      {simMessages, simText("+14155550001", "x"), 400, 21610},
		"nothing to say":         {simMessages, simText("+14155550123", ""), 400, 21602},
		"too much to say":        {simMessages, simText("+14155550123", strings.Repeat("x", 1601)), 400, 21617},
		"no sender":              {simMessages, "To=%2B14155550123&Body=x", 400, 21603},
		"a call without orders":  {strings.Replace(simMessages, "Messages", "Calls", 1), "To=%2B14155550123&From=%2B14155550100", 400, 21205},
		"another account":        {strings.Replace(simMessages, simAccount, "AC00000000000000000000000000000002", 1), simText("+14155550123", "x"), 404, 20404},
		"a proxy's placeholder":  {strings.Replace(simMessages, simAccount, "AC00000000000000000000000000000000", 1), simText("+14155550123", "x"), 404, 20404},
		"something not modelled": {strings.Replace(simMessages, "Messages", "Keys", 1), "x=y", 404, 20404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, view := b.twilioDo(t, http.MethodPost, test.path, test.form)
			require.Equal(t, test.status, status)
			require.InDelta(t, test.code, view["code"], 0)
		})
	}
}

func TestTwilio_RefusesCredentialsThatLookLive(t *testing.T) {
	t.Parallel()
	live := "AC" + "0123456789abcdef0123456789abcdef"
	for name, credentials := range map[string][2]string{
		"a live account": {live, simPassword}, "a live API key": {"SK" + live[2:], simPassword}, "a live token": {simAccount, live[2:]},
		"a live secret of a key": {"SK00000000000000000000000000000001", strings.Repeat("aB3", 11)[:32]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			status, _ := b.twilioDo(t, http.MethodPost, simMessages, simText("+14155550123", "x"), credentials[0], credentials[1])
			require.Equal(t, http.StatusUnauthorized, status)
			require.Equal(t, 1, b.sim.Truth().RefusedLiveKeys)
			require.Zero(t, b.sim.Truth().Twilio.Texts)
		})
	}
	b := setup(t, vendorsim.Config{})
	status, _ := b.twilioDo(t, http.MethodPost, simMessages, simText("+14155550123", "x"), simAccount, "vault_key_"+"k1_mac")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, 1, b.sim.Truth().LeakedVaultKeys)
	status, _ = b.twilioDo(t, http.MethodPost, simMessages, simText("+14155550123", "x"), simAccount, "something")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = b.twilioDo(t, http.MethodPost, simMessages, simText("+14155550123", "x"), "SK00000000000000000000000000000001", simPassword)
	require.Equal(t, http.StatusCreated, status)
}
