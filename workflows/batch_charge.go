package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/outcome"
)

// chargeOne charges the next item, in an activity of its own. It reports whether
// the lane goes on.
func (b *batch) chargeOne(ctx workflow.Context) bool {
	customer, ok := b.turnPage(ctx)
	if !ok || !b.goesOn(ctx) {
		return true // another lane may have taken what the page was for, or met a reason to stop
	}
	item := b.rest.Take(1)[0].From
	b.began = true
	outages := b.outage.seen

	var a *activities.Activities
	var charged activities.ChargeResult
	b.inFlight++
	err := workflow.ExecuteActivity(chargeOptions(ctx, b.in.Charging.ChargeTimeout), a.ChargeCustomer, activities.ChargeInput{
		VaultKey:       b.in.VaultKey,
		RootWorkflowID: b.in.RootWorkflowID,
		Item:           item,
		Customer:       customer,
		Description:    b.in.Description,
		Earlier:        b.in.Earlier,
	}).Get(ctx, &charged)
	b.inFlight--

	found := activities.Judge(err)
	if found.Again {
		if b.passes(ctx, found.Stop, outages) {
			b.rest.Add(item, item+1)
		} else {
			b.cut(outcome.Span(item, item+1))
		}
		return true
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
	return true
}

// chargeMany charges the next items in one activity.
func (b *batch) chargeMany(ctx workflow.Context) bool {
	items := b.rest.Take(b.in.Charging.ChargesPerActivity)
	b.began = true
	outages := b.outage.seen

	var a *activities.Activities
	var result activities.RangeResult
	b.inFlight += items.Len()
	err := workflow.ExecuteActivity(rangeOptions(b.going, b.in.Charging), a.ChargeRange, activities.RangeInput{
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
	sound := result.Tally.Total() == result.Done.Len() && len(result.Done.Without(items)) == 0
	if err != nil || !sound {
		// It was cut off, or its time is up: what it did is in the ledger.
		b.cut(items)
		return true
	}
	b.absorb(ctx, items, result, outages)
	b.report()
	return true
}

func (b *batch) absorb(ctx workflow.Context, items Ranges, result activities.RangeResult, outages int) {
	b.result.Tally.Merge(result.Tally)
	b.result.Exceptions.Append(result.Exceptions)
	b.result.Cut.Merge(result.Cut)
	left := result.Left(items)
	passing := result.Stop == activities.TypeKeyExpired || result.Stop == activities.TypeProxyUnreachable
	switch {
	case passing && !b.passes(ctx, result.Stop, outages):
		b.cut(left)
		left = nil
	case !passing:
		b.outage.over()
	}
	if result.Stop == "" && b.stop == "" {
		b.cut(left) // there is no reason to leave anything
		left = nil
	}
	b.rest.Merge(left)
	if result.Stop != "" && !passing {
		b.halt(result.Stop, true)
	}
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
	if b.stop != "" {
		return false
	}
	if b.outage.seen != outages {
		return true
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
