package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Search attributes of a run, by which Temporal lists it. They stand in clear on
// the server, whatever payloads are encrypted with: nothing secret goes into them,
// and nothing of a customer.
const (
	AttributeRunLabel = "TollgateRunLabel" // the ledger's name of the run; of its batches too
	AttributeState    = "TollgateState"    // one of the State constants; of the run alone
	AttributePeriod   = "TollgatePeriod"   // YYYY-MM; of the run alone
)

// SearchAttributes are the search attributes that a server must know before a run
// can go on there, with their types. Without them every workflow task would fail
// and be tried again for ever, so a worker makes sure of them when it starts.
func SearchAttributes() map[string]enums.IndexedValueType {
	return map[string]enums.IndexedValueType{
		AttributeRunLabel: enums.INDEXED_VALUE_TYPE_KEYWORD,
		AttributeState:    enums.INDEXED_VALUE_TYPE_KEYWORD,
		AttributePeriod:   enums.INDEXED_VALUE_TYPE_KEYWORD,
	}
}

func keyword(name string) temporal.SearchAttributeKeyKeyword {
	return temporal.NewSearchAttributeKeyKeyword(name)
}

// shown is what the server was last told of a run.
type shown struct {
	state   string
	details string
}

// beSeen keeps search attributes and current details in step with the run. It
// follows the state from a coroutine of its own, so that no place where the state
// changes has to remember it.
func (b *billing) beSeen() {
	workflow.GoNamed(b.detached, "be seen", func(ctx workflow.Context) {
		for {
			b.show(ctx)
			if workflow.Await(ctx, func() bool { return b.shown != shown{b.phase, b.details()} }) != nil {
				return
			}
		}
	})
}

// show tells the server what has changed. A new state costs one event, details
// cost none: they are kept by the worker and answered to a query.
func (b *billing) show(ctx workflow.Context) {
	now := shown{b.phase, b.details()}
	if now.state != b.shown.state {
		updates := []temporal.SearchAttributeUpdate{keyword(AttributeState).ValueSet(now.state)}
		if b.shown.state == "" {
			updates = append(updates, keyword(AttributeRunLabel).ValueSet(b.runLabel), keyword(AttributePeriod).ValueSet(b.in.Period))
		}
		if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
			workflow.GetLogger(ctx).Warn("the run cannot be listed by its state", "error", err)
		}
	}
	workflow.SetCurrentDetails(ctx, now.details)
	b.shown = now
}

// details is a line or two for whoever looks at the run in Temporal's UI: counts
// alone, since it may be shown to more people than may see the customers.
func (b *billing) details() string {
	p := b.report()
	lines := []string{fmt.Sprintf("%s: %d of %d customers, %d in flight", p.State, p.Done(), p.Customers, p.InFlight)}
	var counts []string
	for _, c := range []struct {
		n    int
		name string
	}{
		{p.Charged, "charged"}, {p.Declined, "declined"}, {p.CapDenied, "denied by the cap"},
		{p.NotAttempted, "not attempted"}, {p.Unknown, "unknown"}, {p.Failed, "failed"}, {p.Rejected, "rejected"},
	} {
		if c.n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", c.n, c.name))
		}
	}
	if len(counts) > 0 {
		lines = append(lines, strings.Join(counts, ", "))
	}
	if p.Awaiting != nil && p.Awaiting.Items > 0 {
		lines = append(lines, fmt.Sprintf("%d wait for an approval", p.Awaiting.Items))
	}
	if p.Paused != "" {
		lines = append(lines, "paused")
	}
	if p.StopReason != "" {
		lines = append(lines, "stopped by "+p.StopReason)
	}
	return strings.Join(lines, "  \n")
}

// summarised names an activity in Temporal's UI. The text is kept in the history
// as a payload, encrypted like the others; still, positions and no customers.
func summarised(ctx workflow.Context, format string, args ...any) workflow.Context {
	options := workflow.GetActivityOptions(ctx)
	options.Summary = fmt.Sprintf(format, args...)
	return workflow.WithActivityOptions(ctx, options)
}

// span names a set of items by its first and its last.
func span(items Ranges) string {
	return fmt.Sprintf("items %d to %d", items[0].From, items[len(items)-1].To-1)
}
