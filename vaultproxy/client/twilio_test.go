package client_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twilio/twilio-go"
	twilioclient "github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	verify "github.com/twilio/twilio-go/rest/verify/v2"

	"github.com/tollgate/tollgate/vaultproxy/client"
)

// seenRequest is one request as the data plane gets it.
type seenRequest struct {
	method, target, body string
	header               http.Header
}

// twilioGo is an unchanged twilio-go whose HTTP client points at a data plane.
func twilioGo(hc *http.Client) *twilio.RestClient {
	base := &twilioclient.Client{
		Credentials: twilioclient.NewCredentials(client.TwilioPlaceholder, "unused"), HTTPClient: hc,
	}
	base.SetAccountSid(client.TwilioPlaceholder)
	return twilio.NewRestClientWithParams(twilio.ClientParams{Client: base})
}

func dataPlane(t *testing.T, prefix string) (*client.Twilio, func() seenRequest) {
	t.Helper()
	got := make(chan seenRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = nil
		}
		got <- seenRequest{r.Method, r.RequestURI, string(body), r.Header}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid":"SM1"}`)
	}))
	t.Cleanup(server.Close)
	points, err := client.NewTwilio(client.TwilioConfig{DataURL: server.URL + prefix})
	require.NoError(t, err)
	return points, func() seenRequest { return <-got }
}

func TestTwilio_PointsAnUnchangedSDKAtTheDataPlane(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"": "", "/": "", "/tollgate": "/tollgate", "/tollgate/": "/tollgate"} {
		points, seen := dataPlane(t, prefix)
		call := client.TwilioCall{VaultKey: "vault_key_1", IdempotencyKey: "run-7-text", Item: "7", WorkflowID: "run"}
		rest := twilioGo(points.HTTPClient(t.Context(), call))

		to, from, body := "+14155550123", "+14155550100", "Paid."
		message, err := rest.Api.CreateMessage(&api.CreateMessageParams{To: &to, From: &from, Body: &body})
		require.NoError(t, err)
		require.Equal(t, "SM1", *message.Sid)
		got := seen()
		require.Equal(t, http.MethodPost, got.method)
		require.Equal(t, want+"/twilio/2010-04-01/Accounts/"+client.TwilioPlaceholder+"/Messages.json", got.target)
		require.Equal(t, url.Values{"To": {to}, "From": {from}, "Body": {body}}.Encode(), got.body)
		require.Equal(t, "Bearer vault_key_1", got.header.Get("Authorization"))
		require.Equal(t, "run-7-text", got.header.Get("Idempotency-Key"))
		require.Equal(t, "7", got.header.Get("Tollgate-Item"))
		require.Equal(t, "run", got.header.Get("Tollgate-Workflow-Id"))

		channel := "sms"
		_, err = rest.VerifyV2.CreateVerification("VA1", &verify.CreateVerificationParams{To: &to, Channel: &channel})
		require.NoError(t, err)
		require.Equal(t, want+"/twilio/v2/Services/VA1/Verifications", seen().target)
	}
}

func TestTwilio_TakesNoOtherHost(t *testing.T) {
	t.Parallel()
	points, _ := dataPlane(t, "")
	hc := points.HTTPClient(t.Context(), client.TwilioCall{VaultKey: "vault_key_1"})
	for _, target := range []string{
		"https://lookups.twilio.com/v2/PhoneNumbers/1", "https://api.example.com/2010-04-01/x", "https://api.twilio.com.example.com/x",
		"https://api.eviltwilio.com/x",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
		require.NoError(t, err)
		res, err := hc.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		require.ErrorContains(t, err, "api and verify hosts only", target)
	}
}

func TestTwilio_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(entered)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	points, err := client.NewTwilio(client.TwilioConfig{DataURL: server.URL})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	to := "+14155550123"
	_, err = twilioGo(points.HTTPClient(ctx, client.TwilioCall{VaultKey: "k"})).Api.CreateMessage(&api.CreateMessageParams{To: &to})
	require.ErrorIs(t, err, context.Canceled)
	_, err = twilioGo(points.HTTPClient(ctx, client.TwilioCall{VaultKey: "k"})).Api.CreateMessage(&api.CreateMessageParams{To: &to})
	require.ErrorIs(t, err, context.Canceled, "an ended context sends nothing")
}

func TestNewTwilio_RefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"", "127.0.0.1:8787", "ftp://x", "http://", "http://u:p@x", "http://x?y", "http://x#y"} {
		_, err := client.NewTwilio(client.TwilioConfig{DataURL: target})
		require.Error(t, err, target)
	}
}
