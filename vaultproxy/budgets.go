package vaultproxy

import (
	"errors"
	"net/http"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// listBudgets tells what runs and tenants may spend and have spent.
func (p *Proxy) listBudgets(r *http.Request) reply {
	q, err := asked(r, "scope", "name", "tenant", "limit")
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	_, limit, err := page(q)
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	switch q.Get("scope") {
	case "", ledger.ScopeRun, ledger.ScopeTenant:
	default:
		return fail(http.StatusBadRequest, string(RequestInvalid), "scope must be run or tenant; a key's budgets stand with the key")
	}
	found, err := p.store.Budgets(r.Context(), ledger.BudgetFilter{
		Scope: q.Get("scope"), Name: q.Get("name"), Tenant: q.Get("tenant"), Limit: limit,
	})
	if err != nil {
		return p.failed(err)
	}
	return jsonReply(http.StatusOK, budgetList(found))
}

func budgetList(found []ledger.Budget) client.BudgetList {
	list := client.BudgetList{Budgets: make([]client.Budget, 0, len(found))}
	for _, b := range found {
		list.Budgets = append(list.Budgets, budgetView(b))
	}
	return list
}

// setBudget changes caps by hand. What is used already stays used: a cap below it
// closes the budget until something comes back.
func (p *Proxy) setBudget(r *http.Request) reply {
	var req client.CapChange
	if err := decode(r, &req); err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	changes, err := capChanges(r.PathValue("scope"), r.PathValue("name"), req)
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	set := make([]ledger.Budget, 0, len(changes))
	for _, change := range changes {
		budget, err := p.store.SetCap(r.Context(), change)
		if err != nil {
			return p.failed(err) // what is set stays set: the same request once more sets the rest
		}
		p.log.Info("cap", "verdict", ledger.VerdictCapSet, "scope", change.Scope, "name", change.Name, "tenant", change.Tenant,
			"span", change.Span, "cap_usd", change.Cap.String(), "who", change.Who)
		set = append(set, budget)
	}
	return jsonReply(http.StatusOK, budgetList(set))
}

// capChanges are the caps that a request sets, one for each span.
func capChanges(scope, name string, req client.CapChange) ([]ledger.CapChange, error) {
	if name == "" || len(name) > 255 || !printable(name) || len(req.Tenant) > 255 || !printable(req.Tenant) {
		return nil, errors.New("the names of runs and tenants have up to 255 printable ASCII characters")
	}
	if err := checkPerson(req.By, req.Reason); err != nil {
		return nil, err
	}
	base := ledger.CapChange{Scope: scope, Who: req.By, Note: req.Reason}
	spans := map[string]*money.USD{}
	switch scope {
	case ledger.ScopeTenant:
		if req.RunUSDCap != nil || req.Tenant != "" {
			return nil, errors.New("a tenant's budget takes daily_usd_cap and total_usd_cap; run_usd_cap and tenant are for a run's")
		}
		base.Tenant = name
		spans[ledger.SpanDay], spans[ledger.SpanTotal] = req.DailyUSDCap, req.TotalUSDCap
	case ledger.ScopeRun:
		if req.DailyUSDCap != nil || req.TotalUSDCap != nil {
			return nil, errors.New("a run's budget takes run_usd_cap; daily_usd_cap and total_usd_cap are for a tenant's")
		}
		base.Name, base.Tenant = name, req.Tenant
		spans[ledger.SpanTotal] = req.RunUSDCap
	default:
		return nil, errors.New("the scope in the path must be run or tenant; a key's caps are fixed when it is issued")
	}
	var changes []ledger.CapChange
	for _, span := range []string{ledger.SpanTotal, ledger.SpanDay} {
		limit := spans[span]
		if limit == nil {
			continue
		}
		if *limit < 0 {
			return nil, errors.New("a cap must not be negative; 0 lets nothing through that costs")
		}
		change := base
		change.Span, change.Cap = span, *limit
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		return nil, errors.New("no cap is given: set run_usd_cap of a run, or daily_usd_cap or total_usd_cap of a tenant, in dollars")
	}
	return changes, nil
}
