package activities_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestIssueVaultKey_NeverGoesOnUnderAnotherTenant(t *testing.T) {
	t.Parallel()
	for sentence, runs := range map[string][]any{
		"the run had none":    {map[string]any{"agent_run_label": "x"}},
		"the run has another": {map[string]any{"agent_run_label": "x", "tenant": "globex"}},
		"there are two":       {map[string]any{"agent_run_label": "x", "tenant": "acme"}, map[string]any{"agent_run_label": "x"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = func(w http.ResponseWriter, _ *http.Request) {
				answerJSON(w, http.StatusOK, map[string]any{"runs": runs})
			}
			in := issueInput()
			in.Tenant = "acme"
			_, err := b.env.ExecuteActivity(b.act.IssueVaultKey, in)
			requireFault(t, err, activities.TypePolicyConflict, false)
			require.Equal(t, http.MethodGet, b.requireOne(t).method, "no key was asked for")
		})
	}
}

func raiseInput() activities.RaiseInput {
	return activities.RaiseInput{RunLabel: "temporal/default/run", Tenant: "acme", BudgetUSD: 800 * money.Dollar, By: "Ada", Reason: "late invoices"}
}

func TestRaiseBudget_StaysWithinTheTenantsAndSaysWhoAskedForIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tenantCap, runCap := "1000.00", "500.00"
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		budget := map[string]any{"scope": "run", "window": "total", "cap_usd": "800.00", "remaining_usd": "300.00"}
		switch {
		case r.Method == http.MethodGet && r.URL.Query().Get("scope") == "run":
			budget["cap_usd"], budget["tenant"] = runCap, "acme"
		case r.Method == http.MethodGet:
			budget = map[string]any{"scope": "tenant", "name": "acme", "window": "total", "cap_usd": tenantCap}
		}
		answerJSON(w, http.StatusOK, map[string]any{"budgets": []any{budget}})
	}
	value, err := b.env.ExecuteActivity(b.act.RaiseBudget, raiseInput())
	require.NoError(t, err)
	var got activities.RunBudget
	require.NoError(t, value.Get(&got))
	require.Equal(t, activities.RunBudget{CapUSD: 800 * money.Dollar, RemainingUSD: 300 * money.Dollar}, got)
	require.Len(t, b.requests, 3)
	require.Equal(t, http.MethodPut, b.requests[2].method)
	require.Equal(t, "/vault/budgets/run/temporal%2Fdefault%2Frun", b.requests[2].path)
	require.Equal(t, map[string]any{"run_usd_cap": "800.00", "tenant": "acme", "by": "Ada", "reason": "late invoices"}, b.requests[2].body)

	tenantCap = "799.99"
	_, err = b.env.ExecuteActivity(b.act.RaiseBudget, raiseInput())
	requireFault(t, err, activities.TypeAboveTenantBudget, false)
	require.Len(t, b.requests, 4, "nothing was set")

	tenantCap, runCap = "1000.00", "800.01"
	_, err = b.env.ExecuteActivity(b.act.RaiseBudget, raiseInput())
	requireFault(t, err, activities.TypeInvalidRequest, false)
	require.ErrorContains(t, err, "the ledger has the run's budget at 800.01 USD already", "somebody raised it past the run")
	require.Len(t, b.requests, 6, "nothing was set")
}

func TestHeldItems_AreThoseAboveTheAmountAndNotThoseAtIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	source := customerlist.Source{Generate: 2500, Seed: 3}
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	all, err := customerlist.NewReader().Page(t.Context(), source, pinned, 0, pinned.Count)
	require.NoError(t, err)
	at := money.USD(all[17].AmountCents) * money.Cent
	var want outcome.Ranges
	for i, customer := range all {
		if money.USD(customer.AmountCents)*money.Cent > at {
			want.Add(i, i+1)
		}
	}
	in := activities.HeldInput{Source: source, Pinned: pinned, AboveUSD: at, MaxRanges: len(want)}
	value, err := b.env.ExecuteActivity(b.act.HeldItems, in)
	require.NoError(t, err)
	var got activities.HeldResult
	require.NoError(t, value.Get(&got))
	require.Equal(t, want, got.Items)

	in.MaxRanges--
	_, err = b.env.ExecuteActivity(b.act.HeldItems, in)
	requireFault(t, err, activities.TypeTooManyApprovals, false)
}
