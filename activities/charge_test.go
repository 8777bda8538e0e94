package activities_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestChargeCustomer_SendsOneOffSessionPaymentUnderTheItemsKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = intent("succeeded")

	result, err := b.charge(t)

	require.NoError(t, err)
	require.Equal(t, activities.ChargeResult{
		PaymentIntent: "pi_1", Status: "succeeded", AmountUSD: 19*money.Dollar + 99*money.Cent,
	}, result)
	sent := b.requireOne(t)
	require.Equal(t, "POST", sent.method)
	require.Equal(t, "/stripe/v1/payment_intents", sent.path)
	require.Equal(t, map[string][]string{
		"amount": {"1999"}, "currency": {"usd"}, "customer": {"cus_7"}, "payment_method": {"pm_card_visa"},
		"payment_method_types[0]": {"card"}, "confirm": {"true"}, "off_session": {"true"},
		"description": {"billing pro 2026-11"},
	}, sent.form)
	require.Equal(t, "Bearer "+secretKey, sent.header.Get("Authorization"))
	require.Equal(t, "billing-pro-2026-11-7", sent.header.Get("Idempotency-Key"))
	require.Equal(t, "7", sent.header.Get("Tollgate-Item"))
	require.Equal(t, "billing-pro-2026-11", sent.header.Get("Tollgate-Workflow-Id"))
}

func TestChargeCustomer_SendsTheSameBytesInEveryAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = intent("succeeded", "Tollgate-Replayed", "true", "Request-Id", "req_1")
	for range 2 {
		result, err := b.charge(t)
		require.NoError(t, err)
		require.True(t, result.Replayed)
	}
	require.Equal(t, b.requests[0].form, b.requests[1].form)
	require.Equal(t, b.requests[0].header, b.requests[1].header, "and no telemetry about the one before")
}

func TestChargeCustomer_JudgesThePaymentIntentsStatus(t *testing.T) {
	t.Parallel()
	for status, kind := range map[string]string{
		"succeeded": "", "processing": "", "requires_capture": "",
		"requires_action": activities.TypeChargeDeclined, "requires_payment_method": activities.TypeChargeDeclined,
		"requires_confirmation": activities.TypeUnexpected, "canceled": activities.TypeUnexpected, "": activities.TypeUnexpected,
	} {
		t.Run("status "+status, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = intent(status)
			_, err := b.charge(t)
			if kind == "" {
				require.NoError(t, err)
				return
			}
			requireFault(t, err, kind, false)
		})
	}
}

type denialWant struct {
	status    int
	kind      string
	retryable bool
	benign    bool
}

// denials are all codes of the proxy's data plane, with the status they come with.
func denials() map[string]denialWant {
	return map[string]denialWant{
		"cap_exhausted":         {429, activities.TypeCapExhausted, false, true},
		"rate_limited":          {429, activities.TypeRateLimited, true, true},
		"cap_contended":         {429, activities.TypeCapContended, true, true},
		"key_unknown":           {401, activities.TypeKeyUnknown, false, false},
		"key_revoked":           {401, activities.TypeKeyRevoked, false, true},
		"key_expired":           {401, activities.TypeKeyExpired, false, true},
		"endpoint_not_allowed":  {403, activities.TypeEndpointNotAllowed, false, false},
		"scope_denied":          {403, activities.TypeScopeDenied, false, false},
		"unmetered_operation":   {403, activities.TypeUnmeteredOperation, false, false},
		"idempotency_required":  {400, activities.TypeInvalidRequest, false, false},
		"request_ambiguous":     {400, activities.TypeInvalidRequest, false, false},
		"request_invalid":       {400, activities.TypeInvalidRequest, false, false},
		"idempotency_mismatch":  {409, activities.TypeIdempotencyMismatch, false, false},
		"idempotency_in_flight": {409, activities.TypeIdempotencyInFlight, true, false},
		"currency_unsupported":  {422, activities.TypeInvalidRequest, false, false},
		"amount_invalid":        {422, activities.TypeInvalidRequest, false, false},
		"outcome_unknown":       {502, activities.TypeOutcomeUnknown, true, false},
		"vendor_unknown":        {404, activities.TypeVendorUnknown, false, false},
		"vendor_unavailable":    {503, activities.TypeVendorUnavailable, true, false},
		"vendor_credentials":    {502, activities.TypeVendorCredentials, false, false},
		"ledger_unavailable":    {503, activities.TypeLedgerUnavailable, true, false},
		"overloaded":            {503, activities.TypeOverloaded, true, true},
		"wrong_ledger":          {503, activities.TypeWrongLedger, true, false},
	}
}

func TestChargeCustomer_KnowsEveryCodeThatTheProxyHas(t *testing.T) {
	t.Parallel()
	table := denials()
	for code, info := range vaultproxy.Codes() {
		want, known := table[string(code)]
		require.True(t, known, "no error type is asserted for %s", code)
		require.Equal(t, want.status, info.Status, code)
		require.Equal(t, want.retryable, info.Retry, code)
		delete(table, string(code))
	}
	require.Empty(t, table, "codes that the proxy does not have")
}

func TestChargeCustomer_DoesNotRetryACodeThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = denial(http.StatusServiceUnavailable, "code_of_a_later_proxy", nil)
	_, err := b.charge(t)
	requireFault(t, err, activities.TypeUnexpected, false)
}

func TestChargeCustomer_TellsEachRefusalOfTheProxyApart(t *testing.T) {
	t.Parallel()
	for code, want := range denials() {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = denial(want.status, code, nil)
			_, err := b.charge(t)
			requireFault(t, err, want.kind, want.retryable)
			require.Equal(t, want.benign, faultOf(t, err).Category() == temporal.ApplicationErrorCategoryBenign)
			require.Contains(t, faultOf(t, err).Message(), code)
			b.requireOne(t)
		})
	}
}

func TestChargeCustomer_BelievesTheBodysCodeWithoutTheHeader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = vendorError(http.StatusGatewayTimeout, map[string]any{"type": "api_error", "code": "outcome_unknown"})
	_, err := b.charge(t)
	requireFault(t, err, activities.TypeOutcomeUnknown, true)
}

func TestChargeCustomer_TellsACapForOneCallFromTheRunsBudget(t *testing.T) {
	t.Parallel()
	for budget, kind := range map[string]string{
		"per_call":  activities.TypePerCallCapExceeded,
		"key/total": activities.TypeCapExhausted,
		"key/day":   activities.TypeCapExhausted,
		"run/total": activities.TypeCapExhausted,
	} {
		t.Run(budget, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = denial(http.StatusTooManyRequests, "cap_exhausted", map[string]any{"budget": budget, "cap_usd": "500.00"})
			_, err := b.charge(t)
			requireFault(t, err, kind, false)
			require.Equal(t, temporal.ApplicationErrorCategoryBenign, faultOf(t, err).Category())
			require.Contains(t, faultOf(t, err).Message(), budget)
		})
	}
}

func TestChargeCustomer_TellsTheVendorsRefusalsApart(t *testing.T) {
	t.Parallel()
	for sentence, want := range map[string]struct {
		answer    http.HandlerFunc
		kind      string
		retryable bool
		message   string
	}{
		"a decline": {
			vendorError(402, map[string]any{"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}),
			activities.TypeChargeDeclined, false, "the vendor declined the payment (card_declined, insufficient_funds)",
		},
		"a decline for want of authentication": {
			vendorError(402, map[string]any{"type": "card_error", "code": "authentication_required"}),
			activities.TypeChargeDeclined, false, "the vendor declined the payment (authentication_required)",
		},
		"a payment method it does not know": {
			vendorError(400, map[string]any{"type": "invalid_request_error", "code": "resource_missing", "param": "payment_method"}),
			activities.TypeInvalidRequest, false, "the vendor refused the request (resource_missing, payment_method)",
		},
		"something it cannot find": {
			vendorError(404, map[string]any{"type": "invalid_request_error", "code": "resource_missing"}),
			activities.TypeInvalidRequest, false, "the vendor refused the request (resource_missing)",
		},
		"a limit of its own": {
			vendorError(429, map[string]any{"type": "invalid_request_error", "code": "rate_limit"}),
			activities.TypeRateLimited, true, "the vendor asks to slow down (rate_limit)",
		},
		"a code that is free text": {
			vendorError(402, map[string]any{"type": "card_error", "code": "Leak: " + secretKey}),
			activities.TypeChargeDeclined, false, "the vendor declined the payment",
		},
		"a status without a meaning here": {
			vendorError(418, map[string]any{"type": "api_error"}),
			activities.TypeUnexpected, false, "the answer has no known meaning",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = want.answer
			_, err := b.charge(t)
			requireFault(t, err, want.kind, want.retryable)
			require.Equal(t, want.message, faultOf(t, err).Message())
			b.requireOne(t)
		})
	}
}

func TestChargeCustomer_RetriesWhatIsNoAnswerOfTheProxy(t *testing.T) {
	t.Parallel()
	text := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(secretBody))
		}
	}
	for sentence, answer := range map[string]http.HandlerFunc{
		"a gateway's page":    text(http.StatusBadGateway),
		"a gateway's timeout": text(http.StatusGatewayTimeout),
		"a success that is no JSON": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(secretBody))
		},
		"an answer cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"id":"pi_1","status":"succ`))
		},
		"a connection cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = answer
			_, err := b.charge(t)
			requireFault(t, err, activities.TypeProxyUnreachable, true)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.server.Close()
		_, err := b.charge(t)
		requireFault(t, err, activities.TypeProxyUnreachable, true)
		require.Contains(t, faultOf(t, err).Message(), "connection refused")
	})
}

func TestChargeCustomer_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the vault key was sent elsewhere")
	}))
	t.Cleanup(elsewhere.Close)
	b := setup(t)
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}
	_, err := b.charge(t)
	requireFault(t, err, activities.TypeUnexpected, false)
}

func TestChargeCustomer_WaitsAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	for retryAfter, want := range map[string]time.Duration{
		"2": 2 * time.Second, "3600": time.Minute, "0": 0, "-1": 0, "soon": 0, "": 0,
	} {
		t.Run("Retry-After "+retryAfter, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = denial(http.StatusTooManyRequests, "rate_limited", nil, "Retry-After", retryAfter)
			_, err := b.charge(t)
			requireFault(t, err, activities.TypeRateLimited, true)
			require.Equal(t, want, faultOf(t, err).NextRetryDelay())
		})
	}
	b := setup(t)
	b.answer = denial(http.StatusTooManyRequests, "cap_exhausted", nil, "Retry-After", "2")
	_, err := b.charge(t)
	requireFault(t, err, activities.TypeCapExhausted, false)
	require.Zero(t, faultOf(t, err).NextRetryDelay(), "not of use where nothing is retried")
}

func TestNew_NeedsAProxy(t *testing.T) {
	t.Parallel()
	control, err := client.New(client.Config{BaseURL: "http://127.0.0.1:1", AdminKey: adminKey})
	require.NoError(t, err)
	for _, bad := range []activities.Config{
		{},
		{DataURL: "127.0.0.1:8787", Control: control},
		{DataURL: "ftp://127.0.0.1", Control: control},
		{DataURL: "http://127.0.0.1:1"},
	} {
		_, err := activities.New(bad)
		require.Error(t, err)
	}
	_, err = activities.New(activities.Config{DataURL: "http://127.0.0.1:1", Control: control})
	require.NoError(t, err)
}
