package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

func scheduledInput() workflows.ScheduledInput {
	in := billingInput(10)
	in.Period, in.Pinned = "", customerlist.Pinned{}
	return workflows.ScheduledInput{Billing: in}
}

// scheduledBundle is an environment in which a schedule means a moment.
func scheduledBundle(t *testing.T, at time.Time) *testBundle {
	t.Helper()
	b := setup(t)
	b.env.RegisterWorkflow(workflows.ScheduledBilling)
	b.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "billing-pro-schedule-2026-11-01T06:00:00Z", TaskQueue: workflows.TaskQueue})
	attribute := temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")
	require.NoError(t, b.env.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(attribute.ValueSet(at))))
	return b
}

func TestScheduledBilling_BillsTheMonthThatWasMeantAndNotThatOfItsStart(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		at     time.Time
		period string
	}{
		"in the middle of a month":              {time.Date(2026, 11, 15, 6, 0, 0, 0, time.UTC), "2026-11"},
		"at the first moment of a year":         {time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), "2027-01"},
		"at the last moment of a month":         {time.Date(2026, 11, 30, 23, 59, 59, 999, time.UTC), "2026-11"},
		"by UTC, whatever the moment's zone is": {time.Date(2026, 12, 1, 1, 0, 0, 0, time.FixedZone("CET", 7200)), "2026-11"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := scheduledBundle(t, c.at)
			var ran workflows.BillingInput
			var id string
			b.env.OnWorkflow(workflows.Billing, mock.Anything, mock.Anything).
				Return(func(ctx workflow.Context, in workflows.BillingInput) (workflows.Summary, error) {
					ran, id = in, workflow.GetInfo(ctx).WorkflowExecution.ID
					return workflows.Summary{Charged: 10, SettledUSD: 10 * money.Dollar}, nil
				}).Once()
			b.env.ExecuteWorkflow(workflows.ScheduledBilling, scheduledInput())
			require.NoError(t, b.env.GetWorkflowError())
			var got workflows.ScheduledResult
			require.NoError(t, b.env.GetWorkflowResult(&got))
			require.Equal(t, "billing-pro-"+c.period, id)
			require.Equal(t, id, got.WorkflowID)
			require.Equal(t, c.period, ran.Period)
			require.Empty(t, ran.Pinned.SHA256, "each month pins its own list")
			require.Equal(t, 10, got.Summary.Charged)
			require.False(t, got.AlreadyBilled)
		})
	}
}

func TestScheduledBilling_LeavesAMonthAloneThatIsBilledAlready(t *testing.T) {
	t.Parallel()
	b := scheduledBundle(t, time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC))
	// The environment takes its own ID for one that is in use.
	b.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: rootID, TaskQueue: workflows.TaskQueue})
	b.env.ExecuteWorkflow(workflows.ScheduledBilling, scheduledInput())
	require.NoError(t, b.env.GetWorkflowError())
	var got workflows.ScheduledResult
	require.NoError(t, b.env.GetWorkflowResult(&got))
	require.Equal(t, workflows.ScheduledResult{WorkflowID: rootID, AlreadyBilled: true}, got)
}

func TestScheduledBilling_FailsWhereItCannotTellTheMonth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env.RegisterWorkflow(workflows.ScheduledBilling)
	b.env.ExecuteWorkflow(workflows.ScheduledBilling, scheduledInput())
	var failed *temporal.ApplicationError
	require.ErrorAs(t, b.env.GetWorkflowError(), &failed)
	require.Equal(t, workflows.TypeInvalidInput, failed.Type())
	require.ErrorContains(t, failed, "no schedule started this workflow")
}

func TestScheduledInput_TakesNoMonthOfItsOwn(t *testing.T) {
	t.Parallel()
	require.NoError(t, scheduledInput().Validate())
	for sentence, spoil := range map[string]func(*workflows.ScheduledInput){
		"a period":         func(in *workflows.ScheduledInput) { in.Billing.Period = "2026-11" },
		"a pinned list":    func(in *workflows.ScheduledInput) { in.Billing.Pinned = pinned(3) },
		"a run to go on":   func(in *workflows.ScheduledInput) { in.Billing.Resume = &workflows.BillingState{} },
		"no budget at all": func(in *workflows.ScheduledInput) { in.Billing.BudgetUSD = 0 },
		"no plan":          func(in *workflows.ScheduledInput) { in.Billing.Plan = "" },
	} {
		in := scheduledInput()
		spoil(&in)
		require.Error(t, in.Validate(), sentence)
	}
}
