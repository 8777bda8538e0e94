package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/outcome"
)

// chargeOne charges the next item, in an activity of its own.
func (b *batch) chargeOne(ctx workflow.Context) {
	if !b.turnPage(ctx) || !b.goesOn(ctx) {
		return // another lane may have taken what the page was for, or met a reason to stop
	}
	// Looked up only now: both may have waited, and other lanes have taken items meanwhile.
	customer, ok := b.pages.at(b.rest[0].From)
	if !ok {
		return
	}
	item := b.rest.Take(1)[0].From
	b.began = true
	outages := b.outage.seen

	var a *activities.Activities
	var charged activities.ChargeResult
	b.inFlight++
	err := workflow.ExecuteActivity(summarised(chargeOptions(ctx, b.in.Charging.ChargeTimeout), "item %d", item), a.ChargeCustomer, activities.ChargeInput{
		VaultKey:       b.in.VaultKey,
		RootWorkflowID: b.in.RootWorkflowID,
		Item:           item,
		Customer:       customer,
		Description:    b.in.Description,
		Earlier:        b.in.Earlier,
	}).Get(ctx, &charged)
	b.inFlight--

	found := activities.Judge(err)
	if found.Again && !b.passes(ctx, found.Stop, outages) {
		b.cut(outcome.Span(item, item+1))
		return
	}
	if found.Again || found.Outcome == Unknown && b.stop == activities.TypeKeyExpired {
		// What is still to be proved is proved sooner with a key that lives.
		one := outcome.Span(item, item+1)
		if found.Outcome == Unknown {
			b.tried.Unite(one)
		}
		b.rest.Merge(one)
		return
	}
	b.outage.over()
	b.book(found.Outcome, item, item+1)
	if err == nil {
		b.result.Tally.AddCharged(charged.AmountUSD)
	}
	if found.Stop != "" {
		b.halt(found.Stop, true)
	}
	b.report()
}

// chargeMany charges the next items in one activity.
func (b *batch) chargeMany(ctx workflow.Context) {
	items := b.rest.Take(b.in.Charging.ChargesPerActivity)
	b.began = true
	outages := b.outage.seen

	var a *activities.Activities
	var result activities.RangeResult
	b.inFlight += items.Len()
	round := b.round
	err := workflow.ExecuteActivity(summarised(rangeOptions(round, b.in.Charging), "%s", span(items)), a.ChargeRange, activities.RangeInput{
		VaultKey:       b.in.VaultKey,
		RootWorkflowID: b.in.RootWorkflowID,
		Customers:      b.in.Customers,
		Pinned:         b.in.Pinned,
		Items:          items,
		Concurrency:    b.in.Charging.ActivityWindow,
		ChargeTimeout:  b.in.Charging.ChargeTimeout,
		Description:    b.in.Description,
		Earlier:        b.in.Earlier,
	}).Get(ctx, &result)
	b.inFlight -= items.Len()
	if temporal.IsCanceledError(err) && b.stop == "" {
		b.putBack(items, items) // a pause came before it began, or before it began once more
		return
	}
	sound := result.Tally.Total() == result.Done.Len() && len(result.Done.Without(items)) == 0
	switch {
	case (err != nil || !sound) && b.stop == activities.TypeKeyExpired:
		b.putBack(items, items)
		return
	case err != nil || !sound:
		// It was cut off, or its time is up: what it did is in the ledger.
		b.cut(items)
		return
	}
	b.absorb(ctx, items, result, outages, round.Err() != nil)
	b.report()
}

// absorb takes over what an activity did, and what it left. It was interrupted if
// the batch was paused, or told to stop, while it went on.
func (b *batch) absorb(ctx workflow.Context, items Ranges, result activities.RangeResult, outages int, interrupted bool) {
	b.result.Exceptions.Append(result.Exceptions)
	left, tried := result.Left(items), result.Tried
	if b.stop == "" || b.stop == activities.TypeKeyExpired {
		// Cut short by a pause, or by a key that is replaced. What an attempt did is
		// answered from the ledger when the item is charged again.
		result.Tally.Count(Unknown, -result.Cut.Len())
		left.Merge(result.Cut)
		tried.Unite(result.Cut)
		result.Cut = nil
	}
	b.result.Cut.Merge(result.Cut)
	b.result.Tally.Merge(result.Tally)
	passing := result.Stop == activities.TypeKeyExpired || result.Stop == activities.TypeProxyUnreachable
	switch {
	case passing && !b.passes(ctx, result.Stop, outages):
		b.cut(left)
		left = nil
	case !passing:
		b.outage.over()
	}
	if result.Stop == "" && b.stop == "" && !interrupted {
		b.cut(left) // there is no reason to leave anything
		left = nil
	}
	b.putBack(left, tried)
	if result.Stop != "" && !passing {
		b.halt(result.Stop, true)
	}
}

// putBack returns items that have no outcome to those that are still to be handed
// out. Should their turn not come again, the ledger is asked about those of them that
// were tried: an attempt may have come through.
func (b *batch) putBack(items, tried Ranges) {
	b.rest.Merge(items)
	b.tried.Unite(items.Both(tried))
}

// cut counts items of which some may have been tried, and none to its end.
func (b *batch) cut(items Ranges) {
	b.result.Tally.Count(Unknown, items.Len())
	b.result.Cut.Merge(items)
}

// passes reports whether what could not be charged now can be later. An expired
// key stops the batch, and the run sees to another one. A proxy that does not
// answer is waited for.
func (b *batch) passes(ctx workflow.Context, reason string, outages int) bool {
	if reason == activities.TypeKeyExpired {
		b.halt(reason, false)
		return true
	}
	return b.awaitProxy(ctx, outages)
}

// outage is a time in which the proxy does not answer.
type outage struct {
	probing workflow.Mutex
	seen    int       // how many were waited for
	since   time.Time // of the one that lasts; zero: none does
}

func (o *outage) over() { o.since = time.Time{} }

// awaitProxy waits until the proxy answers, and gives up when that takes longer
// than the outage limit, or when the batch has another reason to stop. A lane
// whose charge was scheduled before the last wait need not wait again.
func (b *batch) awaitProxy(ctx workflow.Context, outages int) bool {
	if err := b.outage.probing.Lock(ctx); err != nil {
		return false
	}
	defer b.outage.probing.Unlock()
	switch {
	case b.stop == activities.TypeKeyExpired || b.stop == "" && b.outage.seen != outages:
		return true
	case b.stop != "":
		return false
	}
	if b.outage.since.IsZero() {
		b.outage.since = workflow.Now(ctx)
	}
	left := b.in.Charging.OutageLimit - workflow.Now(ctx).Sub(b.outage.since)
	if left > 0 {
		var a *activities.Activities
		err := workflow.ExecuteActivity(probeOptions(b.going, left), a.AwaitProxy).Get(ctx, nil)
		if err == nil {
			b.outage.seen++
			return true
		}
	}
	b.halt(activities.TypeProxyUnreachable, true)
	return false
}
