package vaultproxy_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "github.com/twilio/twilio-go"
	twilioclient "github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors/twilio"
)

const (
	twilioAccount  = "AC00000000a1b2c3d4e5f60718293a4b5c"
	twilioMessages = "/twilio/2010-04-01/Accounts/" + twilio.Placeholder + "/Messages.json"
	twilioCalls    = "/twilio/2010-04-01/Accounts/" + twilio.Placeholder + "/Calls.json"

	fromNumber = "+14155550100"
	textPrice  = 8_300 * money.Micro

	twilioRates = `
as_of: 2026-11-01
currency: usd
failed_message: "0.001"
countries:
  US: {sms: "0.0083", mms: "0.022", call: "0.014", verify: "0.0583"}
`
)

func twilioProfile(t *testing.T) *twilio.Profile {
	t.Helper()
	rates, err := twilio.ParseRates([]byte(twilioRates))
	require.NoError(t, err)
	profile, err := twilio.New(twilio.Config{AccountSID: twilioAccount, AuthToken: "test_" + vendorSecret, Rates: rates})
	require.NoError(t, err)
	return profile
}

// issueTwilio issues a key for texts, calls and verifications.
func (b *testBundle) issueTwilio(limit money.USD) client.IssuedKey {
	b.t.Helper()
	return b.issue(limit, func(r *client.IssueRequest) {
		r.Vendor = "twilio"
		r.AllowedEndpoints = []string{
			"POST /2010-04-01/Accounts/{AccountSid}/Messages.json", "GET /2010-04-01/Accounts/{AccountSid}/Messages.json",
			"GET /2010-04-01/Accounts/{AccountSid}/Messages/{Sid}", "POST /2010-04-01/Accounts/{AccountSid}/Calls.json",
			"GET /2010-04-01/Accounts/{AccountSid}/Calls.json", "POST /v2/Services/{ServiceSid}/Verifications",
		}
	})
}

// twilioGo is an unchanged twilio-go for one write under an idempotency key.
func (b *testBundle) twilioGo(key client.IssuedKey, idempotencyKey string) *sdk.RestClient {
	b.t.Helper()
	points, err := client.NewTwilio(client.TwilioConfig{DataURL: b.front.URL, Transport: b.front.Client().Transport})
	require.NoError(b.t, err)
	base := &twilioclient.Client{
		Credentials: twilioclient.NewCredentials(client.TwilioPlaceholder, "unused"),
		HTTPClient:  points.HTTPClient(b.t.Context(), client.TwilioCall{VaultKey: key.VaultKey, IdempotencyKey: idempotencyKey}),
	}
	base.SetAccountSid(client.TwilioPlaceholder)
	return sdk.NewRestClientWithParams(sdk.ClientParams{Client: base})
}

// text sends one text by twilio-go, and returns its SID or the code that it was refused with.
func (b *testBundle) text(key client.IssuedKey, idempotencyKey, to, body string) (sid, code string) {
	b.t.Helper()
	message, err := b.twilioGo(key, idempotencyKey).Api.CreateMessage(&api.CreateMessageParams{
		To: &to, From: new(fromNumber), Body: &body,
	})
	if err == nil {
		return *message.Sid, ""
	}
	return "", twilioCode(err)
}

// twilioCode is the proxy's code of an error, or Twilio's number.
func twilioCode(err error) string {
	if err == nil {
		return ""
	}
	var refused *twilioclient.TwilioRestError
	if !errors.As(err, &refused) {
		return err.Error()
	}
	if code, ok := refused.Details["code"].(string); ok {
		return code
	}
	return fmt.Sprint(refused.Code)
}
