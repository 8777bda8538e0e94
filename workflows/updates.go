package workflows

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Updates of a run, besides Approve and Reject. Each is refused, without a trace
// in the history, unless it can be carried out; its answer says what it changed.
const (
	UpdatePause       = "pause"        // *Person -> *Paused
	UpdateResume      = "resume"       // *Person -> *Paused
	UpdateRaiseBudget = "raise_budget" // *BudgetRaise -> *Raised
	// UpdateRevoked tells a run that its keys were revoked, without arguments or an
	// answer. A run that is charging finds out by itself, one that waits does not.
	UpdateRevoked = "revoked"
)

// Person is who asks for something, and why. The history keeps both.
type Person struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// maxReason bounds both, in bytes.
const maxReason = 500

func (p Person) check() error {
	for _, text := range []string{p.By, p.Reason} {
		if strings.TrimSpace(text) == "" || len(text) > maxReason || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("say who decides and why, each in one line of at most %d bytes", maxReason)
		}
	}
	return nil
}

// Decision is the argument of the updates Approve and Reject.
type Decision struct {
	Person

	Items Ranges `json:"items,omitempty"` // empty: everything that waits
}

// Decided answers a Decision.
type Decided struct {
	Items   int `json:"items"`   // decided on by this one
	Waiting int `json:"waiting"` // still undecided
}

// Paused answers UpdatePause and UpdateResume.
type Paused struct {
	InFlight int `json:"in_flight"` // charges that end all the same, as last reported
}

// BudgetRaise is the argument of UpdateRaiseBudget.
type BudgetRaise struct {
	Person

	BudgetUSD money.USD `json:"budget_usd"` // micro-USD, of the whole run
}

// Raised answers a BudgetRaise.
type Raised struct {
	CapUSD       money.USD `json:"cap_usd"`
	RemainingUSD money.USD `json:"remaining_usd"`
	// StopReason is why the run stopped meanwhile, so that the raise is of use only to
	// another run that continues it; empty: it goes on.
	StopReason string `json:"stop_reason,omitempty"`
}

func (b *billing) takeUpdates(ctx workflow.Context) error {
	return errors.Join(
		b.takeDecisions(ctx, Approve),
		b.takeDecisions(ctx, Reject),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdatePause, func(_ workflow.Context, p Person) (Paused, error) {
			b.state.Paused = p.By + ": " + p.Reason
			b.pauses++
			b.heard++
			return Paused{InFlight: b.report().InFlight}, nil
		}, workflow.UpdateHandlerOptions{Validator: b.checkPause}),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateResume, func(workflow.Context, Person) (Paused, error) {
			b.state.Paused = ""
			b.heard++
			return Paused{InFlight: b.report().InFlight}, nil
		}, workflow.UpdateHandlerOptions{Validator: b.checkResume}),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateRaiseBudget, b.raiseBudget,
			workflow.UpdateHandlerOptions{Validator: b.checkRaise}),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateRevoked, func(workflow.Context) error {
			b.halt(activities.TypeKeyRevoked)
			return nil
		}, workflow.UpdateHandlerOptions{Validator: b.checkRevoked}),
	)
}

func (b *billing) takeDecisions(ctx workflow.Context, decision string) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, decision, func(_ workflow.Context, d Decision) (Decided, error) {
		items := d.Items
		if len(items) == 0 {
			items = b.state.Approvals.Waiting
		}
		b.decide(decision, items)
		b.heard++
		return Decided{Items: items.Len(), Waiting: b.state.Approvals.Waiting.Len()}, nil
	}, workflow.UpdateHandlerOptions{Validator: b.checkDecision})
}

func (b *billing) checkDecision(d Decision) error {
	if err := d.check(); err != nil {
		return err
	}
	gate := b.state.Approvals
	switch {
	case b.in.Approval == nil:
		return errors.New("this run asks for no approval")
	case gate == nil:
		return errors.New("the run has not read its list yet: try again in a moment")
	case gate.Closed || b.over():
		return errors.New("nothing waits for a decision any more")
	case !d.Items.Valid():
		return errors.New("the items are no set of ranges in ascending order")
	}
	if len(gate.Waiting) == 0 {
		return errors.New("nothing waits for a decision")
	}
	if others := d.Items.Without(gate.Waiting); len(others) > 0 {
		return fmt.Errorf("item %d does not wait for a decision: it needs none, or there was one already", others[0].From)
	}
	if pieces := gate.pieces() + len(d.Items) + len(gate.Waiting.Without(d.Items)) - len(gate.Waiting); len(d.Items) > 0 && pieces > maxPieces {
		return fmt.Errorf("this leaves the items in %d pieces, and a run can carry %d: decide on longer ranges", pieces, maxPieces)
	}
	return nil
}

// over reports whether the run does no more than end.
func (b *billing) over() bool {
	return b.stop != "" || b.phase == StateSettling || b.phase == StateNotifying || b.phase == StateDone
}

func (b *billing) checkRevoked() error {
	if b.over() {
		return errors.New("the run is ending already")
	}
	return nil
}

func (b *billing) checkPause(p Person) error {
	switch {
	case b.over():
		return errors.New("the run is ending: there is nothing to pause")
	case b.state.Paused != "":
		return errors.New("the run is paused already, by " + b.state.Paused)
	}
	return p.check()
}

func (b *billing) checkResume(p Person) error {
	if b.state.Paused == "" {
		return errors.New("the run is not paused")
	}
	return p.check()
}

func (b *billing) checkRaise(r BudgetRaise) error {
	switch {
	case b.over():
		return errors.New("the run is ending, and a budget that is raised now comes too late for it: " +
			"raise it by PUT /vault/budgets/run/…, and finish the run with 'starter run --continue'")
	case b.state.Key.KeyID == "" && b.awaiting:
		return errors.New("the run gets its vault key, and its budget with it, only after the last decision on what waits: decide first, and raise it then")
	case b.state.Key.KeyID == "":
		return errors.New("the run has no vault key yet: try again in a moment")
	case r.BudgetUSD <= b.cap():
		return fmt.Errorf("the budget is %s USD already: it can be raised, and not lowered, while the run goes on", b.cap())
	}
	return r.check()
}

// raiseBudget is carried out by the ledger, which keeps who asked for it and why.
func (b *billing) raiseBudget(ctx workflow.Context, r BudgetRaise) (Raised, error) {
	// One at a time: of two, the lower one must not come last.
	if err := b.raising.Lock(ctx); err != nil {
		return Raised{}, err
	}
	defer b.raising.Unlock()
	if err := b.checkRaise(r); err != nil {
		return Raised{}, err
	}
	var a *activities.Activities
	var budget activities.RunBudget
	err := workflow.ExecuteActivity(controlOptions(ctx, raiseTimeout), a.RaiseBudget, activities.RaiseInput{
		RunLabel: b.runLabel, Tenant: b.in.Tenant, BudgetUSD: r.BudgetUSD, By: r.By, Reason: r.Reason,
	}).Get(ctx, &budget)
	if err != nil {
		return Raised{}, err
	}
	b.state.CapUSD = max(b.state.CapUSD, budget.CapUSD)
	return Raised{CapUSD: budget.CapUSD, RemainingUSD: budget.RemainingUSD, StopReason: b.stop}, nil
}

// cap is the run's budget as far as the run knows.
func (b *billing) cap() money.USD { return max(b.in.BudgetUSD, b.state.CapUSD) }
