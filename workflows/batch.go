package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/activities/outcome"
)

const (
	// activitiesPerRun bounds a batch's history where the server suggests nothing:
	// an activity costs 3 to 6 events, a run is warned of at 10,240.
	activitiesPerRun = 1000
	// progressStep and progressReports say how many items end between two reports
	// to the run, each of which costs it one to four events.
	progressStep    = 50
	progressReports = 10
)

// BatchInput is a set of items, and all that is needed to charge them.
type BatchInput struct {
	Number         int                 `json:"number"`
	Items          Ranges              `json:"items"`
	RootWorkflowID string              `json:"root_workflow_id"`
	VaultKey       string              `json:"vault_key"`
	Customers      customerlist.Source `json:"customers"`
	Pinned         customerlist.Pinned `json:"pinned"`
	Charging       Charging            `json:"charging"`
	Description    string              `json:"description,omitempty"`
	Earlier        *activities.Earlier `json:"earlier,omitempty"` // of a run that goes on where one ended

	// Tried are those of Items that may have been sent already, by an attempt that
	// could not tell what came of it.
	Tried Ranges `json:"tried,omitempty"`
	// OutageSince is since when the proxy has not answered; zero: it did.
	OutageSince time.Time `json:"outage_since,omitzero"`
	// Done carries a batch over continue-as-new: Items are then what is left.
	Done *BatchResult `json:"done,omitempty"`
}

// Charging is how a batch goes about its items.
type Charging struct {
	Window             int           `json:"window"`               // charges at once
	ChargesPerActivity int           `json:"charges_per_activity"` // 1: an activity a charge
	ActivityWindow     int           `json:"activity_window"`      // charges at once in one that makes several, of those of Window
	ChargeTimeout      time.Duration `json:"charge_timeout"`       // all attempts at one charge
	OutageLimit        time.Duration `json:"outage_limit"`         // how long a batch waits for a proxy that does not answer
}

// BatchResult is how the items of a batch ended. Those of unknown outcome are
// listed without a gap, since the run reads them again from the ledger.
type BatchResult struct {
	Tally      Tally      `json:"tally"`
	Exceptions Exceptions `json:"exceptions"`
	// Cut are items whose activity was cut off, counted as unknown as well.
	Cut        Ranges `json:"cut,omitempty"`
	StopReason string `json:"stop_reason,omitempty"`
	// Left have no outcome: the vault key expired before their turn.
	Left Ranges `json:"left,omitempty"`
	// Tried are those of Left that may have been sent all the same.
	Tried Ranges `json:"tried,omitempty"`
}

// StopSignal is the payload of SignalStop.
type StopSignal struct {
	Reason string `json:"reason"`
	Batch  int    `json:"batch"` // the batch that met it; of no meaning towards a batch
}

// PauseSignal is the payload of SignalPause.
type PauseSignal struct {
	Paused bool `json:"paused"`
}

// BatchProgress is the payload of SignalProgress: where the batch stands in all,
// not what changed, so that a report lost or doubled does no harm.
type BatchProgress struct {
	Batch    int   `json:"batch"`
	Tally    Tally `json:"tally"`
	InFlight int   `json:"in_flight"`
}

// ChargeBatch charges a set of items with a window of concurrent charges.
//
// It returns its counts even if it was stopped or cancelled, so that the run can
// add up; it fails only on input that no run makes.
func ChargeBatch(ctx workflow.Context, in BatchInput) (BatchResult, error) {
	if err := in.check(); err != nil {
		return BatchResult{}, temporal.NewNonRetryableApplicationError(err.Error(), TypeInvalidInput, nil)
	}
	b := &batch{in: in, later: in.Items, tried: in.Tried, total: in.Items.Len()}
	b.rest = b.later.Take(activitiesPerRun * in.Charging.ChargesPerActivity)
	b.outage.since = in.OutageSince
	if in.Done != nil {
		b.result = *in.Done
		b.total += in.Done.Tally.Total()
		b.told = in.Done.Tally.Total()
	}
	b.setup(ctx)
	return b.run(ctx)
}

func (in BatchInput) check() error {
	last := 0
	if n := len(in.Items); n > 0 {
		last = in.Items[n-1].To
	}
	if !in.Items.Valid() || last > in.Pinned.Count {
		return fmt.Errorf("the items of the batch are no set within a list of %d", in.Pinned.Count)
	}
	return in.Charging.check()
}

type batch struct {
	in     BatchInput
	result BatchResult

	rest  Ranges // what this run of the chain has not handed out
	tried Ranges // what was handed out and came back, and may have been sent
	later Ranges // what the next one is for
	total int    // items of the whole chain
	told  int    // how many had an outcome when the run was last told
	began bool   // something was scheduled in this run of the chain

	pages    pages
	outage   outage
	inFlight int
	stop     string
	paused   bool

	// Scopes of cancellation, not for blocking: that takes the context of the
	// coroutine that blocks.
	charges   workflow.Context // outlives a cancellation of the batch, until abandon
	abandon   workflow.CancelFunc
	going     workflow.Context // ends with the first reason to stop
	stopGoing workflow.CancelFunc
	round     workflow.Context // of going; ends with a pause as well
	endRound  workflow.CancelFunc
}

func (b *batch) setup(ctx workflow.Context) {
	// Charges are not simply cut off with the batch: they are cancelled by abandon,
	// after the stop was noted, and waited for.
	detached, _ := workflow.NewDisconnectedContext(ctx)
	b.charges, b.abandon = workflow.WithCancel(detached)
	b.going, b.stopGoing = workflow.WithCancel(b.charges)
	b.round, b.endRound = workflow.WithCancel(b.going)
	b.pages.turning, b.outage.probing = workflow.NewMutex(ctx), workflow.NewMutex(ctx)

	stops := workflow.GetSignalChannel(ctx, SignalStop)
	workflow.GoNamed(ctx, "stop", func(ctx workflow.Context) {
		for {
			var signal StopSignal
			stops.Receive(ctx, &signal)
			b.halt(signal.Reason, false)
		}
	})
	pauses := workflow.GetSignalChannel(ctx, SignalPause)
	workflow.GoNamed(ctx, "pause", func(ctx workflow.Context) {
		for {
			var signal PauseSignal
			pauses.Receive(ctx, &signal)
			b.hold(signal.Paused)
		}
	})
	workflow.GoNamed(ctx, "cancel", func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		b.halt(StopCanceled, true)
	})
}

// hold stops the scheduling of charges for a while, or goes on with it. Charges
// under way end; an activity of many gives back what it has not begun.
func (b *batch) hold(paused bool) {
	if b.paused = paused; paused {
		b.endRound()
		return
	}
	b.round, b.endRound = workflow.WithCancel(b.going)
}

func (b *batch) run(ctx workflow.Context) (BatchResult, error) {
	lane, wide := b.chargeOne, b.in.Charging.Window
	if b.in.Charging.ChargesPerActivity > 1 {
		lane, wide = b.chargeMany, max(1, wide/b.in.Charging.ActivityWindow)
	}
	lanes := workflow.NewWaitGroup(ctx)
	for range min(wide, b.rest.Len()) {
		lanes.Add(1)
		workflow.GoNamed(b.charges, "lane", func(ctx workflow.Context) {
			defer lanes.Done()
			// As many lanes as the window is wide bound what is in flight without any counting.
			for b.goesOn(ctx) {
				lane(ctx)
			}
		})
	}
	lanes.Wait(ctx)

	if ctx.Err() != nil {
		b.halt(StopCanceled, true)
	}
	b.later.Merge(b.rest)
	tried := b.later.Both(b.tried)
	if b.stop == "" && len(b.later) > 0 {
		b.stopGoing() // a page that was read ahead
		again := b.in
		again.Items, again.Tried, again.Done, again.OutageSince = b.later, tried, &b.result, b.outage.since
		return BatchResult{}, workflow.NewContinueAsNewError(ctx, ChargeBatch, again)
	}
	b.result.StopReason = b.stop
	if b.stop == activities.TypeKeyExpired {
		b.result.Left, b.result.Tried = b.later, tried
		return b.result, nil
	}
	b.cut(tried)
	for _, left := range b.later.Without(tried) {
		b.book(NotAttempted, left.From, left.To)
	}
	return b.result, nil
}

// goesOn says whether there is anything more to schedule in this run of the chain.
func (b *batch) goesOn(ctx workflow.Context) bool {
	if err := workflow.Await(ctx, func() bool { return !b.paused || b.stop != "" }); err != nil {
		return false
	}
	handOver := b.began && workflow.GetInfo(ctx).GetContinueAsNewSuggested()
	return b.stop == "" && !handOver && len(b.rest) > 0
}

// book counts the items [from, to) and, unless they were charged, lists them.
func (b *batch) book(how Outcome, from, to int) {
	outcome.Book(&b.result.Tally, &b.result.Exceptions, how, from, to)
}

// report tells the run from time to time how far the batch is.
func (b *batch) report() {
	done := b.result.Tally.Total()
	if done-b.told >= max(progressStep, b.total/progressReports) {
		b.told = done
		b.tell(SignalProgress, BatchProgress{Batch: b.in.Number, Tally: b.result.Tally, InFlight: b.inFlight})
	}
}

// halt stops the scheduling of further charges; the first reason stays. tell is
// false where the run is who asked for it.
func (b *batch) halt(reason string, tell bool) {
	if b.stop != "" && b.stop != activities.TypeKeyExpired {
		return
	}
	if b.stop == reason {
		return
	}
	b.stop = reason
	b.stopGoing()
	if reason == StopCanceled || reason == activities.TypeKeyExpired {
		// Attempts under way end; waits between attempts do not go on.
		b.abandon()
	}
	// A key that expired is no reason for the run, which gets another one.
	if tell && reason != activities.TypeKeyExpired {
		b.tell(SignalStop, StopSignal{Reason: reason, Batch: b.in.Number})
	}
}

// tell signals the run without waiting. Should the signal not get through, the
// batch's result says the same a little later.
func (b *batch) tell(signal string, payload any) {
	run := workflow.GetInfo(b.charges).ParentWorkflowExecution
	if run == nil {
		return
	}
	detached, _ := workflow.NewDisconnectedContext(b.charges)
	workflow.SignalExternalWorkflow(detached, run.ID, "", signal, payload)
}
