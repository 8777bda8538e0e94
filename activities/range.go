package activities

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/activities/outcome"
)

const (
	// attemptTimeout of one call covers the time that the proxy lets it wait for
	// room in the budget, its deadline towards the vendor, and its commits.
	attemptTimeout = time.Minute
	// firstPause and longestPause are the waits between two attempts at an item.
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	// windDown is how long items that are under way go on being tried after the
	// activity was cancelled. Calls that wait for each other's room at the end of a
	// budget are decided within it.
	windDown = 5 * time.Second
	// beat is how often the activity says how far it is; the worker passes it on
	// less often than that.
	beat = time.Second
)

// RangeInput is a set of items to charge in one activity.
type RangeInput struct {
	VaultKey       string              `json:"vault_key"`
	RootWorkflowID string              `json:"root_workflow_id"`
	Customers      customerlist.Source `json:"customers"`
	Pinned         customerlist.Pinned `json:"pinned"`
	Items          outcome.Ranges      `json:"items"`
	Concurrency    int                 `json:"concurrency"`    // charges at once
	ChargeTimeout  time.Duration       `json:"charge_timeout"` // all attempts at one item
	Description    string              `json:"description,omitempty"`
	Earlier        *Earlier            `json:"earlier,omitempty"`
}

// RangeResult is how the items of a range ended. Those in none of its sets and not
// charged were not begun, or may be charged again: see Left.
type RangeResult struct {
	Tally      outcome.Tally      `json:"tally"`
	Exceptions outcome.Exceptions `json:"exceptions"`
	// Cut are items that were being tried when the activity was cancelled. They are
	// counted as unknown, and not listed so: they were not tried to the end.
	Cut  outcome.Ranges `json:"cut,omitempty"`
	Done outcome.Ranges `json:"done,omitempty"` // all that are counted
	// Tried are those of Left that may have been sent: that they have no outcome does
	// not say that they had no effect.
	Tried outcome.Ranges `json:"tried,omitempty"`
	// Stop is why Left is not empty, and why no further item should be charged. It is
	// empty after a cancellation.
	Stop string `json:"stop,omitempty"`
}

// Left are the items of the range that have no outcome.
func (r RangeResult) Left(items outcome.Ranges) outcome.Ranges { return items.Without(r.Done) }

// ChargeRange charges a set of items, each as ChargeCustomer does: under its own
// idempotency key, and tried again until it ends or its time is up. It returns
// what it did when it is cancelled, and fails only if a worker has to take it up
// once more. That one goes on from the last heartbeat; what was charged after it
// is answered from the ledger.
func (a *Activities) ChargeRange(ctx context.Context, in RangeInput) (RangeResult, error) {
	if in.Concurrency < 1 || !in.Items.Valid() {
		return RangeResult{}, rule{errorType: TypeInvalidRequest, text: "this is no range of items"}.applicationError("", 0)
	}
	r := &rangeRun{in: in, charge: a.ChargeCustomer, hurry: make(chan struct{}), stopping: activity.GetWorkerStopChannel(ctx)}
	r.resume(ctx)
	work := make(chan work)
	var lanes sync.WaitGroup
	for range in.Concurrency {
		lanes.Go(func() {
			for w := range work {
				r.item(ctx, w)
			}
		})
	}
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { r.beat(ctx, over) })
	watch.Go(func() { r.windDown(ctx, over) })
	r.feed(ctx, a.lists, work)
	close(work)
	lanes.Wait()
	close(over)
	watch.Wait()
	return r.end(ctx)
}

// work is one item with its customer.
type work struct {
	item     int
	customer customerlist.Customer
}

// rangeRun is one attempt at a range.
type rangeRun struct {
	in       RangeInput
	charge   func(context.Context, ChargeInput) (ChargeResult, error)
	stopping <-chan struct{} // closed when the worker stops
	hurry    chan struct{}   // closed when waits between attempts are over

	mu      sync.Mutex
	result  RangeResult
	tried   outcome.Ranges // what was given back and may have been sent
	problem error          // of reading the list; another attempt may read it
}

// resume takes up what an earlier attempt had done. Details that cannot be those
// of this range are left aside: the ledger replays what they told of.
func (r *rangeRun) resume(ctx context.Context) {
	var before RangeResult
	if !activity.HasHeartbeatDetails(ctx) || activity.GetHeartbeatDetails(ctx, &before) != nil {
		return
	}
	if before.Done.Valid() && len(before.Done.Without(r.in.Items)) == 0 && before.Tally.Total() == before.Done.Len() {
		r.result = before
	}
}

// feed hands out the items that are not done, until something stops it.
func (r *rangeRun) feed(ctx context.Context, lists *customerlist.Reader, to chan<- work) {
	for _, span := range slices.Clone(r.result.Left(r.in.Items)) {
		page, err := lists.Page(ctx, r.in.Customers, r.in.Pinned, span.From, span.To)
		if err != nil {
			r.listFailed(listError(err))
			return
		}
		for i, customer := range page {
			if r.stopped() != "" {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-r.stopping:
				return
			case to <- work{span.From + i, customer}:
			}
		}
	}
}

func (r *rangeRun) listFailed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var fault *temporal.ApplicationError
	if errors.As(err, &fault) && fault.NonRetryable() {
		r.stop(fault.Type())
		return
	}
	r.problem = err
}

// item tries one item until it ends, its time is up, or there is no more time to wait.
func (r *rangeRun) item(ctx context.Context, w work) {
	if r.stopped() != "" {
		return // handed out before the reason was there
	}
	in := ChargeInput{
		VaultKey: r.in.VaultKey, RootWorkflowID: r.in.RootWorkflowID, Item: w.item, Customer: w.customer,
		Description: r.in.Description, Earlier: r.in.Earlier,
	}
	deadline := time.Now().Add(r.in.ChargeTimeout)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		// A call that is under way ends, whatever becomes of the activity.
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(attemptTimeout, r.in.ChargeTimeout))
		charged, err := r.charge(call, in)
		cancel()
		wait, again := nextAttempt(w.item, err, pause)
		if !again || time.Now().Add(wait).After(deadline) {
			r.book(w.item, charged, Judge(err))
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.stopping:
			timer.Stop()
			r.giveBack(w.item) // the next worker goes on with it
			return
		case <-r.hurry:
			timer.Stop()
			r.cut(w.item)
			return
		}
	}
}

// nextAttempt says whether an item is tried again, and after what wait. Half of
// the wait hangs on the item, so that what failed together does not come back together.
func nextAttempt(item int, err error, pause time.Duration) (time.Duration, bool) {
	var fault *temporal.ApplicationError
	if !errors.As(err, &fault) || fault.NonRetryable() {
		return 0, false
	}
	if asked := fault.NextRetryDelay(); asked > 0 {
		return asked, true
	}
	const spread = 16
	return pause/2 + pause/2*time.Duration(item%spread)/spread, true
}

// book counts an item; one that can be charged again is left instead.
func (r *rangeRun) book(item int, charged ChargeResult, v Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.Stop != "" {
		r.stop(v.Stop)
	}
	if v.Again {
		if v.Outcome == outcome.Unknown {
			r.tried.Add(item, item+1)
		}
		return
	}
	r.result.Done.Add(item, item+1)
	outcome.Book(&r.result.Tally, &r.result.Exceptions, v.Outcome, item, item+1)
	if v.Outcome == outcome.Charged {
		r.result.Tally.AddCharged(charged.AmountUSD)
	}
}

func (r *rangeRun) giveBack(item int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried.Add(item, item+1)
}

func (r *rangeRun) cut(item int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Done.Add(item, item+1)
	r.result.Cut.Add(item, item+1)
	r.result.Tally.Count(outcome.Unknown, 1)
}

// stop keeps the first reason, but for one that passes: another one that holds for
// every further item takes its place.
func (r *rangeRun) stop(reason string) {
	passes := r.result.Stop == TypeKeyExpired || r.result.Stop == TypeProxyUnreachable
	if r.result.Stop == "" || passes {
		r.result.Stop = reason
	}
}

func (r *rangeRun) stopped() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result.Stop
}

// beat says how far the activity is. A heartbeat is also how it hears of a
// cancellation, and its absence how the server hears of a dead worker.
func (r *rangeRun) beat(ctx context.Context, over <-chan struct{}) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		activity.RecordHeartbeat(ctx, r.snapshot())
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

// snapshot is a copy, since telling it may take as long as the server takes.
func (r *rangeRun) snapshot() RangeResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := r.result
	copied.Exceptions = r.result.Exceptions.Clone()
	copied.Cut, copied.Done = slices.Clone(r.result.Cut), slices.Clone(r.result.Done)
	return copied
}

// windDown ends the waits between attempts some time after a cancellation.
func (r *rangeRun) windDown(ctx context.Context, over <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-over:
		return
	}
	timer := time.NewTimer(windDown)
	defer timer.Stop()
	select {
	case <-timer.C:
		close(r.hurry)
	case <-over:
	}
}

// end returns the result, unless there is something left that another attempt at
// the activity should go on with.
func (r *rangeRun) end(ctx context.Context) (RangeResult, error) {
	activity.RecordHeartbeat(ctx, r.snapshot())
	cause := context.Cause(ctx)
	interrupted := errors.Is(cause, activity.ErrActivityPaused) || errors.Is(cause, activity.ErrActivityReset)
	select {
	case <-r.stopping:
		interrupted = true
	default:
	}
	left := r.result.Left(r.in.Items)
	r.result.Tried = left.Both(r.tried)
	if activity.GetInfo(ctx).Attempt > 1 || activity.HasHeartbeatDetails(ctx) {
		// An earlier attempt may have got further than its last heartbeat tells.
		r.result.Tried = left
	}
	switch {
	case len(left) == 0 || r.result.Stop != "":
		return r.result, nil
	case r.problem != nil:
		return RangeResult{}, r.problem
	case interrupted:
		return RangeResult{}, rule{errorType: TypeWorkerStopping, retry: true, benign: true, text: "the worker is stopping; another attempt goes on"}.
			applicationError("", firstPause)
	}
	return r.result, nil
}
