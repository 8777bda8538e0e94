package workflows

import (
	"errors"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
)

// runningBatch is a batch that has not returned, with its last report.
type runningBatch struct {
	number   int
	items    Ranges
	tried    Ranges // of items
	progress BatchProgress
}

// chargeAll works the batches off, Parallelism at a time, until there are none
// left, the run was stopped, or it is time to continue as new.
func (b *billing) chargeAll(ctx workflow.Context) {
	if b.phase == StateStarting || b.phase == StateAwaiting {
		b.phase = StateCharging
	}
	lanes := workflow.NewWaitGroup(ctx)
	for range b.in.Parallelism {
		lanes.Add(1)
		// Batches are not cancelled with the run but told to stop, so that they
		// return their counts.
		workflow.GoNamed(b.detached, "lane", func(ctx workflow.Context) {
			defer lanes.Done()
			for {
				batch, ok := b.nextBatch(ctx)
				if !ok {
					return
				}
				b.chargeBatch(ctx, batch)
			}
		})
	}
	lanes.Wait(ctx)
}

func (b *billing) nextBatch(ctx workflow.Context) (*runningBatch, bool) {
	if err := workflow.Await(ctx, func() bool { return b.state.Paused == "" || b.stop != "" }); err != nil || b.stop != "" || len(b.state.Rest) == 0 {
		return nil, false
	}
	if b.began > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		b.handOver = true
	}
	if b.handOver {
		return nil, false
	}
	batch := &runningBatch{number: b.state.NextBatch, items: b.state.Rest.Take(b.in.BatchSize)}
	b.state.NextBatch++
	b.began++
	b.running = append(b.running, batch)
	return batch, true
}

// chargeBatch charges the items of a batch: in one child workflow, or in several
// after each other, with a new key each time that the last one expired.
func (b *billing) chargeBatch(ctx workflow.Context, batch *runningBatch) {
	defer b.forget(batch)
	for {
		key := b.state.Key
		result, err := b.runBatch(ctx, batch, key.VaultKey)
		batch.progress = BatchProgress{}
		if err != nil || result.Tally.Total()+result.Left.Len() != batch.items.Len() {
			// Terminated, say. Its charges may have happened all the same.
			workflow.GetLogger(ctx).Warn("batch failed, its items are read from the ledger", "batch", batch.number, "error", err)
			b.state.Tally.Count(Unknown, batch.items.Len())
			b.state.Lost.Merge(batch.items)
			return
		}
		b.absorb(result)
		if batch.items = result.Left; len(batch.items) == 0 {
			return
		}
		batch.tried = batch.items.Both(result.Tried)
		if !b.replaceKey(ctx, key.KeyID) {
			b.leave(batch)
			return
		}
		if err := workflow.Await(ctx, func() bool { return b.state.Paused == "" || b.stop != "" }); err != nil || b.stop != "" {
			b.leave(batch)
			return
		}
	}
}

// leave counts what a batch could not be charged for. What may have been sent all
// the same is read from the ledger.
func (b *billing) leave(batch *runningBatch) {
	untried := batch.items.Without(batch.tried)
	b.state.Tally.Count(NotAttempted, untried.Len())
	b.state.Exceptions.Merge(Exceptions{NotAttempted: untried})
	b.state.Tally.Count(Unknown, batch.tried.Len())
	b.state.Lost.Merge(batch.tried)
}

// errBatchLost is a batch that did not return in time.
var errBatchLost = errors.New("the batch did not return in time")

// runBatch runs one child workflow, passes the first reason to stop on to it, and
// waits for it no longer than a batch may take.
func (b *billing) runBatch(ctx workflow.Context, batch *runningBatch, vaultKey string) (BatchResult, error) {
	// The ID may be used again: a reset of the run starts its batches anew, and
	// what they charged before is replayed to them.
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            BatchWorkflowID(b.workflowID, batch.number),
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_TERMINATE,
		WaitForCancellation:   true,
		StaticSummary:         span(batch.items),
		TypedSearchAttributes: temporal.NewSearchAttributes(keyword(AttributeRunLabel).ValueSet(b.runLabel)),
	}), ChargeBatch, BatchInput{
		Number:         batch.number,
		Items:          batch.items,
		Tried:          batch.tried,
		RootWorkflowID: b.workflowID,
		VaultKey:       vaultKey,
		Customers:      b.in.Customers,
		Pinned:         b.state.Pinned,
		Charging:       b.in.charging(),
		Description:    "billing " + b.in.Plan + " " + b.in.Period,
		Earlier:        b.state.Earlier,
	})
	over := false
	defer func() { over = true }()
	workflow.GoNamed(ctx, "pass on", func(ctx workflow.Context) { b.passOn(ctx, child, &over) })

	var result BatchResult
	err := b.awaitBatch(ctx, child, &result)
	if errors.Is(err, errBatchLost) {
		b.halt(StopBatchLost)
	}
	return result, err
}

// passOn tells a batch of each pause and its end, and of the first reason to stop,
// until it is over. A batch that has ended meanwhile needs no telling.
func (b *billing) passOn(ctx workflow.Context, child workflow.ChildWorkflowFuture, over *bool) {
	told := false
	for {
		err := workflow.Await(ctx, func() bool { return *over || b.stop != "" || (b.state.Paused != "") != told })
		switch {
		case err != nil || *over:
			return
		case b.stop != "":
			_ = child.SignalChildWorkflow(ctx, SignalStop, StopSignal{Reason: b.stop}).Get(ctx, nil)
			return
		}
		told = !told
		_ = child.SignalChildWorkflow(ctx, SignalPause, PauseSignal{Paused: told}).Get(ctx, nil)
	}
}

// awaitBatch waits for a batch no longer than one may take, pauses apart.
func (b *billing) awaitBatch(ctx workflow.Context, child workflow.Future, result *BatchResult) error {
	timing, ended := workflow.WithCancel(ctx)
	defer ended()
	for {
		pauses := b.pauses
		err := errBatchLost
		workflow.NewSelector(ctx).
			AddFuture(child, func(f workflow.Future) { err = f.Get(ctx, result) }).
			AddFuture(workflow.NewTimer(timing, b.in.BatchTimeout), func(workflow.Future) {}).
			Select(ctx)
		if !errors.Is(err, errBatchLost) || (b.state.Paused == "" && b.pauses == pauses) {
			return err
		}
	}
}

// maxInDoubt bounds the ranges of items that are read again at the end. What is
// beyond stays unknown in the summary, which is true if not the whole truth.
const maxInDoubt = 1000

func (b *billing) absorb(result BatchResult) {
	b.state.Tally.Merge(result.Tally)
	b.state.Lost.Merge(result.Cut)
	b.state.InDoubt.Merge(result.Exceptions.Unknown)
	result.Exceptions.Unknown = nil
	if kept, more := b.state.InDoubt.Clip(maxInDoubt); more {
		result.Exceptions.Unknown = b.state.InDoubt[maxInDoubt:]
		b.state.InDoubt = kept
	}
	b.state.Exceptions.Merge(result.Exceptions)
	if result.StopReason != "" && result.StopReason != activities.TypeKeyExpired {
		b.halt(result.StopReason)
	}
}

func (b *billing) forget(batch *runningBatch) {
	for i, other := range b.running {
		if other == batch {
			b.running = append(b.running[:i:i], b.running[i+1:]...)
			return
		}
	}
}
