package activities

import (
	"context"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// OutcomesInput asks what the ledger knows of some items.
type OutcomesInput struct {
	RootWorkflowID string `json:"root_workflow_id"`
	RunLabel       string `json:"run_label"`
	KeyID          string `json:"key_id"` // of the run's vault key: the ledger that knows it is the run's
	Items          []int  `json:"items"`
}

// LedgerState is what the ledger proves of an item.
type LedgerState string

// The states, from the ledger's own.
const (
	LedgerCharged  LedgerState = "charged"  // settled, or committed: the effect is certain
	LedgerDeclined LedgerState = "declined" // released, the vendor refused the payment
	LedgerReleased LedgerState = "released" // released for another reason: certainly no effect
	LedgerPending  LedgerState = "pending"  // in flight, or unknown and being proved
	LedgerNone     LedgerState = "none"     // no call of this item was ever admitted
)

// ItemOutcome is the state of one item.
type ItemOutcome struct {
	Item      int         `json:"item"`
	State     LedgerState `json:"state"`
	AmountUSD money.USD   `json:"amount_usd,omitempty"` // of a charged item
}

// OutcomesResult has one entry for each item asked for, in that order.
type OutcomesResult struct {
	Outcomes []ItemOutcome `json:"outcomes"`
}

// ReadOutcomes reads from the ledger how items ended whose activities could not
// tell: they ran out of time, or were cut off.
func (a *Activities) ReadOutcomes(ctx context.Context, in OutcomesInput) (OutcomesResult, error) {
	out := OutcomesResult{Outcomes: make([]ItemOutcome, 0, len(in.Items))}
	err := a.fromLedgerOf(ctx, in.KeyID, func() error {
		for _, item := range in.Items {
			calls, err := a.attempts(ctx, in.RunLabel, in.RootWorkflowID, item)
			if err != nil {
				return err
			}
			out.Outcomes = append(out.Outcomes, itemOutcome(item, calls))
		}
		return nil
	})
	if err != nil {
		return OutcomesResult{}, err
	}
	return out, nil
}

// fromLedgerOf reads from the ledger that issued a key. Of another one, or of an
// older copy, every charged item would look as if it had never been tried. The
// ledger is asked for the key once more afterwards: another proxy may have come to
// the same address meanwhile, as when a worker was restarted on another state folder.
func (a *Activities) fromLedgerOf(ctx context.Context, keyID string, read func() error) error {
	knows := func() error { _, err := a.control.Key(ctx, keyID); return err }
	for _, step := range []func() error{knows, read, knows} {
		if err := step(); err != nil {
			return ledgerError(err)
		}
	}
	return nil
}

func itemOutcome(item int, calls []client.Call) ItemOutcome {
	if len(calls) == 0 {
		return ItemOutcome{Item: item, State: LedgerNone}
	}
	switch call := calls[len(calls)-1]; call.State {
	case "settled":
		return ItemOutcome{Item: item, State: LedgerCharged, AmountUSD: call.SettledUSD}
	case "committed":
		if call.Reason == "requires_action" { // off session nobody is there to act: ChargeCustomer says declined too
			return ItemOutcome{Item: item, State: LedgerDeclined}
		}
		return ItemOutcome{Item: item, State: LedgerCharged, AmountUSD: call.HoldUSD}
	case "released":
		if call.Declined {
			return ItemOutcome{Item: item, State: LedgerDeclined}
		}
		return ItemOutcome{Item: item, State: LedgerReleased}
	}
	// A state that is not known here is no proof of anything.
	return ItemOutcome{Item: item, State: LedgerPending}
}

// ReportInput names a run.
type ReportInput struct {
	RunLabel string `json:"run_label"`
	KeyID    string `json:"key_id"` // of the run's vault key: the ledger that knows it is the run's
}

// Spend is what a run has cost so far, by the ledger.
type Spend struct {
	CapUSD       money.USD `json:"cap_usd"`
	SettledUSD   money.USD `json:"settled_usd"`
	CommittedUSD money.USD `json:"committed_usd"`
	ReservedUSD  money.USD `json:"reserved_usd"`
	UnknownUSD   money.USD `json:"unknown_usd"`
	InFlight     int       `json:"in_flight"`
	Unknown      int       `json:"unknown"`
	Charged      int       `json:"charged,omitempty"` // calls whose effect is certain
}

// SpendReport reads the run's budget and its calls that have no proven outcome.
func (a *Activities) SpendReport(ctx context.Context, in ReportInput) (Spend, error) {
	var report client.RunReport
	err := a.fromLedgerOf(ctx, in.KeyID, func() (err error) {
		report, err = a.control.RunReport(ctx, in.RunLabel)
		return err
	})
	if err != nil {
		return Spend{}, err
	}
	return Spend{
		CapUSD:       report.Budget.CapUSD,
		SettledUSD:   report.Budget.SettledUSD,
		CommittedUSD: report.Budget.CommittedUSD,
		ReservedUSD:  report.Budget.ReservedUSD,
		UnknownUSD:   report.Budget.UnknownUSD,
		InFlight:     report.Calls.InFlight,
		Unknown:      report.Calls.Unknown,
		Charged:      report.Calls.Settled + report.Calls.Committed,
	}, nil
}
