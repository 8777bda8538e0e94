package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
)

// untriedPage is how many items one activity looks up that the run has not tried.
const untriedPage = 1000

// readUntried asks the ledger about the items that this run has not tried: an earlier
// run of its ID, or this one before it was reset, may have charged them. It books
// what it finds, and returns what is still open, which it counts as unknown.
func (b *billing) readUntried() Ranges {
	var open Ranges
	readable := true
	for _, counted := range []Outcome{NotAttempted, Rejected} {
		rest := *b.untried.Of(counted)
		for len(rest) > 0 {
			items := rest.Take(untriedPage)
			var found activities.UntriedResult
			if readable {
				found, readable = b.readUntriedPage(items)
			}
			if !readable {
				found = activities.UntriedResult{Items: items, Tally: Tally{Unknown: items.Len()}, Exceptions: Exceptions{Unknown: items}}
			}
			b.state.Tally.Count(counted, -found.Items.Len())
			b.state.Tally.Merge(found.Tally)
			open.Merge(found.Exceptions.Unknown)
			found.Exceptions.Unknown = nil
			listed := b.state.Exceptions.Of(counted)
			*listed = listed.Without(found.Items)
			b.state.Exceptions.Merge(found.Exceptions)
		}
	}
	b.untried = Exceptions{}
	return open
}

func (b *billing) readUntriedPage(items Ranges) (activities.UntriedResult, bool) {
	var a *activities.Activities
	var found activities.UntriedResult
	err := workflow.ExecuteActivity(readOptions(b.detached), a.ReadUntried, activities.UntriedInput{
		RootWorkflowID: b.workflowID, RunLabel: b.runLabel, KeyID: b.state.Key.KeyID, Items: items,
	}).Get(b.detached, &found)
	if err != nil || found.Tally.Total() != found.Items.Len() || len(found.Items.Without(items)) > 0 {
		workflow.GetLogger(b.detached).Error("the ledger could not be read; what was not tried from this item on is unknown",
			"item", items[0].From, "error", err)
		return found, false
	}
	return found, true
}
