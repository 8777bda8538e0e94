package activities

import (
	"context"
	"strconv"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
)

// Earlier is what a run has to know that goes on where an earlier one of its
// workflow ID ended.
type Earlier struct {
	RunLabel string `json:"run_label"` // the ledger's name of both
	// Since is when this run began. A decline before it is the earlier run's.
	Since         time.Time `json:"since"`
	RetryDeclined bool      `json:"retry_declined,omitempty"` // ask once more for what was declined before Since
}

// maxRetries bounds how often an item is asked for anew, over all runs.
const maxRetries = 50

// retryKey is the idempotency key of the n-th time that a declined item is asked
// for anew; of the zeroth it is the item's own.
func retryKey(rootWorkflowID string, item, n int) string {
	key := IdempotencyKey(rootWorkflowID, item)
	if n > 0 {
		key += "-retry-" + strconv.Itoa(n)
	}
	return key
}

// retryNumber says under which number a declined item goes on: that of its latest
// attempt, or a new one if that was declined too, before this run began. The
// number comes from the ledger and from nowhere else: an attempt that was made is
// found again by whoever asks later, and only a proven decline makes room for another.
func (a *Activities) retryNumber(ctx context.Context, in ChargeInput) (int, error) {
	calls, err := a.attempts(ctx, in.Earlier.RunLabel, in.RootWorkflowID, in.Item)
	if err != nil {
		return 0, controlError(err)
	}
	if len(calls) == 0 {
		return 0, nil
	}
	latest := calls[len(calls)-1]
	number := len(calls) - 1
	old := latest.FinalAt != nil && latest.FinalAt.Before(in.Earlier.Since)
	if in.Earlier.RetryDeclined && declinedForGood(latest) && old && number < maxRetries {
		number++
	}
	return number, nil
}

// declinedForGood leaves out a payment that waits for its customer: that one may
// still be completed, and a second one beside it would be a second charge.
func declinedForGood(call client.Call) bool { return call.State == "released" && call.Declined }

// attempts are the calls of an item in the order of their numbers, as far as each
// but the last was declined for good.
func (a *Activities) attempts(ctx context.Context, runLabel, rootWorkflowID string, item int) ([]client.Call, error) {
	var found []client.Call
	for n := range maxRetries + 1 {
		page, err := a.control.Calls(ctx, client.CallQuery{Run: runLabel, IdempotencyKey: retryKey(rootWorkflowID, item, n)})
		if err != nil {
			return nil, err
		}
		if len(page.Calls) == 0 {
			break
		}
		latest := page.Calls[len(page.Calls)-1]
		found = append(found, latest)
		if !declinedForGood(latest) {
			break
		}
	}
	return found, nil
}
