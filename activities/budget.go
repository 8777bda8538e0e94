package activities

import (
	"context"
	"fmt"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// RaiseInput is what a person asked for.
type RaiseInput struct {
	RunLabel  string    `json:"run_label"`
	Tenant    string    `json:"tenant,omitempty"`
	BudgetUSD money.USD `json:"budget_usd"` // micro-USD, of the whole run
	By        string    `json:"by"`
	Reason    string    `json:"reason"`
}

// RunBudget is a run's budget as it stands.
type RunBudget struct {
	CapUSD       money.USD `json:"cap_usd"`
	RemainingUSD money.USD `json:"remaining_usd"`
}

// RaiseBudget sets the cap of a run, which the ledger notes with who asked for it
// and why. Above what the run's tenant may spend in all it is no budget, and is
// refused.
func (a *Activities) RaiseBudget(ctx context.Context, in RaiseInput) (RunBudget, error) {
	if in.Tenant != "" {
		if err := a.withinTenant(ctx, in); err != nil {
			return RunBudget{}, err
		}
	}
	if err := a.isRaise(ctx, in); err != nil {
		return RunBudget{}, err
	}
	set, err := a.control.SetCap(ctx, "run", in.RunLabel, client.CapChange{
		RunUSDCap: &in.BudgetUSD, Tenant: in.Tenant, By: in.By, Reason: in.Reason,
	})
	if err != nil {
		return RunBudget{}, controlError(err)
	}
	if len(set) != 1 {
		return RunBudget{}, unexpected().applicationError("", 0)
	}
	return RunBudget{CapUSD: set[0].CapUSD, RemainingUSD: set[0].RemainingUSD}, nil
}

// isRaise looks at the cap as it is: somebody may have set it in the ledger, past
// what the run knows of. A repeated attempt finds the cap that it asked for.
func (a *Activities) isRaise(ctx context.Context, in RaiseInput) error {
	budgets, err := a.control.Budgets(ctx, client.BudgetQuery{Scope: "run", Name: in.RunLabel})
	if err != nil {
		return controlError(err)
	}
	for _, b := range budgets {
		if b.Tenant == in.Tenant && b.CapUSD > in.BudgetUSD {
			return rule{
				errorType: TypeInvalidRequest,
				text:      fmt.Sprintf("the ledger has the run's budget at %s USD already: it can be raised, and not lowered, while the run goes on", b.CapUSD),
			}.applicationError("", 0)
		}
	}
	return nil
}

func (a *Activities) withinTenant(ctx context.Context, in RaiseInput) error {
	budgets, err := a.control.Budgets(ctx, client.BudgetQuery{Scope: "tenant", Name: in.Tenant})
	if err != nil {
		return controlError(err)
	}
	for _, b := range budgets {
		if b.Window == "total" && in.BudgetUSD > b.CapUSD {
			return rule{
				errorType: TypeAboveTenantBudget,
				text:      fmt.Sprintf("tenant %s may spend %s USD in all, so that a run of it cannot have more; raise that first", in.Tenant, b.CapUSD),
			}.applicationError("", 0)
		}
	}
	return nil
}
