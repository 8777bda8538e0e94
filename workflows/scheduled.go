package workflows

import (
	"fmt"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// scheduledAt is the moment that a schedule meant, which a late start, a trigger
// by hand and a backfill have as well. The server sets it.
// https://docs.temporal.io/search-attribute#default-search-attribute
var scheduledAt = temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")

// ScheduledInput is what a schedule starts every month with.
type ScheduledInput struct {
	// Billing is the run without its period, and with no list pinned: each month
	// pins the list as it is then.
	Billing BillingInput `json:"billing"`
}

// ScheduledResult is what came of one month.
type ScheduledResult struct {
	WorkflowID string `json:"workflow_id"` // of the billing run
	// AlreadyBilled: there was a run of that plan and period, which was left alone.
	AlreadyBilled bool     `json:"already_billed"`
	Summary       *Summary `json:"summary,omitempty"`
}

// Validate reports the first thing that no month could work with.
func (in ScheduledInput) Validate() error {
	if in.Billing.Period != "" || in.Billing.Pinned.SHA256 != "" || in.Billing.Resume != nil {
		return fmt.Errorf("a schedule takes neither a period nor a pinned list: each month has its own")
	}
	first := in.Billing
	first.Period = "2000-01"
	return first.Validate()
}

// ScheduledBilling bills the month, in UTC, in which its schedule meant it to
// start. The run that does so has the same ID as one that a person starts: however
// often a month is asked for, and by whom, it is billed once.
//
// It lasts as long as that run, so that a schedule which skips overlaps does not
// start a month while another one is being billed.
func ScheduledBilling(ctx workflow.Context, in ScheduledInput) (ScheduledResult, error) {
	if err := in.Validate(); err != nil {
		return ScheduledResult{}, temporal.NewNonRetryableApplicationError(err.Error(), TypeInvalidInput, nil)
	}
	at, ok := workflow.GetTypedSearchAttributes(ctx).GetTime(scheduledAt)
	if !ok {
		return ScheduledResult{}, temporal.NewNonRetryableApplicationError(
			"no schedule started this workflow, so that it cannot tell the month to bill: use 'starter schedule' or 'starter run'",
			TypeInvalidInput, nil)
	}
	run := in.Billing
	run.Period = ScheduledPeriod(at)
	id, err := BillingWorkflowID(run.Plan, run.Period)
	if err != nil {
		return ScheduledResult{}, temporal.NewNonRetryableApplicationError(err.Error(), TypeInvalidInput, nil)
	}
	out := ScheduledResult{WorkflowID: id}
	var summary Summary
	err = workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            id,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WaitForCancellation:   true,
		// Whoever terminates this one did not ask for a run that revokes no key.
		ParentClosePolicy: enums.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:     "budget " + run.BudgetUSD.String() + " USD",
	}), Billing, run).Get(ctx, &summary)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		out.AlreadyBilled = true
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Summary = &summary
	return out, nil
}

// ScheduledPeriod is the month that a moment falls into, in UTC.
func ScheduledPeriod(at time.Time) string { return at.UTC().Format("2006-01") }

// ScheduleID names the schedule of a plan, of which there is one.
func ScheduleID(plan string) string { return "billing-" + plan }
