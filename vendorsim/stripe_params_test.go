package vendorsim_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vendorsim"
)

func TestCreatePaymentIntent_RefusesWhatStripeRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	for name, tc := range map[string]struct {
		form        url.Values
		code, param string
	}{
		"no amount":                  {payment("cus_a", "amount", "-"), "parameter_missing", "amount"},
		"no currency":                {payment("cus_a", "currency", "-"), "parameter_missing", "currency"},
		"empty amount":               {payment("cus_a", "amount", ""), "parameter_invalid_empty", "amount"},
		"fractional amount":          {payment("cus_a", "amount", "10.5"), "parameter_invalid_integer", "amount"},
		"negative amount":            {payment("cus_a", "amount", "-5"), "parameter_invalid_integer", "amount"},
		"amount with a leading zero": {payment("cus_a", "amount", "0100"), "parameter_invalid_integer", "amount"},
		"amount with a sign":         {payment("cus_a", "amount", "+100"), "parameter_invalid_integer", "amount"},
		"amount with an exponent":    {payment("cus_a", "amount", "1e3"), "parameter_invalid_integer", "amount"},
		"zero":                       {payment("cus_a", "amount", "0"), "amount_too_small", "amount"},
		"49 cents":                   {payment("cus_a", "amount", "49"), "amount_too_small", "amount"},
		"nine digits":                {payment("cus_a", "amount", "100000000"), "amount_too_large", "amount"},
		"unknown currency":           {payment("cus_a", "currency", "xyz"), "", "currency"},
		"unknown customer":           {payment("cus_missing_1"), "resource_missing", "customer"},
		"customer of another kind":   {payment("pm_1"), "resource_missing", "customer"},
		"empty customer":             {payment(""), "parameter_invalid_empty", "customer"},
		"unknown payment method":     {payment("cus_a", "payment_method", "pm_missing"), "resource_missing", "payment_method"},
		"token as a payment method":  {payment("cus_a", "payment_method", "tok_visa"), "resource_missing", "payment_method"},
		"unknown parameter":          {payment("cus_a", "colour", "red"), "parameter_unknown", "colour"},
		"unknown nested parameter":   {payment("cus_a", "colour[dark]", "red"), "parameter_unknown", "colour[dark]"},
		"array for a scalar":         {payment("cus_a", "amount", "-", "amount[]", "1000"), "", "amount[]"},
		"scalar for an array":        {payment("cus_a", "expand", "latest_charge"), "", "expand"},
		"not a boolean":              {payment("cus_a", "confirm", "yes"), "", "confirm"},
		"unknown capture method":     {payment("cus_a", "capture_method", "later"), "", "capture_method"},
		"unknown method type":        {payment("cus_a", "payment_method_types[]", "shells"), "", "payment_method_types"},
		"method type without cards":  {payment("cus_a", "payment_method_types[]", "ideal"), "payment_intent_incompatible_payment_method", "payment_method"},
		"nested metadata":            {payment("cus_a", "metadata[a][b]", "c"), "", "metadata[a][b]"},
		"long metadata key":          {payment("cus_a", "metadata["+strings.Repeat("k", 41)+"]", "v"), "", "metadata"},
		"long metadata value":        {payment("cus_a", "metadata[k]", strings.Repeat("v", 501)), "", "metadata[k]"},
		"what would change the sum":  {payment("cus_a", "application_fee_amount", "5"), "vendorsim_not_modelled", "application_fee_amount"},
		"expansion of something else": {
			payment("cus_a", "expand[]", "customer"), "vendorsim_not_modelled", "expand",
		},
		"amount sent twice": {
			url.Values{"amount": {"1000", "1000"}, "currency": {"usd"}}, "", "amount",
		},
		"metadata sent twice": {
			url.Values{"amount": {"1000"}, "currency": {"usd"}, "metadata[a]": {"1", "2"}}, "", "metadata[a]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := b.post(t, "/v1/payment_intents", "", tc.form)
			require.Equal(t, http.StatusBadRequest, r.status, r.body)
			e := r.failure(t)
			require.Equal(t, "invalid_request_error", e["type"])
			if tc.code == "" {
				require.NotContains(t, e, "code")
			} else {
				require.Equal(t, tc.code, e["code"])
			}
			require.Equal(t, tc.param, e["param"])
		})
	}
	t.Cleanup(func() { require.Zero(t, b.sim.Truth().PaymentIntents) })
}

func TestCreatePaymentIntent_TakesAmountsUpToTheirBounds(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	for i, tc := range []struct{ amount, currency string }{
		{"50", "usd"}, {"99999999", "usd"}, {"30", "gbp"}, {"50", "jpy"}, {"100", "USD"},
	} {
		r := b.post(t, "/v1/payment_intents", strconv.Itoa(i), payment("cus_a", "amount", tc.amount, "currency", tc.currency))
		require.Equal(t, http.StatusOK, r.status, r.body)
		require.Equal(t, strings.ToLower(tc.currency), r.object(t)["currency"])
	}
	require.Equal(t, map[string]int64{"usd": 50 + 99_999_999 + 100, "gbp": 30, "jpy": 50}, b.sim.Truth().SucceededMinor)
}

func TestCreatePaymentIntent_HoldsTheRulesOfConfirmation(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	automatic := func(changes ...string) url.Values {
		return changed(payment("cus_a", "payment_method_types[]", "-"), changes...)
	}
	for name, tc := range map[string]struct {
		form        url.Values
		code, param string
	}{
		"method types given":                     {payment("cus_a"), "", ""},
		"methods of the account, no return URL":  {automatic(), "payment_intent_invalid_parameter", "return_url"},
		"methods of the account, return URL":     {automatic("return_url", "https://shop.example/done"), "", ""},
		"methods of the account, not a URL":      {automatic("return_url", "done"), "url_invalid", "return_url"},
		"redirects never":                        {automatic("automatic_payment_methods[enabled]", "true", "automatic_payment_methods[allow_redirects]", "never"), "", ""},
		"redirects always":                       {automatic("automatic_payment_methods[enabled]", "true", "automatic_payment_methods[allow_redirects]", "always"), "payment_intent_invalid_parameter", "return_url"},
		"automatic choice turned off":            {automatic("automatic_payment_methods[enabled]", "false"), "", ""},
		"automatic choice and types":             {payment("cus_a", "automatic_payment_methods[enabled]", "true"), "parameters_exclusive", "payment_method_types"},
		"automatic choice without enabled":       {automatic("automatic_payment_methods[allow_redirects]", "never"), "parameter_missing", "automatic_payment_methods[enabled]"},
		"confirmation without a payment method":  {payment("cus_a", "payment_method", "-"), "payment_intent_unexpected_state", "payment_method"},
		"off session without confirmation":       {payment("cus_a", "confirm", "-"), "payment_intent_invalid_parameter", "off_session"},
		"return URL without confirmation":        {payment("cus_a", "confirm", "-", "off_session", "-", "return_url", "https://shop.example"), "payment_intent_invalid_parameter", "return_url"},
		"off session false without confirmation": {payment("cus_a", "confirm", "false", "off_session", "false"), "payment_intent_invalid_parameter", "off_session"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := b.post(t, "/v1/payment_intents", "", tc.form)
			if tc.param == "" {
				require.Equal(t, http.StatusOK, r.status, r.body)
				require.Equal(t, "succeeded", r.object(t)["status"])
				return
			}
			require.Equal(t, http.StatusBadRequest, r.status, r.body)
			require.Equal(t, tc.code, r.failure(t)["code"])
			require.Equal(t, tc.param, r.failure(t)["param"])
		})
	}
}

func TestConfirm_NeedsAReturnURLWhereTheIntentMayRedirect(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	created := b.post(t, "/v1/payment_intents", "", url.Values{"amount": {"1000"}, "currency": {"usd"}, "payment_method": {"pm_card_visa"}}).object(t)
	path := "/v1/payment_intents/" + created["id"].(string) + "/confirm"

	r := b.post(t, path, "", url.Values{})
	require.Equal(t, "return_url", r.failure(t)["param"])
	r = b.post(t, path, "", url.Values{"return_url": {"https://shop.example/done"}})
	require.Equal(t, "succeeded", r.object(t)["status"], r.body)
}

func TestStripe_RefusesRequestsOfTheWrongForm(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	form := payment("cus_a").Encode()
	for name, tc := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
	}{
		"JSON body":              {"POST", "/v1/payment_intents", `{"amount":1000}`, []string{"Content-Type: application/json"}, 400},
		"no content type":        {"POST", "/v1/payment_intents", form, []string{"Content-Type: "}, 400},
		"parameters in the URL":  {"POST", "/v1/payment_intents?amount=1000", form, nil, 400},
		"broken escape":          {"POST", "/v1/payment_intents", "amount=%zz", nil, 400},
		"invalid UTF-8":          {"POST", "/v1/payment_intents", "description=\xff", nil, 400},
		"too large":              {"POST", "/v1/payment_intents", "description=" + strings.Repeat("x", 1<<20), nil, 400},
		"other API version":      {"POST", "/v1/payment_intents", form, []string{"Stripe-Version: 2019-01-01"}, 400},
		"connected account":      {"POST", "/v1/payment_intents", form, []string{"Stripe-Account: acct_1"}, 400},
		"long idempotency key":   {"POST", "/v1/payment_intents", form, []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, 400},
		"no credentials":         {"POST", "/v1/payment_intents", form, []string{"Authorization: "}, 401},
		"key of no known shape":  {"POST", "/v1/payment_intents", form, []string{"Authorization: Bearer whatever"}, 401},
		"bare prefix as a key":   {"POST", "/v1/payment_intents", form, []string{"Authorization: Bearer sk_test_"}, 401},
		"unknown resource":       {"GET", "/v1/subscriptions", "", nil, 404},
		"trailing slash":         {"GET", "/v1/payment_intents/", "", nil, 404},
		"double slash":           {"GET", "/v1//payment_intents", "", nil, 404},
		"escaped slash":          {"GET", "/v1%2Fpayment_intents", "", nil, 404},
		"dots in the path":       {"GET", "/v1/charges/../payment_intents", "", nil, 404},
		"update of an object":    {"POST", "/v1/payment_intents/pi_1", "metadata[a]=b", nil, 404},
		"method not known there": {"DELETE", "/v1/payment_intents/pi_1", "", nil, 404},
		"unknown intent":         {"GET", "/v1/payment_intents/pi_1", "", nil, 404},
		"unknown intent to move": {"POST", "/v1/payment_intents/pi_1/capture", "", nil, 404},
		"unknown charge":         {"GET", "/v1/charges/ch_1", "", nil, 404},
		"unknown refund":         {"GET", "/v1/refunds/re_1", "", nil, 404},
		"unknown customer":       {"GET", "/v1/customers/cus_missing", "", nil, 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := b.send(t, tc.method, tc.path, tc.body, tc.headers...)
			require.NoError(t, err)
			require.Equal(t, tc.status, r.status, r.body)
			require.NotEmpty(t, r.failure(t)["type"])
			require.NotEmpty(t, r.failure(t)["message"])
			require.True(t, strings.HasPrefix(r.header.Get("Request-Id"), "req_"))
			require.Equal(t, "2023-10-16", r.header.Get("Stripe-Version"))
		})
	}
	t.Cleanup(func() { require.Zero(t, b.sim.Truth().Charges) })
}

func TestStripe_TakesTestKeysAsBearerOrBasicUser(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	for _, authorization := range []string{
		"Bearer sk_test_one", "bearer rk_test_one", "Bearer sk_sim_one", "Basic c2tfdGVzdF9vbmU6", // sk_test_one:
	} {
		r, err := b.send(t, "GET", "/v1/payment_intents", "", "Authorization: "+authorization)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.status, r.body)
	}
}

func TestConfig_APIKeysAreTheOnlyOnesAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{APIKeys: []string{"sk_test_right"}})
	r, err := b.send(t, "GET", "/v1/charges", "", "Authorization: Bearer sk_test_right")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.status)
	r, err = b.send(t, "GET", "/v1/charges", "", "Authorization: Bearer sk_test_wrong")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, r.status)
	require.NotContains(t, r.body, "sk_test_wrong")
}
