package vaultproxy_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func requireCode(t *testing.T, err error, status int, code string, why ...any) {
	t.Helper()
	var e *client.Error
	require.ErrorAs(t, err, &e, why...)
	require.Equal(t, status, e.Status, why...)
	require.Equal(t, code, e.Code, why...)
}

func TestL16_IssuingAgainReturnsTheSameKey(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	first := b.issue(money.Dollar)
	b.clock.advance(time.Hour)
	require.Equal(t, first, b.issue(money.Dollar))
	keys, err := b.control.Keys(t.Context(), b.run())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, 1, keys[0].Generation)
}

func TestL16_ManyIssuesAtOnceAreOneKey(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	req := b.terms(money.Dollar)
	const callers = 32
	var wg sync.WaitGroup
	var got [callers]client.IssuedKey
	var errs [callers]error
	for i := range got {
		wg.Go(func() { got[i], errs[i] = b.control.Issue(t.Context(), req, "") })
	}
	wg.Wait()
	for i := range got {
		require.NoError(t, errs[i])
		require.Equal(t, got[0], got[i])
	}
}

func TestL16_AnotherPolicyUnderTheSameIdentityIsAConflict(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	b.issue(money.Dollar)
	for name, change := range map[string]func(*client.IssueRequest){
		"a higher cap":      func(r *client.IssueRequest) { r.TotalUSDCap = usd(2 * money.Dollar) },
		"one more cap":      func(r *client.IssueRequest) { r.PerCallUSDCap = usd(money.Dollar) },
		"another run cap":   func(r *client.IssueRequest) { r.RunUSDCap = usd(2 * money.Dollar) },
		"another allowlist": func(r *client.IssueRequest) { r.AllowedEndpoints = r.AllowedEndpoints[:1] },
		"another agent":     func(r *client.IssueRequest) { r.AgentName = "other" },
	} {
		_, err := b.control.Issue(t.Context(), b.terms(money.Dollar, change), "")
		requireCode(t, err, http.StatusConflict, "policy_conflict", name)
	}
	keys, err := b.control.Keys(t.Context(), b.run())
	require.NoError(t, err)
	require.Len(t, keys, 1, "a conflict mints nothing")
}

func TestL16_AnIdempotencyKeyIsTheIdentityIfThereIsOne(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	one, err := b.control.Issue(t.Context(), b.terms(money.Dollar), "issue-1")
	require.NoError(t, err)
	again, err := b.control.Issue(t.Context(), b.terms(money.Dollar), "issue-1")
	require.NoError(t, err)
	require.Equal(t, one, again)
	two, err := b.control.Issue(t.Context(), b.terms(money.Dollar), "issue-2")
	require.NoError(t, err)
	require.NotEqual(t, one.KeyID, two.KeyID)
	_, err = b.control.Issue(t.Context(), b.terms(money.Dollar, func(r *client.IssueRequest) { r.AgentRunLabel += "/other" }), "issue-1")
	requireCode(t, err, http.StatusConflict, "policy_conflict")
}

func TestL16_ARevokedKeysIdentityIssuesNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	first, err := b.control.Revoke(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, []string{key.KeyID}, first.KeyIDs)
	b.clock.advance(time.Minute)
	again, err := b.control.Revoke(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, first, again, "it is revoked once")

	_, err = b.control.Issue(t.Context(), b.terms(money.Dollar), "")
	requireCode(t, err, http.StatusConflict, "run_revoked")
	b.clock.advance(24 * time.Hour)
	_, err = b.control.Issue(t.Context(), b.terms(money.Dollar), "")
	requireCode(t, err, http.StatusConflict, "run_revoked")
	_, err = b.control.Issue(t.Context(), b.terms(money.Dollar, func(r *client.IssueRequest) { r.Phase = "next" }), "")
	require.NoError(t, err, "another phase of the run is not revoked with it")
}

func TestL16_ARevokedKeyIsRenewedOnTheSameBudgetsWhileItsRunIsOpen(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	renew := func(r *client.IssueRequest) { r.Renew = true }
	first := b.issue(2*money.Dollar, renew)
	require.Equal(t, first, b.issue(2*money.Dollar), "to have asked for it makes no other key")
	require.Equal(t, http.StatusOK, b.post(first.VaultKey, intents, "item-1", charge).status)
	_, err := b.control.Revoke(t.Context(), first.KeyID)
	require.NoError(t, err)

	_, err = b.control.Issue(t.Context(), b.terms(2*money.Dollar, renew, b.until(-time.Hour)), "")
	requireCode(t, err, http.StatusBadRequest, "request_invalid")
	_, err = b.control.Issue(t.Context(), b.terms(3*money.Dollar, renew), "")
	requireCode(t, err, http.StatusConflict, "policy_conflict")

	second := b.issue(2*money.Dollar, renew)
	require.NotEqual(t, first.KeyID, second.KeyID)
	require.Equal(t, second, b.issue(2*money.Dollar, renew), "a retry")
	require.Equal(t, "key_revoked", b.post(first.VaultKey, intents, "item-2", charge).code())
	require.Equal(t, http.StatusOK, b.post(second.VaultKey, intents, "item-1", charge).status, "what was charged is replayed")
	require.Equal(t, http.StatusOK, b.post(second.VaultKey, intents, "item-2", charge).status)
	require.Equal(t, "cap_exhausted", b.post(second.VaultKey, intents, "item-3", charge).code(), "it is the same budget")

	_, err = b.control.RevokeRun(t.Context(), b.terms(2*money.Dollar).AgentRunLabel, "")
	require.NoError(t, err)
	_, err = b.control.Issue(t.Context(), b.terms(2*money.Dollar, renew), "")
	requireCode(t, err, http.StatusConflict, "run_revoked")
}

func TestL16_AClosedRunIssuesNoKeyOfAnyPhase(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	one := b.issue(money.Dollar)
	two := b.issue(money.Dollar, func(r *client.IssueRequest) { r.Phase = "two" })
	got, err := b.control.RevokeRun(t.Context(), b.run(), "")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{one.KeyID, two.KeyID}, got.KeyIDs)
	for _, key := range []client.IssuedKey{one, two} {
		require.Equal(t, "key_revoked", b.post(key.VaultKey, intents, "item of "+key.KeyID, charge).code())
	}
	_, err = b.control.Issue(t.Context(), b.terms(money.Dollar, func(r *client.IssueRequest) { r.Phase = "three" }), "")
	requireCode(t, err, http.StatusConflict, "run_closed")
	require.True(t, b.report().Closed)
}

func TestL16_ATenantsRunIsClosedByItsTenantAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar, func(r *client.IssueRequest) { r.Tenant = "acme" })
	for tenant, says := range map[string]string{"": "tenant=", "other": "no run of this label and tenant"} {
		_, err := b.control.RevokeRun(t.Context(), b.run(), tenant)
		requireCode(t, err, http.StatusNotFound, "not_found")
		require.ErrorContains(t, err, says)
	}
	got, err := b.control.RevokeRun(t.Context(), b.run(), "acme")
	require.NoError(t, err)
	require.Equal(t, []string{key.KeyID}, got.KeyIDs)
	require.Equal(t, "key_revoked", b.post(key.VaultKey, intents, "item-1", charge).code())
}

func TestL16_AnExpiredKeyIsIssuedAnewOnTheSameBudgets(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	first := b.issue(2 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(first.VaultKey, intents, "item-1", charge).status)
	b.clock.advance(2 * time.Hour)
	require.Equal(t, "key_expired", b.post(first.VaultKey, intents, "item-2", charge).code())

	second := b.issue(2 * money.Dollar)
	require.NotEqual(t, first.KeyID, second.KeyID)
	require.NotEqual(t, first.VaultKey, second.VaultKey)
	view, err := b.control.Key(t.Context(), second.KeyID)
	require.NoError(t, err)
	require.Equal(t, 2, view.Generation)
	require.Equal(t, http.StatusOK, b.post(second.VaultKey, intents, "item-2", charge).status)
	require.Equal(t, "cap_exhausted", b.post(second.VaultKey, intents, "item-3", charge).code())
	require.Equal(t, "true", b.post(second.VaultKey, intents, "item-1", charge).header.Get("Tollgate-Replayed"))
	require.Equal(t, "key_expired", b.post(first.VaultKey, intents, "item-4", charge).code())
}

// until asks for a key that lives to a moment, an hour and the like from now.
func (b *testBundle) until(d time.Duration) func(*client.IssueRequest) {
	at := b.clock.now().Add(d).UTC().Truncate(time.Second)
	return func(r *client.IssueRequest) { r.ExpiresIn, r.ExpiresAt = "", &at }
}

func TestL16_ALiveKeyKeepsItsExpiryWhateverIsAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	expiry := b.until(2 * time.Hour)
	first := b.issue(money.Dollar, expiry)
	for name, change := range map[string]func(*client.IssueRequest){
		"a later moment":         b.until(5 * time.Hour),
		"an earlier moment":      b.until(time.Hour),
		"a moment that is over":  b.until(-time.Hour),
		"a moment too far ahead": b.until(1000 * time.Hour),
		"a span":                 func(*client.IssueRequest) {},
		"another span":           func(r *client.IssueRequest) { r.ExpiresIn = "9h" },
	} {
		require.Equal(t, first, b.issue(money.Dollar, change), name)
	}
	b.clock.advance(2*time.Hour - time.Second)
	require.Equal(t, http.StatusOK, b.post(first.VaultKey, intents, "item-1", charge).status)
	b.clock.advance(2 * time.Second)
	require.Equal(t, "key_expired", b.post(first.VaultKey, intents, "item-2", charge).code())
}

func TestL16_AnExpiredKeyIsIssuedAnewUntilALaterMoment(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	expiry := b.until(2 * time.Hour)
	first := b.issue(2*money.Dollar, expiry)
	require.Equal(t, http.StatusOK, b.post(first.VaultKey, intents, "item-1", charge).status)
	b.clock.advance(3 * time.Hour)

	for name, change := range map[string]func(*client.IssueRequest){
		"a moment that is over":  expiry,
		"a moment too far ahead": b.until(1000 * time.Hour),
	} {
		_, err := b.control.Issue(t.Context(), b.terms(2*money.Dollar, change), "")
		requireCode(t, err, http.StatusBadRequest, "request_invalid", name)
	}
	second := b.issue(2*money.Dollar, b.until(time.Hour))
	require.NotEqual(t, first.KeyID, second.KeyID)
	view, err := b.control.Key(t.Context(), second.KeyID)
	require.NoError(t, err)
	require.Equal(t, 2, view.Generation)
	require.Equal(t, http.StatusOK, b.post(second.VaultKey, intents, "item-2", charge).status)
	require.Equal(t, "cap_exhausted", b.post(second.VaultKey, intents, "item-3", charge).code(), "it is the same budget")
}

func TestL16_AMomentThatIsOverDoesNotHideWhyNoKeyIsIssued(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	over := b.until(-time.Hour)
	_, err := b.control.Issue(t.Context(), b.terms(2*money.Dollar, over), "")
	requireCode(t, err, http.StatusConflict, "policy_conflict")
	_, err = b.control.Revoke(t.Context(), key.KeyID)
	require.NoError(t, err)
	_, err = b.control.Issue(t.Context(), b.terms(money.Dollar, over), "")
	requireCode(t, err, http.StatusConflict, "run_revoked")
}

func TestL16_TheRunsCapIsFixedAtItsFirstIssue(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	first := b.issue(100*money.Dollar, func(r *client.IssueRequest) { r.RunUSDCap = usd(2 * money.Dollar) })
	_, err := b.control.Issue(t.Context(), b.terms(100*money.Dollar, func(r *client.IssueRequest) {
		r.RunUSDCap, r.Phase = usd(50*money.Dollar), "more"
	}), "")
	requireCode(t, err, http.StatusConflict, "policy_conflict")

	second := b.issue(100*money.Dollar, func(r *client.IssueRequest) { r.Phase = "two" })
	require.Equal(t, http.StatusOK, b.post(first.VaultKey, intents, "item-1", charge).status)
	require.Equal(t, http.StatusOK, b.post(second.VaultKey, intents, "item-2", charge).status)
	for _, key := range []client.IssuedKey{first, second} {
		got := b.post(key.VaultKey, intents, "item of "+key.KeyID, charge)
		require.Equal(t, "cap_exhausted", got.code())
		require.Equal(t, "run/total", got.text("budget"))
	}
}

func TestIssue_RefusesWhatIsNoPolicy(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	const good = `"vendor":"stripe","allowed_endpoints":["POST /v1/payment_intents"],"agent_run_label":"r"`
	for name, tc := range map[string]struct{ body, says string }{
		"a zero cap":                  {`{` + good + `,"expires_in":"2h","daily_usd_cap":0}`, "above zero"},
		"a negative cap":              {`{` + good + `,"expires_in":"2h","total_usd_cap":-1}`, "above zero"},
		"a zero per-call cap":         {`{` + good + `,"expires_in":"2h","total_usd_cap":1,"per_call_usd_cap":0}`, "above zero"},
		"no cap":                      {`{` + good + `,"expires_in":"2h"}`, "no bound"},
		"a per-call cap alone":        {`{` + good + `,"expires_in":"2h","per_call_usd_cap":5}`, "no bound"},
		"a null cap":                  {`{` + good + `,"expires_in":"2h","daily_usd_cap":null}`, "no bound"},
		"a cap with an exponent":      {`{` + good + `,"expires_in":"2h","daily_usd_cap":1e3}`, "not an amount"},
		"a cap that is too fine":      {`{` + good + `,"expires_in":"2h","daily_usd_cap":0.0000001}`, "six decimals"},
		"a cap beyond all bounds":     {`{` + good + `,"expires_in":"2h","daily_usd_cap":99999999999999}`, "too large"},
		"a misspelt cap":              {`{` + good + `,"expires_in":"2h","daily_usd_cap":5,"total_usd_cpa":1}`, "total_usd_cpa"},
		"no life":                     {`{` + good + `,"daily_usd_cap":5}`, "expires_in"},
		"two lives":                   {`{` + good + `,"daily_usd_cap":5,"expires_in":"2h","expires_at":"2999-01-01T00:00:00Z"}`, "either"},
		"a life that is no duration":  {`{` + good + `,"daily_usd_cap":5,"expires_in":"2 hours"}`, "2h"},
		"a negative life":             {`{` + good + `,"daily_usd_cap":5,"expires_in":"-2h"}`, "from 1s"},
		"a life beyond a month":       {`{` + good + `,"daily_usd_cap":5,"expires_in":"745h"}`, "744h"},
		"an expiry in the past":       {`{` + good + `,"daily_usd_cap":5,"expires_at":"2020-01-01T00:00:00Z"}`, "future"},
		"no label":                    {`{"vendor":"stripe","allowed_endpoints":["POST /v1/charges"],"expires_in":"2h","daily_usd_cap":5}`, "agent_run_label"},
		"an unknown vendor":           {`{"vendor":"acme","allowed_endpoints":["POST /v1/charges"],"agent_run_label":"r","expires_in":"2h","daily_usd_cap":5}`, "stripe"},
		"no endpoint":                 {`{"vendor":"stripe","allowed_endpoints":[],"agent_run_label":"r","expires_in":"2h","daily_usd_cap":5}`, "allowed_endpoints"},
		"an endpoint with a wildcard": {`{"vendor":"stripe","allowed_endpoints":["POST /v1/*"],"agent_run_label":"r","expires_in":"2h","daily_usd_cap":5}`, "POST /v1/*"},
		"two objects":                 {`{` + good + `,"expires_in":"2h","daily_usd_cap":5}{}`, "follows"},
		"no object":                   {`[]`, "JSON object"},
		"nothing":                     {``, "JSON object"},
	} {
		got := b.admin(http.MethodPost, "/vault/keys", tc.body)
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", name, got.raw)
		require.Equal(t, "request_invalid", got.code(), name)
		require.Contains(t, got.text("message"), tc.says, name)
	}
	got := b.admin(http.MethodGet, "/vault/keys", "")
	require.JSONEq(t, `{"keys":[]}`, got.raw, "nothing was minted")
	got = b.admin(http.MethodPost, "/vault/keys", `{`+good+`,"expires_in":"2h","daily_usd_cap":5}`, "Idempotency-Key", fmt.Sprintf("%0256d", 0))
	require.Equal(t, "request_invalid", got.code())
}

func TestIssue_TakesAmountsAsNumbersAndAsText(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	const body = `{"vendor":"stripe","allowed_endpoints":["POST /v1/charges"],"agent_run_label":"r","expires_in":"2h","daily_usd_cap":%s}`
	first := b.admin(http.MethodPost, "/vault/keys", fmt.Sprintf(body, `499.99`))
	require.Equal(t, http.StatusCreated, first.status, first.raw)
	for _, same := range []string{`499.990`, `"499.99"`} {
		require.Equal(t, first.raw, b.admin(http.MethodPost, "/vault/keys", fmt.Sprintf(body, same)).raw)
	}
}

func TestIssue_TheTokenIsShownOnlyHere(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	for _, path := range []string{"/vault/keys", "/vault/keys/" + key.KeyID, "/vault/audit", "/vault/calls", "/vault/reports/runs"} {
		got := b.admin(http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, got.status, got.raw)
		require.NotContains(t, got.raw, vaultproxy.TokenPrefix, path)
		require.NotContains(t, got.raw, vendorSecret, path)
		require.Equal(t, "no-store", got.header.Get("Cache-Control"), path)
	}
}
