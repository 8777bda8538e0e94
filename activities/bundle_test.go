package activities_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/client"
)

const (
	secretKey = "vault_key_very_secret"
	adminKey  = "admin_key_very_secret"
	// secretBody stands for whatever an answer may hold that is nobody's business.
	secretBody = "4242-4242-body-of-the-answer"
)

// request is what the stand-in saw.
type request struct {
	method, path string
	header       http.Header
	form         map[string][]string
	body         map[string]any
}

// testBundle is a set of activities in front of a server that plays the proxy.
type testBundle struct {
	env    *testsuite.TestActivityEnvironment
	act    *activities.Activities
	server *httptest.Server

	mu       sync.Mutex
	answer   http.HandlerFunc
	requests []request
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{}
	b.server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.server.Close)
	control, err := client.New(client.Config{BaseURL: b.server.URL, AdminKey: adminKey, HTTPClient: b.server.Client()})
	require.NoError(t, err)
	b.act, err = activities.New(activities.Config{
		DataURL: b.server.URL + "/", Control: control, Transport: b.server.Client().Transport,
	})
	require.NoError(t, err)
	var suite testsuite.WorkflowTestSuite
	b.env = suite.NewTestActivityEnvironment()
	b.env.RegisterActivity(b.act)
	return b
}

func (b *testBundle) serve(w http.ResponseWriter, r *http.Request) {
	seen := request{method: r.Method, path: r.URL.RequestURI(), header: r.Header.Clone()}
	if r.Header.Get("Content-Type") == "application/json" {
		_ = json.NewDecoder(r.Body).Decode(&seen.body)
	} else if err := r.ParseForm(); err == nil {
		seen.form = r.PostForm
	}
	b.mu.Lock()
	b.requests = append(b.requests, seen)
	answer := b.answer
	b.mu.Unlock()
	answer(w, r)
}

// requireOne returns the only request that was made.
func (b *testBundle) requireOne(t *testing.T) request {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Len(t, b.requests, 1, "exactly one attempt reaches the proxy")
	return b.requests[0]
}

func (b *testBundle) charge(t *testing.T) (activities.ChargeResult, error) {
	t.Helper()
	value, err := b.env.ExecuteActivity(b.act.ChargeCustomer, chargeInput())
	if err != nil {
		return activities.ChargeResult{}, err
	}
	var result activities.ChargeResult
	require.NoError(t, value.Get(&result))
	return result, nil
}

func chargeInput() activities.ChargeInput {
	return activities.ChargeInput{
		VaultKey:       secretKey,
		RootWorkflowID: "billing-pro-2026-11",
		Item:           7,
		Customer:       customerlist.Customer{ID: "cus_7", PaymentMethod: "pm_card_visa", AmountCents: 1999, Currency: "usd"},
		Description:    "billing pro 2026-11",
	}
}

// intent answers as Stripe does for a payment intent in the given status.
func intent(status string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		fmt.Fprintf(w, `{"id":"pi_1","object":"payment_intent","amount":1999,"currency":"usd","status":%q}`, status)
	}
}

// denial answers as the proxy does when it refuses a call itself.
func denial(status int, code string, more map[string]any, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body := map[string]any{
			"code": code, "message": secretBody,
			"error": map[string]any{"type": "invalid_request_error", "code": code, "message": secretBody},
		}
		maps.Copy(body, more)
		w.Header().Set("Tollgate-Denied", code)
		answerJSON(w, status, body, header...)
	}
}

// vendorError answers as the proxy passes on an error of the vendor.
func vendorError(status int, fault map[string]any, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		fault["message"] = secretBody
		answerJSON(w, status, map[string]any{"error": fault}, header...)
	}
}

func answerJSON(w http.ResponseWriter, status int, body any, header ...string) {
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// requireFault asserts that err would reach Temporal with this type, at the
// outermost level, and tells nothing that it should not.
func requireFault(t *testing.T, err error, kind string, retryable bool) {
	t.Helper()
	fault := faultOf(t, err)
	require.Equal(t, kind, fault.Type())
	require.Equal(t, retryable, !fault.NonRetryable())
	for _, secret := range []string{secretKey, adminKey, secretBody, "very_secret"} {
		require.NotContains(t, err.Error(), secret)
	}
	require.NotContains(t, fault.Message(), "\n")
}

func faultOf(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var fault *temporal.ApplicationError
	require.ErrorAs(t, err, &fault)
	return fault
}
