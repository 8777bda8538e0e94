package vaultproxy_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestControl_TakesNoCapThatIsGivenTwice(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	for name, body := range map[string]string{
		"the same name twice": `{"vendor":"stripe","daily_usd_cap":5,"daily_usd_cap":5000,"expires_in":"2h",
			"allowed_endpoints":["POST /v1/payment_intents"],"agent_run_label":"r"}`,
		"in another case": `{"vendor":"stripe","daily_usd_cap":5,"Daily_USD_Cap":5000,"expires_in":"2h",
			"allowed_endpoints":["POST /v1/payment_intents"],"agent_run_label":"r"}`,
	} {
		got := b.admin(http.MethodPost, "/vault/keys", body)
		require.Equal(t, http.StatusBadRequest, got.status, name)
		require.Contains(t, got.body["message"], "twice", name)
	}
}

func TestControl_RefusesAQueryThatItWouldNotHeed(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	b.issue(money.Dollar)
	for _, path := range []string{
		"/vault/calls?stat=unknown", "/vault/calls?state=doubtful", "/vault/calls?state=unknown&state=settled",
		"/vault/audit?agent_run=x", "/vault/keys?label=x", "/vault/reports/runs?run=x",
	} {
		got := b.admin(http.MethodGet, path, "")
		require.Equal(t, http.StatusBadRequest, got.status, path)
		require.Equal(t, "request_invalid", got.code(), path)
	}
	require.Equal(t, http.StatusBadRequest, b.admin(http.MethodDelete, "/vault/keys?agent_run_label=x&tenat=y", "").status)
	require.Equal(t, http.StatusOK, b.admin(http.MethodGet, "/vault/calls?state=unknown", "").status)
}

func TestMeter_TellsARefusedSecretFromAVendorThatIsAway(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		http.StatusUnauthorized: "vendor_credentials", http.StatusForbidden: "vendor_credentials",
		http.StatusTooManyRequests: "rate_limited", http.StatusBadGateway: "vendor_unavailable",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			t.Cleanup(vendor.Close)
			b := setup(t, setupOptions{url: vendor.URL})
			key := b.issue(money.Dollar)
			got := b.post(key.VaultKey, intents+"/pi_1/capture", "capture-1", "")
			require.Equal(t, want, got.code(), got.body)
		})
	}
}

func TestIssue_TheSameRunWithOtherInputsGetsNoKey(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	list := func(digest string) func(*client.IssueRequest) {
		return func(r *client.IssueRequest) { r.InputsDigest = digest }
	}
	key := b.issue(money.Dollar, list("0a1b"))
	require.Equal(t, key, b.issue(money.Dollar, list("0a1b")))
	for _, other := range []string{"0a1c", ""} {
		_, err := b.control.Issue(t.Context(), b.terms(money.Dollar, list(other)), "")
		var refused *client.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "policy_conflict", refused.Code)
	}
	b.clock.advance(3 * time.Hour) // nor once the key has expired
	_, err := b.control.Issue(t.Context(), b.terms(money.Dollar, list("0a1c")), "")
	require.ErrorContains(t, err, "policy_conflict")
}
