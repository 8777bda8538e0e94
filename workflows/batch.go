package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
)

const (
	// pageSize keeps a page of customers at some 25 KB of history.
	pageSize = 200
	// itemsPerRun bounds a batch's history where the server suggests nothing: an
	// item costs 3 to 6 events, a run is warned of at 10,240.
	itemsPerRun = 1000
	// progressStep is how many items end between two reports to the run. Each
	// costs the run one to four events.
	progressStep = 50
)

// BatchInput is a range of the list, and all that is needed to charge it.
type BatchInput struct {
	Number         int                 `json:"number"`
	From           int                 `json:"from"` // item index
	To             int                 `json:"to"`   // item index, not included
	RootWorkflowID string              `json:"root_workflow_id"`
	VaultKey       string              `json:"vault_key"`
	Customers      customerlist.Source `json:"customers"`
	Pinned         customerlist.Pinned `json:"pinned"`
	Window         int                 `json:"window"` // concurrent charges
	ChargeTimeout  time.Duration       `json:"charge_timeout"`
	Description    string              `json:"description,omitempty"`

	// Done carries a batch over continue-as-new: From is then where it goes on.
	Done *BatchResult `json:"done,omitempty"`
}

// BatchResult is how the items of a batch ended. Unknown ones are listed
// without a gap, since the run reads them again from the ledger.
type BatchResult struct {
	Tally      Tally      `json:"tally"`
	Exceptions Exceptions `json:"exceptions"`
	StopReason string     `json:"stop_reason,omitempty"`
}

// StopSignal is the payload of SignalStop.
type StopSignal struct {
	Reason string `json:"reason"`
	Batch  int    `json:"batch"` // the batch that met it; of no meaning towards a batch
}

// BatchProgress is the payload of SignalProgress: where the batch stands in all,
// not what changed, so that a report lost or doubled does no harm.
type BatchProgress struct {
	Batch    int   `json:"batch"`
	Tally    Tally `json:"tally"`
	InFlight int   `json:"in_flight"`
}

// ChargeBatch charges a range of the list with a window of concurrent activities.
//
// It returns its counts even if it was stopped or cancelled, so that the run can
// add up; it fails only on input that no run makes.
func ChargeBatch(ctx workflow.Context, in BatchInput) (BatchResult, error) {
	if in.Window < 1 || in.Window > MaxWindow || in.From < 0 || in.From > in.To || in.To > in.Pinned.Count {
		return BatchResult{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("items [%d, %d) of %d with a window of %d are no batch", in.From, in.To, in.Pinned.Count, in.Window),
			TypeInvalidInput, nil)
	}
	b := &batch{in: in, next: in.From, runEnd: min(in.To, in.From+itemsPerRun)}
	if in.Done != nil {
		b.result = *in.Done
	}
	b.setup(ctx)
	return b.run(ctx)
}

type batch struct {
	in     BatchInput
	result BatchResult

	next   int // the item to schedule next
	runEnd int // where this run of the chain ends at the latest
	began  int // items scheduled in this run of the chain

	page     []customerlist.Customer
	pageFrom int
	ahead    workflow.Future // the page after it, asked for before it is needed
	fetching workflow.Mutex

	inFlight int
	stop     string

	// Scopes of cancellation, not for blocking: that takes the context of the
	// coroutine that blocks.
	charges     workflow.Context // outlives a cancellation of the batch, until abandon
	abandon     workflow.CancelFunc
	fetches     workflow.Context // of pages; ends with the first reason to stop
	stopFetches workflow.CancelFunc
}

func (b *batch) setup(ctx workflow.Context) {
	// Charges are not simply cut off with the batch: they are cancelled by abandon,
	// after the stop was noted, and waited for.
	detached, _ := workflow.NewDisconnectedContext(ctx)
	b.charges, b.abandon = workflow.WithCancel(detached)
	b.fetches, b.stopFetches = workflow.WithCancel(b.charges)
	b.fetching = workflow.NewMutex(ctx)

	stops := workflow.GetSignalChannel(ctx, SignalStop)
	workflow.GoNamed(ctx, "stop", func(ctx workflow.Context) {
		for {
			var signal StopSignal
			stops.Receive(ctx, &signal)
			b.halt(signal.Reason, false)
		}
	})
	workflow.GoNamed(ctx, "cancel", func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		b.halt(StopCanceled, true)
	})
}

func (b *batch) run(ctx workflow.Context) (BatchResult, error) {
	lanes := workflow.NewWaitGroup(ctx)
	for range min(b.in.Window, b.runEnd-b.next) {
		lanes.Add(1)
		workflow.GoNamed(b.charges, "lane", func(ctx workflow.Context) {
			defer lanes.Done()
			b.lane(ctx)
		})
	}
	lanes.Wait(ctx)

	if ctx.Err() != nil {
		b.halt(StopCanceled, true)
	}
	if b.stop == "" && b.next < b.in.To {
		again := b.in
		again.From, again.Done = b.next, &b.result
		return BatchResult{}, workflow.NewContinueAsNewError(ctx, ChargeBatch, again)
	}
	b.result.StopReason = b.stop
	b.book(NotAttempted, b.next, b.in.To)
	return b.result, nil
}

// lane charges one item after the other. There are as many lanes as the window
// is wide, which bounds what is in flight without any counting.
func (b *batch) lane(ctx workflow.Context) {
	for {
		item, customer, ok := b.take(ctx)
		if !ok {
			return
		}
		b.charge(ctx, item, customer)
	}
}

// take hands out the next item, reading a further page when the last is used up.
func (b *batch) take(ctx workflow.Context) (int, customerlist.Customer, bool) {
	for {
		handOver := b.began > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested()
		if b.stop != "" || handOver || b.next >= b.runEnd {
			return 0, customerlist.Customer{}, false
		}
		if at := b.next - b.pageFrom; at < len(b.page) {
			item := b.next
			b.next++
			b.began++
			return item, b.page[at], true
		}
		b.turnPage(ctx)
	}
}

// turnPage fetches the page that starts at the next item. Lanes that come while
// one is fetching wait for it.
func (b *batch) turnPage(ctx workflow.Context) {
	if err := b.fetching.Lock(ctx); err != nil {
		return // cancelled meanwhile
	}
	defer b.fetching.Unlock()
	if b.stop != "" || b.next-b.pageFrom < len(b.page) {
		return
	}
	if b.ahead == nil {
		b.ahead = b.fetch(b.next)
	}
	var page activities.FetchResult
	err := b.ahead.Get(ctx, &page)
	from, to := b.pageRange(b.next)
	switch {
	case b.stop != "":
		return
	case err != nil:
		reason := errorType(err)
		if reason == "" {
			reason = activities.TypeCustomerListUnread
		}
		b.halt(reason, true)
		return
	case len(page.Customers) != to-from:
		b.halt(activities.TypeCustomerListUnread, true)
		return
	}
	b.page, b.pageFrom, b.ahead = page.Customers, from, nil
	if to < b.runEnd {
		b.ahead = b.fetch(to)
	}
}

func (b *batch) pageRange(from int) (int, int) { return from, min(from+pageSize, b.runEnd) }

func (b *batch) fetch(from int) workflow.Future {
	var a *activities.Activities
	from, to := b.pageRange(from)
	return workflow.ExecuteActivity(summarised(listOptions(b.fetches), "items %d to %d", from, to-1), a.FetchCustomers, activities.FetchInput{
		Source: b.in.Customers, Pinned: b.in.Pinned, From: from, To: to,
	})
}

func (b *batch) charge(ctx workflow.Context, item int, customer customerlist.Customer) {
	var a *activities.Activities
	var charged activities.ChargeResult
	b.inFlight++
	err := workflow.ExecuteActivity(summarised(chargeOptions(ctx, b.in.ChargeTimeout), "item %d", item), a.ChargeCustomer, activities.ChargeInput{
		VaultKey:       b.in.VaultKey,
		RootWorkflowID: b.in.RootWorkflowID,
		Item:           item,
		Customer:       customer,
		Description:    b.in.Description,
	}).Get(ctx, &charged)
	b.inFlight--

	found := judge(err)
	b.book(found.outcome, item, item+1)
	if err == nil {
		b.result.Tally.addCharged(charged.AmountUSD)
	}
	if found.stop != "" {
		b.halt(found.stop, true)
	}
	if b.result.Tally.Total()%progressStep == 0 {
		b.tell(SignalProgress, BatchProgress{Batch: b.in.Number, Tally: b.result.Tally, InFlight: b.inFlight})
	}
}

// book counts the items [from, to) and, unless they were charged, lists them.
func (b *batch) book(outcome Outcome, from, to int) {
	b.result.Tally.Count(outcome, max(0, to-from))
	if set := b.result.Exceptions.of(outcome); set != nil {
		set.Add(from, to)
	}
}

// halt stops the scheduling of further charges; the first reason stays. tell is
// false where the run is who asked for it.
func (b *batch) halt(reason string, tell bool) {
	if b.stop != "" {
		return
	}
	b.stop = reason
	b.stopFetches()
	if reason == StopCanceled {
		// Attempts under way end; waits between attempts do not go on.
		b.abandon()
	}
	if tell {
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
