package activities

import (
	"context"

	"github.com/tollgate/tollgate/activities/outcome"
)

// UntriedInput asks about items that a run has not tried itself.
type UntriedInput struct {
	RootWorkflowID string         `json:"root_workflow_id"`
	RunLabel       string         `json:"run_label"`
	KeyID          string         `json:"key_id,omitempty"` // of the run's vault key; empty: it has none
	Items          outcome.Ranges `json:"items"`
}

// UntriedResult tells of those items that somebody else has tried.
type UntriedResult struct {
	Items      outcome.Ranges     `json:"items,omitempty"` // that were charged or declined, or are open
	Tally      outcome.Tally      `json:"tally"`           // of Items
	Exceptions outcome.Exceptions `json:"exceptions"`
}

// ReadUntried reads from the ledger which items an earlier run has charged, or was
// told that they are declined. Those without an effect are left out.
func (a *Activities) ReadUntried(ctx context.Context, in UntriedInput) (UntriedResult, error) {
	var out UntriedResult
	read := func() error {
		for _, items := range in.Items {
			for item := items.From; item < items.To; item++ {
				calls, err := a.attempts(ctx, in.RunLabel, in.RootWorkflowID, item)
				if err != nil {
					return err
				}
				out.book(itemOutcome(item, calls))
			}
		}
		return nil
	}
	if in.KeyID == "" {
		// Without a key one ledger is as good as another: a charge that it has was made.
		if err := read(); err != nil {
			return UntriedResult{}, controlError(err)
		}
		return out, nil
	}
	if err := a.fromLedgerOf(ctx, in.KeyID, read); err != nil {
		return UntriedResult{}, err
	}
	return out, nil
}

func (r *UntriedResult) book(found ItemOutcome) {
	how := outcome.Unknown
	switch found.State {
	case LedgerNone, LedgerReleased:
		return
	case LedgerCharged:
		how = outcome.Charged
		r.Tally.AddCharged(found.AmountUSD)
	case LedgerDeclined:
		how = outcome.Declined
	case LedgerPending:
	}
	r.Items.Add(found.Item, found.Item+1)
	outcome.Book(&r.Tally, &r.Exceptions, how, found.Item, found.Item+1)
}
