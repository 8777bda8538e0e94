package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
)

// pageSize keeps a page of customers at some 25 KB of history.
const pageSize = 200

// pages are the customers of a batch that charges one in an activity. Such a batch
// passes them through its history; one that charges many lets the activity read them.
type pages struct {
	turning   workflow.Mutex
	customers []customerlist.Customer
	from      int             // item of the first one
	ahead     workflow.Future // the page after it, asked for before it is needed
	aheadOf   Range
}

// at is the customer of an item, if its page is open.
func (p *pages) at(item int) (customerlist.Customer, bool) {
	if at := item - p.from; at >= 0 && at < len(p.customers) {
		return p.customers[at], true
	}
	return customerlist.Customer{}, false
}

// turnPage opens the page of the next item, where that is not open, and reports
// whether there is anything to go on with. Lanes that come while one is reading wait
// for it.
func (b *batch) turnPage(ctx workflow.Context) bool {
	if _, ok := b.pages.at(b.rest[0].From); ok {
		return true
	}
	if err := b.pages.turning.Lock(ctx); err != nil {
		return false // cancelled meanwhile
	}
	defer b.pages.turning.Unlock()
	if b.stop != "" || len(b.rest) == 0 {
		return false
	}
	if _, ok := b.pages.at(b.rest[0].From); ok {
		return true
	}
	b.readPage(ctx)
	return b.stop == "" && len(b.rest) > 0
}

// readPage opens the page of the next item, and asks for the one behind it.
func (b *batch) readPage(ctx workflow.Context) {
	want := Range{From: b.rest[0].From, To: min(b.rest[0].To, b.rest[0].From+pageSize)}
	if b.pages.ahead == nil || b.pages.aheadOf.From != want.From || b.pages.aheadOf.To > want.To {
		b.pages.ahead, b.pages.aheadOf = b.fetch(want), want
	}
	want = b.pages.aheadOf
	var page activities.FetchResult
	err := b.pages.ahead.Get(ctx, &page)
	b.pages.ahead = nil
	switch {
	case b.stop != "":
		return
	case err != nil:
		reason := activities.ErrorType(err)
		if reason == "" {
			reason = activities.TypeCustomerListUnread
		}
		b.halt(reason, true)
		return
	case len(page.Customers) != want.To-want.From:
		b.halt(activities.TypeCustomerListUnread, true)
		return
	}
	b.pages.customers, b.pages.from = page.Customers, want.From
	behind := b.rest.Without(Ranges{{From: 0, To: want.To}})
	if len(behind) > 0 {
		next := behind.Take(pageSize)[0]
		b.pages.ahead, b.pages.aheadOf = b.fetch(next), next
	}
}

func (b *batch) fetch(items Range) workflow.Future {
	var a *activities.Activities
	return workflow.ExecuteActivity(summarised(listOptions(b.going), "%s", span(Ranges{items})), a.FetchCustomers, activities.FetchInput{
		Source: b.in.Customers, Pinned: b.in.Pinned, From: items.From, To: items.To,
	})
}
