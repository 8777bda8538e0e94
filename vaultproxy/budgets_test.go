package vaultproxy_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

const capByMe = `"by":"Jürgen","reason":"agreed with finance"`

// put sets a cap; the answer has to be a success.
func (b *testBundle) put(path, body string) httpAnswer {
	b.t.Helper()
	got := b.admin(http.MethodPut, "/vault/budgets/"+path, body)
	require.Equal(b.t, http.StatusOK, got.status, got.raw)
	return got
}

func ofTenant(tenant, run string) func(*client.IssueRequest) {
	return func(r *client.IssueRequest) { r.Tenant, r.AgentRunLabel = tenant, run }
}

func TestBudget_OfATenantBoundsItsRunsTogether(t *testing.T) {
	t.Parallel()
	for window, kind := range map[string]string{"total_usd_cap": "tenant/total", "daily_usd_cap": "tenant/day"} {
		t.Run(window, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			b.put("tenant/acme", `{"`+window+`":"2.00",`+capByMe+`}`)
			one := b.issue(10*money.Dollar, ofTenant("acme", b.run()+"/1"))
			two := b.issue(10*money.Dollar, ofTenant("acme", b.run()+"/2"))
			other := b.issue(10*money.Dollar, ofTenant("other", b.run()+"/1"))
			require.Equal(t, http.StatusOK, b.post(one.VaultKey, intents, "item-1", charge).status)
			require.Equal(t, http.StatusOK, b.post(two.VaultKey, intents, "item-1", charge).status)
			got := b.post(two.VaultKey, intents, "item-2", charge)
			require.Equal(t, "cap_exhausted", got.code(), got.raw)
			require.Equal(t, kind, got.text("budget"))
			require.Equal(t, "2.00", got.text("settled_usd"))
			require.Equal(t, http.StatusOK, b.post(other.VaultKey, intents, "item-1", charge).status)

			key, err := b.control.Key(t.Context(), two.KeyID)
			require.NoError(t, err)
			last := key.Budgets[len(key.Budgets)-1]
			require.Equal(t, "tenant", last.Scope)
			require.Equal(t, "acme", last.Name)
			require.Equal(t, 2*money.Dollar, last.SettledUSD)

			b.put("tenant/acme", `{"`+window+`":3,`+capByMe+`}`)
			require.Equal(t, http.StatusOK, b.post(two.VaultKey, intents, "item-2", charge).status)
		})
	}
}

func TestBudget_OfATenantIsOpenedWithWhatItsCallsUseAlready(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10*money.Dollar, ofTenant("acme", b.run()))
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	set, err := b.control.SetCap(t.Context(), "tenant", "acme", client.CapChange{
		DailyUSDCap: usd(2 * money.Dollar), TotalUSDCap: usd(money.Dollar), By: "me", Reason: "because",
	})
	require.NoError(t, err)
	require.Len(t, set, 2)
	require.Equal(t, []string{"total", b.clock.now().UTC().Format(time.DateOnly)}, []string{set[0].Window, set[1].Window})
	for _, budget := range set {
		require.Equal(t, money.Dollar, budget.SettledUSD)
	}
	got := b.post(key.VaultKey, intents, "item-2", charge)
	require.Equal(t, "tenant/total", got.text("budget"), got.raw)
}

func TestBudget_OfARunIsSharedByItsKeysAndChangedByAPersonOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	first := b.issue(2*money.Dollar, func(r *client.IssueRequest) { r.Phase = "charge" })
	second := b.issue(100*money.Dollar, func(r *client.IssueRequest) { r.Phase = "approval" })
	require.Equal(t, http.StatusOK, b.post(first.VaultKey, intents, "item-1", charge).status)
	require.Equal(t, http.StatusOK, b.post(second.VaultKey, intents, "item-2", charge).status)
	got := b.post(second.VaultKey, intents, "item-3", charge)
	require.Equal(t, "cap_exhausted", got.code(), "another phase of the run has no cap of its own")
	require.Equal(t, "run/total", got.text("budget"))

	set, err := b.control.SetCap(t.Context(), "run", b.run(), client.CapChange{RunUSDCap: usd(3 * money.Dollar), By: "me", Reason: "more customers"})
	require.NoError(t, err)
	require.Equal(t, b.run(), set[0].Name)
	require.Equal(t, 3*money.Dollar, set[0].CapUSD)
	require.Equal(t, money.Dollar, set[0].RemainingUSD)
	require.Equal(t, http.StatusOK, b.post(second.VaultKey, intents, "item-3", charge).status)

	set, err = b.control.SetCap(t.Context(), "run", b.run(), client.CapChange{RunUSDCap: usd(money.Dollar), By: "me", Reason: "too much"})
	require.NoError(t, err)
	require.Equal(t, 3*money.Dollar, set[0].SettledUSD, "what is spent stays spent")
	require.Zero(t, set[0].RemainingUSD)
	require.Equal(t, "cap_exhausted", b.post(second.VaultKey, intents, "item-4", charge).code())
	b.put("run/"+b.run(), `{"run_usd_cap":3,`+capByMe+`}`)

	page, err := b.control.Audit(t.Context(), client.AuditQuery{Run: b.run(), Verdict: "cap_set"})
	require.NoError(t, err)
	require.Len(t, page.Rows, 3)
	require.Equal(t, "person", page.Rows[0].By)
	require.Equal(t, "me", page.Rows[0].Who)
	require.Equal(t, "more customers", page.Rows[0].Note)
	require.Equal(t, 2*money.Dollar, page.Rows[0].PriceUSD, "before")
	require.Equal(t, 3*money.Dollar, page.Rows[0].AmountUSD, "after")
	require.Equal(t, "Jürgen", page.Rows[2].Who)
}

func TestBudget_TakesARunsLabelWithItsSlashesHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	label := "temporal/default//a b%2F?x=1&y#z/.."
	b.issue(money.Dollar, ofTenant("", label))
	b.issue(money.Dollar, ofTenant("acme", label))
	got := b.put("run/"+url.PathEscape(label), `{"run_usd_cap":2,`+capByMe+`}`)
	require.Contains(t, got.raw, `"cap_usd":"2.00"`)
	_, err := b.control.SetCap(t.Context(), "run", label, client.CapChange{RunUSDCap: usd(5 * money.Dollar), Tenant: "acme", By: "me", Reason: "r"})
	require.NoError(t, err)

	found, err := b.control.Budgets(t.Context(), client.BudgetQuery{Scope: "run", Name: label})
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, "acme", found[0].Tenant)
	require.Equal(t, 5*money.Dollar, found[0].CapUSD)
	require.Empty(t, found[1].Tenant)
	require.Equal(t, 2*money.Dollar, found[1].CapUSD)

	plain := "temporal/default/plain"
	b.issue(money.Dollar, ofTenant("", plain))
	b.put("run/"+plain, `{"run_usd_cap":7,`+capByMe+`}`)
	found, err = b.control.Budgets(t.Context(), client.BudgetQuery{Name: plain})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, 7*money.Dollar, found[0].CapUSD)
	b.issue(money.Dollar, ofTenant("", ".."))
	_, err = b.control.SetCap(t.Context(), "run", "..", client.CapChange{RunUSDCap: usd(money.Dollar), By: "me", Reason: "r"})
	require.NoError(t, err)
}

func TestBudgets_AreNarrowedByScopeNameAndTenant(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	b.issue(money.Dollar, ofTenant("acme", "r1"))
	b.issue(money.Dollar, ofTenant("acme", "r2"))
	b.issue(money.Dollar, ofTenant("other", "r1"))
	b.put("tenant/acme", `{"total_usd_cap":2,`+capByMe+`}`)
	for name, tc := range map[string]struct {
		query client.BudgetQuery
		want  []string
	}{
		"all":                {client.BudgetQuery{}, []string{"tenant/acme", "run/r1", "run/r2", "run/r1"}},
		"one":                {client.BudgetQuery{Limit: 1}, []string{"tenant/acme"}},
		"tenants":            {client.BudgetQuery{Scope: "tenant"}, []string{"tenant/acme"}},
		"runs of a name":     {client.BudgetQuery{Scope: "run", Name: "r1"}, []string{"run/r1", "run/r1"}},
		"all of a tenant":    {client.BudgetQuery{Tenant: "acme"}, []string{"tenant/acme", "run/r2", "run/r1"}},
		"a run of a tenant":  {client.BudgetQuery{Tenant: "other", Name: "r1"}, []string{"run/r1"}},
		"what is not there":  {client.BudgetQuery{Name: "nobody"}, []string{}},
		"the runs of nobody": {client.BudgetQuery{Tenant: "nobody"}, []string{}},
	} {
		found, err := b.control.Budgets(t.Context(), tc.query)
		require.NoError(t, err, name)
		names := []string{}
		for _, budget := range found {
			names = append(names, budget.Scope+"/"+budget.Name)
		}
		require.ElementsMatch(t, tc.want, names, name)
	}
	for _, path := range []string{"?scope=key", "?limit=0", "?run=x"} {
		got := b.admin(http.MethodGet, "/vault/budgets"+path, "")
		require.Equal(t, http.StatusBadRequest, got.status, path)
	}
}

func TestBudget_IsNotSetByWhatIsNotClear(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	b.issue(money.Dollar)
	for name, tc := range map[string]struct {
		path, body string
		status     int
	}{
		"a run without its cap":          {"run/" + b.run(), `{` + capByMe + `}`, 400},
		"a run with a tenant's cap":      {"run/" + b.run(), `{"run_usd_cap":5,"daily_usd_cap":5,` + capByMe + `}`, 400},
		"a tenant with a run's cap":      {"tenant/acme", `{"run_usd_cap":5,` + capByMe + `}`, 400},
		"a tenant of a tenant":           {"tenant/acme", `{"total_usd_cap":5,"tenant":"acme",` + capByMe + `}`, 400},
		"a key":                          {"key/k1", `{"total_usd_cap":5,` + capByMe + `}`, 400},
		"a negative cap":                 {"tenant/acme", `{"total_usd_cap":-5,` + capByMe + `}`, 400},
		"one cap good and one not":       {"tenant/acme", `{"total_usd_cap":5,"daily_usd_cap":-5,` + capByMe + `}`, 400},
		"nobody":                         {"tenant/acme", `{"total_usd_cap":5,"reason":"r"}`, 400},
		"no reason":                      {"tenant/acme", `{"total_usd_cap":5,"by":"me"}`, 400},
		"no name":                        {"tenant/", `{"total_usd_cap":5,` + capByMe + `}`, 400},
		"a name that is not plain":       {"tenant/%C3%BC", `{"total_usd_cap":5,` + capByMe + `}`, 400},
		"a cap that is misspelt":         {"tenant/acme", `{"total_usd_capp":5,` + capByMe + `}`, 400},
		"a cap that is given twice":      {"tenant/acme", `{"total_usd_cap":5,"Total_usd_cap":50,` + capByMe + `}`, 400},
		"a run that was never issued":    {"run/nobody", `{"run_usd_cap":5,` + capByMe + `}`, 404},
		"a run that is another tenant's": {"run/" + b.run(), `{"run_usd_cap":5,"tenant":"acme",` + capByMe + `}`, 404},
		"no scope":                       {"", `{"run_usd_cap":5,` + capByMe + `}`, 404},
	} {
		got := b.admin(http.MethodPut, "/vault/budgets/"+tc.path, tc.body)
		require.Equal(t, tc.status, got.status, "%s: %s", name, got.raw)
	}
	found, err := b.control.Budgets(t.Context(), client.BudgetQuery{})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, money.Dollar, found[0].CapUSD)
}

func TestBudget_L8_WhoWaitsGetsThroughWhenACapIsRaised(t *testing.T) {
	t.Parallel()
	b, vendor := setupWaiting(t, forAsLongAsItTakes)
	key := b.issue(10*money.Dollar, func(r *client.IssueRequest) { r.RunUSDCap = usd(money.Dollar) })
	first := b.inBackground(key.VaultKey, intents, "item-1", charge)
	<-vendor.arrived
	second := b.inBackground(key.VaultKey, intents, "item-2", charge)
	b.untilWaiting(1)
	b.put("run/"+b.run(), `{"run_usd_cap":2,`+capByMe+`}`)
	<-vendor.arrived
	vendor.release()
	require.Equal(t, http.StatusOK, (<-first).status)
	require.Equal(t, http.StatusOK, (<-second).status)
}

func TestRevoke_OfATenantEndsItsKeysAndNobodyElses(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	one := b.issue(money.Dollar, ofTenant("acme", "r1"))
	two := b.issue(money.Dollar, ofTenant("acme", "r2"))
	other := b.issue(money.Dollar, ofTenant("other", "r1"))
	for _, query := range []string{"?tenant=", "?tenant=acme&agent_run_label=", "?agent_run_label="} {
		got := b.admin(http.MethodDelete, "/vault/keys"+query, "")
		require.Equal(t, http.StatusBadRequest, got.status, query)
	}
	require.Equal(t, http.StatusNotFound, b.admin(http.MethodDelete, "/vault/keys?tenant=nobody", "").status)

	got, err := b.control.RevokeTenant(t.Context(), "acme")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{one.KeyID, two.KeyID}, got.KeyIDs)
	require.Equal(t, "acme", got.Tenant)
	require.Empty(t, got.AgentRunLabel)
	for _, key := range []client.IssuedKey{one, two} {
		require.Equal(t, "key_revoked", b.post(key.VaultKey, intents, "item-1", charge).code())
	}
	require.Equal(t, http.StatusOK, b.post(other.VaultKey, intents, "item-1", charge).status)
	b.issue(money.Dollar, ofTenant("acme", "r1"), func(r *client.IssueRequest) { r.Phase = "another" }) // its runs stay open

	closed := b.admin(http.MethodDelete, "/vault/keys?tenant=acme&agent_run_label=r1", "")
	require.Equal(t, http.StatusOK, closed.status)
	require.Equal(t, "r1", closed.text("agent_run_label"))
	_, err = b.control.Issue(t.Context(), b.terms(money.Dollar, ofTenant("acme", "r1"), func(r *client.IssueRequest) { r.Phase = "third" }), "")
	require.ErrorContains(t, err, "run_closed")
}
