package vaultproxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

func controlPaths() map[string]string {
	return map[string]string{
		"/vault/keys": http.MethodGet, "/vault/keys/k": http.MethodGet, "/vault/audit": http.MethodGet,
		"/vault/calls": http.MethodGet, "/vault/budgets": http.MethodGet, "/vault/budgets/run/a/b": http.MethodPut,
		"/vault/calls/call_1/resolve": http.MethodPost, "/vault/reports/runs": http.MethodGet,
	}
}

func TestPlanes_NoKeyOpensTheOtherOne(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	calls := controlPaths()
	for path, method := range calls {
		for name, header := range map[string][]string{
			"a vault key":               {"Authorization", "Bearer " + key.VaultKey},
			"another key":               {"Authorization", "Bearer admin-key-of-the-tesus"},
			"the admin key's beginning": {"Authorization", "Bearer " + adminKey[:16]},
			"no key":                    nil,
			"another scheme":            {"Authorization", "Basic " + adminKey},
		} {
			got, err := b.do(method, b.front.URL+path, "", header...)
			require.NoError(t, err)
			require.Equal(t, http.StatusUnauthorized, got.status, "%s %s", path, name)
			require.Equal(t, "admin_key_invalid", got.code())
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		got, err := b.do(method, b.front.URL+"/vault/keys/"+key.KeyID, "{}", "Authorization", "Bearer "+key.VaultKey)
		require.NoError(t, err)
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusNotFound}, got.status)
	}
	got := b.post(adminKey, intents, "item-1", charge)
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Equal(t, "key_unknown", got.code())
	require.Zero(t, b.sim.Truth().Posts)
	view, err := b.control.Key(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, "live", view.State)
}

func TestPlanes_SplitEachServesItsOwnPathsOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	control, data := serveQuietly(b.proxy.Control()), serveQuietly(b.proxy.Data())
	t.Cleanup(control.Close)
	t.Cleanup(data.Close)

	got, err := b.do(http.MethodPost, data.URL+intents, charge, "Authorization", "Bearer "+key.VaultKey,
		"Idempotency-Key", "item-1", "Content-Type", "application/x-www-form-urlencoded")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	got, err = b.do(http.MethodGet, control.URL+"/vault/keys/"+key.KeyID, "", "Authorization", "Bearer "+adminKey)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.status, got.raw)

	for path, method := range controlPaths() {
		got, err := b.do(method, data.URL+path, "", "Authorization", "Bearer "+adminKey)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, got.status, "the data plane takes %s for a vendor's path", path)
		require.Equal(t, "key_unknown", got.code())
	}
	got, err = b.do(http.MethodPost, control.URL+intents, charge, "Authorization", "Bearer "+key.VaultKey, "Idempotency-Key", "item-2")
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, got.status)
	require.Equal(t, 1, b.sim.Truth().Posts)
}

func TestAuthenticate_TakesTheTokenAsBearerOrAsBasicPassword(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.front.URL+intents, strings.NewReader(charge))
	require.NoError(t, err)
	req.SetBasicAuth("anything", key.VaultKey)
	req.Header.Set("Idempotency-Key", "item-1")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := b.front.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func TestAuthenticate_RefusesEveryOtherToken(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	parts := strings.Split(strings.TrimPrefix(key.VaultKey, vaultproxy.TokenPrefix), "_")
	require.Len(t, parts, 3)
	forged := func(ledgerID, keyID, mac string) string {
		return vaultproxy.TokenPrefix + ledgerID + "_" + keyID + "_" + mac
	}
	last := byte('0')
	if parts[2][len(parts[2])-2] == last {
		last = '1'
	}
	for name, tc := range map[string]struct {
		token, code string
		status      int
	}{
		"nothing":                        {"", "key_unknown", 401},
		"something else":                 {"sk_test_1", "key_unknown", 401},
		"the key's ID":                   {key.KeyID, "key_unknown", 401},
		"no MAC":                         {forged(parts[0], parts[1], ""), "key_unknown", 401},
		"another MAC":                    {forged(parts[0], parts[1], parts[2][:len(parts[2])-2]+string(last)+parts[2][len(parts[2])-1:]), "key_unknown", 401},
		"a MAC cut short":                {forged(parts[0], parts[1], parts[2][:16]), "key_unknown", 401},
		"another key's ID":               {forged(parts[0], "0123456789abcdef", parts[2]), "key_unknown", 401},
		"in capitals":                    {strings.ToUpper(key.VaultKey), "key_unknown", 401},
		"the key of a ledger of its own": {forged("0000000000000000", parts[1], parts[2]), "wrong_ledger", 503},
	} {
		got := b.post(tc.token, intents, "item-1", charge)
		require.Equal(t, tc.status, got.status, "%s: %s", name, got.raw)
		require.Equal(t, tc.code, got.code(), name)
		require.Equal(t, tc.code, got.header.Get("Tollgate-Denied"), name)
	}
	require.Zero(t, b.sim.Truth().Posts)
}

func TestL15_AKeyOfAnotherLedgerIsToldSo(t *testing.T) {
	t.Parallel()
	one, two := setup(t, setupOptions{}), setup(t, setupOptions{})
	key := one.issue(money.Dollar)
	got := two.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "wrong_ledger", got.code())
	require.Empty(t, got.header.Get("Stripe-Should-Retry"), "another proxy may answer next time")
}

func TestControl_AnswersWhatIsNotThereWithNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	for path, method := range map[string]string{
		"/vault/keys/nobody":                     http.MethodGet,
		"/vault/keys/nobody?x=1":                 http.MethodDelete,
		"/vault/keys?agent_run_label=nobody":     http.MethodDelete,
		"/vault/reports/runs?agent_run_label=no": http.MethodGet,
		"/vault/nothing":                         http.MethodGet,
		"/vault/keys/":                           http.MethodGet,
		"/vault/audit":                           http.MethodPost,
	} {
		got := b.admin(method, path, "")
		require.Equal(t, http.StatusNotFound, got.status, "%s %s: %s", method, path, got.raw)
		require.NotEmpty(t, got.code())
	}
	got := b.admin(http.MethodDelete, "/vault/keys", "")
	require.Equal(t, http.StatusBadRequest, got.status, "no run is closed that was not named")
}

func TestKey_ShowsItsPolicyItsUseAndItsState(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10*money.Dollar, func(r *client.IssueRequest) {
		r.DailyUSDCap, r.RunUSDCap, r.AgentName, r.Phase = usd(5*money.Dollar), usd(20*money.Dollar), "biller", "charge"
	})
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	b.create(key, "create", "amount=200&currency=usd")
	b.sim.NextFaults(vendorsim.AnswerLost)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-2", charge).code())

	got, err := b.control.Key(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, "live", got.State)
	require.Equal(t, "biller", got.AgentName)
	require.Equal(t, "charge", got.Phase)
	require.Equal(t, client.CallCounts{Settled: 1, Committed: 1, Unknown: 1}, got.Calls)
	require.Len(t, got.Budgets, 3)
	caps := map[string]money.USD{}
	for _, budget := range got.Budgets {
		require.Equal(t, money.Dollar, budget.SettledUSD)
		require.Equal(t, 2*money.Dollar, budget.CommittedUSD)
		require.Equal(t, money.Dollar, budget.UnknownUSD)
		require.Equal(t, budget.CapUSD-4*money.Dollar, budget.RemainingUSD)
		caps[budget.Scope+"/"+budget.Window] = budget.CapUSD
	}
	today := b.clock.now().UTC().Format(time.DateOnly)
	require.Equal(t, map[string]money.USD{"key/" + today: 5 * money.Dollar, "key/total": 10 * money.Dollar, "run/total": 20 * money.Dollar}, caps)

	revoked, err := b.control.Revoke(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, 1, revoked.UnknownCalls)
	require.Equal(t, money.Dollar, revoked.UnknownUSD)
	got, err = b.control.Key(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, "revoked", got.State)
	require.NotNil(t, got.RevokedAt)
}

func TestRevoke_TellsWhatWasInFlightAndLetsItEnd(t *testing.T) {
	t.Parallel()
	g := newGate(http.MethodPost)
	b := setup(t, setupOptions{gate: g})
	key := b.issue(10 * money.Dollar)
	first := b.inBackground(key.VaultKey, intents, "item-1", charge)
	<-g.entered
	got, err := b.control.Revoke(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, 1, got.InFlight)
	require.Equal(t, money.Dollar, got.InFlightUSD)
	require.Equal(t, "key_revoked", b.post(key.VaultKey, intents, "item-2", charge).code())
	g.release()
	require.Equal(t, http.StatusOK, (<-first).status)
	b.requireBudget(0, money.Dollar)
}

func TestHealth_NeedsNoKeyAndReadinessAsksTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	for _, path := range []string{"/healthz", "/readyz"} {
		got, err := b.do(http.MethodGet, b.front.URL+path, "")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, got.status, path)
	}
	require.NoError(t, b.control.Ready(t.Context()))
	require.NoError(t, b.store.Close())
	got, err := b.do(http.MethodGet, b.front.URL+"/readyz", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "ledger_unavailable", got.code())
	got, err = b.do(http.MethodGet, b.front.URL+"/healthz", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.status, "the process itself lives")
	b.stop()
	b.start()
}
