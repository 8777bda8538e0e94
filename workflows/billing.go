package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// BillingState carries a run over continue-as-new, where no batch is running.
type BillingState struct {
	Phase     string               `json:"phase"` // of Key: phaseCharge or phaseApproved
	Key       activities.IssuedKey `json:"key"`
	KeysAlive []string             `json:"keys_alive,omitempty"` // IDs of earlier keys that could not be revoked
	Pinned    customerlist.Pinned  `json:"pinned"`
	Rest      Ranges               `json:"rest,omitempty"` // what no batch has been given yet
	Approvals *approvals           `json:"approvals,omitempty"`
	CapUSD    money.USD            `json:"cap_usd,omitempty"`  // that a person raised the budget to
	Paused    string               `json:"paused,omitempty"`   // by whom and why; empty: it is not
	Renewals  int                  `json:"renewals,omitempty"` // keys that were issued for one that expired
	Earlier   *activities.Earlier  `json:"earlier,omitempty"`  // of a run that goes on where one ended
	NextBatch int                  `json:"next_batch"`
	// AwaitUntil is when the gate decides by itself; zero: it was not reached.
	AwaitUntil time.Time `json:"await_until,omitzero"`
	Tally      Tally     `json:"tally"`
	// Exceptions do not hold what is in InDoubt and Lost; those are counted as
	// Unknown until the ledger has been read.
	Exceptions Exceptions `json:"exceptions"`
	InDoubt    Ranges     `json:"in_doubt,omitempty"` // charges that could not tell how they ended
	Lost       Ranges     `json:"lost,omitempty"`     // items that were cut off, and those of batches that failed to report
}

// Billing charges every customer of a list, within a budget. See the package
// comment for what holds, and Summary for what it returns.
func Billing(ctx workflow.Context, in BillingInput) (Summary, error) {
	b := &billing{in: in.withDefaults()}
	if err := b.setup(ctx); err != nil {
		return Summary{}, err
	}
	summary, err := b.run(ctx)
	b.show(ctx)
	return summary, err
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
	pauses   int            // so far
	awaiting bool           // the gate waits
	heard    int            // decisions and pauses in this run of the chain
	raising  workflow.Mutex // of the budget
	shown    shown
	detached workflow.Context // is not cancelled with the run

	untried               Exceptions     // items that the run ended without: NotAttempted and Rejected ones
	emails, texts         *NoticeSummary // once their phase is over
	emailsSent, textsSent int            // while it goes on

	replacing workflow.Mutex   // of the key
	going     workflow.Context // ends with the first reason to stop; for calls, not for blocking
	stopGoing workflow.CancelFunc
}

func (b *billing) setup(ctx workflow.Context) error {
	info := workflow.GetInfo(ctx)
	b.workflowID = info.WorkflowExecution.ID
	b.runLabel = RunLabel(info.Namespace, b.workflowID)
	b.phase = StateStarting
	b.detached, _ = workflow.NewDisconnectedContext(ctx)
	b.going, b.stopGoing = workflow.WithCancel(b.detached)
	b.replacing, b.raising = workflow.NewMutex(ctx), workflow.NewMutex(ctx)
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
	b.beSeen()
	return b.takeUpdates(ctx)
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
	if b.state.AwaitUntil.IsZero() || !b.awaitsApproval() { // else the gate was reached already
		b.chargeAll(ctx)
	}
	if b.awaitsApproval() {
		b.approvalGate(ctx)
		if !b.handOver { // a pause does not hold back what charges nothing
			b.chargeAll(ctx)
		}
	}
	if b.goesOn(ctx) {
		return Summary{}, b.goOn(ctx)
	}
	return b.finish(ctx)
}

// goesOn says whether the run continues as new. It waits until no person is being
// answered any more; what stops the run meanwhile has it finished here.
func (b *billing) goesOn(ctx workflow.Context) bool {
	if !b.handOver {
		return false
	}
	err := workflow.Await(ctx, func() bool { return b.stop != "" || workflow.AllHandlersFinished(ctx) })
	if err != nil || ctx.Err() != nil {
		b.halt(StopCanceled) // here, since finish comes before whoever listens for it
	}
	return b.stop == ""
}

func (b *billing) goOn(ctx workflow.Context) error {
	again := b.in
	again.Resume = &b.state
	return workflow.NewContinueAsNewError(ctx, Billing, again)
}

// halt starts no further batch and lets those that run be told; the first reason stays.
func (b *billing) halt(reason string) {
	if b.stop != "" || b.phase == StateSettling || b.phase == StateNotifying || b.phase == StateDone {
		return
	}
	b.stop = reason
	b.phase = StateStopping
	b.stopGoing()
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
		Rejected:     tally.Rejected,
		InFlight:     inFlight,
		CapUSD:       b.cap(),
		SettledUSD:   tally.ChargedUSD,
		StopReason:   b.stop,
		Paused:       b.state.Paused,
		Awaiting:     b.awaitingNow(),
		EmailsSent:   b.emailsSent,
		TextsSent:    b.textsSent,
	}
}
