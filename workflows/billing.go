package workflows

import (
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
)

// phaseCharge tells the charging key of a run from keys for other phases.
const phaseCharge = "charge"

// setUpTimeout bounds the issue of the vault key. It is long, since a run that
// fails here has to be started again by a person, and nothing is spent meanwhile.
const setUpTimeout = time.Hour

// BillingState carries a run over continue-as-new, where no batch is running.
type BillingState struct {
	Key       activities.IssuedKey `json:"key"`
	Pinned    customerlist.Pinned  `json:"pinned"`
	NextBatch int                  `json:"next_batch"`
	Tally     Tally                `json:"tally"`
	// Exceptions do not hold what is in InDoubt and Lost; those are counted as
	// Unknown until the ledger has been read.
	Exceptions Exceptions `json:"exceptions"`
	InDoubt    Ranges     `json:"in_doubt,omitempty"` // charges that could not tell how they ended
	Lost       Ranges     `json:"lost,omitempty"`     // items of batches that failed to report
}

// Billing charges every customer of a list, within a budget. See the package
// comment for what holds, and Summary for what it returns.
func Billing(ctx workflow.Context, in BillingInput) (Summary, error) {
	b := &billing{in: in.withDefaults()}
	if err := b.setup(ctx); err != nil {
		return Summary{}, err
	}
	return b.run(ctx)
}

type billing struct {
	in         BillingInput
	state      BillingState
	workflowID string
	runLabel   string

	phase    string // one of the State constants
	running  []*runningBatch
	began    int // batches started in this run of the chain
	handOver bool
	stop     string
	detached workflow.Context // is not cancelled with the run

	emails, texts         *NoticeSummary // once their phase is over
	emailsSent, textsSent int            // while it goes on
}

// runningBatch is a batch that has not returned, with its last report.
type runningBatch struct {
	number   int
	from, to int
	progress BatchProgress
}

func (b *billing) setup(ctx workflow.Context) error {
	info := workflow.GetInfo(ctx)
	b.workflowID = info.WorkflowExecution.ID
	b.runLabel = RunLabel(info.Namespace, b.workflowID)
	b.phase = StateStarting
	b.detached, _ = workflow.NewDisconnectedContext(ctx)
	if b.in.Resume != nil {
		b.state = *b.in.Resume
	}
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (Progress, error) { return b.report(), nil }); err != nil {
		return err
	}
	if err := checkInput(b.in, b.workflowID); err != nil {
		return err
	}
	b.listen(ctx)
	return nil
}

// listen follows signals from batches, and the cancellation of the run.
func (b *billing) listen(ctx workflow.Context) {
	stops := workflow.GetSignalChannel(ctx, SignalStop)
	workflow.GoNamed(ctx, "stop", func(ctx workflow.Context) {
		for {
			var signal StopSignal
			stops.Receive(ctx, &signal)
			b.halt(signal.Reason)
		}
	})
	reports := workflow.GetSignalChannel(ctx, SignalProgress)
	workflow.GoNamed(ctx, "progress", func(ctx workflow.Context) {
		for {
			var progress BatchProgress
			reports.Receive(ctx, &progress)
			for _, batch := range b.running {
				if batch.number == progress.Batch {
					batch.progress = progress
				}
			}
		}
	})
	workflow.GoNamed(ctx, "cancel", func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		b.halt(StopCanceled)
	})
}

func (b *billing) run(ctx workflow.Context) (Summary, error) {
	if b.in.Resume == nil {
		if err := b.begin(ctx); err != nil {
			return Summary{}, err
		}
	}
	b.chargeAll(ctx)
	if b.handOver && b.stop == "" && ctx.Err() == nil {
		again := b.in
		again.Resume = &b.state
		return Summary{}, workflow.NewContinueAsNewError(ctx, Billing, again)
	}
	return b.finish(ctx)
}

// begin pins the list before it issues the key: a list that changed since the
// starter saw it then fails the run with nothing to clean up.
func (b *billing) begin(ctx workflow.Context) error {
	var a *activities.Activities
	err := workflow.ExecuteActivity(listOptions(ctx), a.PinCustomers, activities.PinInput{
		Source: b.in.Customers, Expected: b.in.Pinned,
	}).Get(ctx, &b.state.Pinned)
	if err != nil {
		return err
	}
	return workflow.ExecuteActivity(controlOptions(ctx, setUpTimeout), a.IssueVaultKey, activities.IssueInput{
		RootWorkflowID:  b.workflowID,
		RunLabel:        b.runLabel,
		Phase:           phaseCharge,
		BudgetUSD:       b.in.BudgetUSD,
		PerChargeCapUSD: b.in.PerChargeCapUSD,
		TTL:             b.in.KeyTTL,
		ListSHA256:      b.state.Pinned.SHA256,
	}).Get(ctx, &b.state.Key)
}

// chargeAll works the batches off, Parallelism at a time, until there are none
// left, the run was stopped, or it is time to continue as new.
func (b *billing) chargeAll(ctx workflow.Context) {
	if b.phase == StateStarting {
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
	from := b.state.NextBatch * b.in.BatchSize
	if b.stop != "" || from >= b.state.Pinned.Count {
		return nil, false
	}
	if b.began > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		b.handOver = true
	}
	if b.handOver {
		return nil, false
	}
	batch := &runningBatch{number: b.state.NextBatch, from: from, to: min(from+b.in.BatchSize, b.state.Pinned.Count)}
	b.state.NextBatch++
	b.began++
	b.running = append(b.running, batch)
	return batch, true
}

func (b *billing) chargeBatch(ctx workflow.Context, batch *runningBatch) {
	// The ID may be used again: a reset of the run starts its batches anew, and
	// what they charged before is replayed to them.
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:          BatchWorkflowID(b.workflowID, batch.number),
		ParentClosePolicy:   enums.PARENT_CLOSE_POLICY_TERMINATE,
		WaitForCancellation: true,
	}), ChargeBatch, BatchInput{
		Number:         batch.number,
		From:           batch.from,
		To:             batch.to,
		RootWorkflowID: b.workflowID,
		VaultKey:       b.state.Key.VaultKey,
		Customers:      b.in.Customers,
		Pinned:         b.state.Pinned,
		Window:         b.in.Window,
		ChargeTimeout:  b.in.ChargeTimeout,
		Description:    "billing " + b.in.Plan + " " + b.in.Period,
	})
	ended := false
	workflow.GoNamed(ctx, "pass stop on", func(ctx workflow.Context) {
		if err := workflow.Await(ctx, func() bool { return b.stop != "" || ended }); err != nil || ended {
			return
		}
		// A batch that ended meanwhile needs no telling.
		_ = child.SignalChildWorkflow(ctx, SignalStop, StopSignal{Reason: b.stop}).Get(ctx, nil)
	})

	var result BatchResult
	err := child.Get(ctx, &result)
	ended = true
	b.forget(batch)
	if err != nil || result.Tally.Total() != batch.to-batch.from {
		// Terminated, say. Its charges may have happened all the same.
		workflow.GetLogger(ctx).Warn("batch failed, its items are read from the ledger", "batch", batch.number, "error", err)
		b.state.Tally.Count(Unknown, batch.to-batch.from)
		b.state.Lost.Add(batch.from, batch.to)
		return
	}
	b.absorb(result)
}

// maxInDoubt bounds the ranges of items that are read again at the end. What is
// beyond stays unknown in the summary, which is true if not the whole truth.
const maxInDoubt = 1000

func (b *billing) absorb(result BatchResult) {
	b.state.Tally.Merge(result.Tally)
	b.state.InDoubt.Merge(result.Exceptions.Unknown)
	result.Exceptions.Unknown = nil
	if kept, more := b.state.InDoubt.clip(maxInDoubt); more {
		result.Exceptions.Unknown = b.state.InDoubt[maxInDoubt:]
		b.state.InDoubt = kept
	}
	b.state.Exceptions.merge(result.Exceptions)
	if result.StopReason != "" {
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

// halt starts no further batch and lets those that run be told; the first reason stays.
func (b *billing) halt(reason string) {
	if b.stop != "" || b.phase == StateSettling || b.phase == StateNotifying || b.phase == StateDone {
		return
	}
	b.stop = reason
	b.phase = StateStopping
}

// report sums up what has ended and what batches last reported.
func (b *billing) report() Progress {
	tally, inFlight := b.state.Tally, 0
	for _, batch := range b.running {
		tally.Merge(batch.progress.Tally)
		inFlight += batch.progress.InFlight
	}
	customers := b.state.Pinned.Count
	if customers == 0 {
		customers = b.in.Pinned.Count
	}
	return Progress{
		State:        b.phase,
		WorkflowID:   b.workflowID,
		RunLabel:     b.runLabel,
		KeyID:        b.state.Key.KeyID,
		Customers:    customers,
		Charged:      tally.Charged,
		Declined:     tally.Declined,
		CapDenied:    tally.CapDenied,
		NotAttempted: tally.NotAttempted,
		Unknown:      tally.Unknown,
		Failed:       tally.Failed,
		InFlight:     inFlight,
		CapUSD:       b.in.BudgetUSD,
		SettledUSD:   tally.ChargedUSD,
		StopReason:   b.stop,
		EmailsSent:   b.emailsSent,
		TextsSent:    b.textsSent,
	}
}
