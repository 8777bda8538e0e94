package workflows_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

func batchInput(from, to int) workflows.BatchInput {
	return workflows.BatchInput{
		Number: 3, Items: ranges(from, to), RootWorkflowID: rootID, VaultKey: vaultKey,
		Customers: source(5000), Pinned: pinned(5000), Charging: charging(1),
	}
}

func charging(perActivity int) workflows.Charging {
	return workflows.Charging{
		Window: 8, ChargesPerActivity: perActivity, ActivityWindow: 4, ChargeTimeout: time.Minute, OutageLimit: time.Hour,
	}
}

func (b *testBundle) runBatch(t *testing.T, in workflows.BatchInput) workflows.BatchResult {
	t.Helper()
	b.env.ExecuteWorkflow(workflows.ChargeBatch, in)
	require.True(t, b.env.IsWorkflowCompleted())
	require.NoError(t, b.env.GetWorkflowError())
	var result workflows.BatchResult
	require.NoError(t, b.env.GetWorkflowResult(&result))
	require.Equal(t, in.Items.Len(), result.Tally.Total()+result.Left.Len())
	return result
}

func TestChargeBatch_IsAsFastAsItsWindowAllowsAndNoFaster(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectFetches()
	b.env.OnActivity(b.act.ChargeCustomer, mock.Anything, mock.Anything).
		Return(activities.ChargeResult{AmountUSD: money.Dollar}, nil).After(10 * time.Second)

	began := b.env.Now()
	b.runBatch(t, batchInput(0, 80))

	require.Equal(t, 100*time.Second, b.env.Now().Sub(began), "ten rounds of eight, ten seconds each")
}

func TestChargeBatch_PagesAndKeepsItsWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectCharges(t)
	b.expectFetches()
	// The first eight charges end together or not at all.
	var window sync.WaitGroup
	window.Add(8)
	b.onCharge = func(item int) {
		if item < 108 {
			window.Done()
			window.Wait()
		}
	}

	result := b.runBatch(t, batchInput(100, 600))

	require.Equal(t, workflows.BatchResult{Tally: workflows.Tally{Charged: 500, ChargedUSD: 500 * money.Dollar}}, result)
	require.Equal(t, 100, b.charged()[0])
	require.Equal(t, 599, b.charged()[499])
	require.Equal(t, 8, b.widest)
	b.env.AssertActivityNumberOfCalls(t, "ChargeCustomer", 500)
	b.env.AssertActivityNumberOfCalls(t, "FetchCustomers", 3)
}

func TestChargeBatch_StopsWhenToldAndLetsEndWhatIsInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectCharges(t)
	b.expectFetches()
	b.onCharge = func(item int) {
		if item == 120 {
			b.env.SignalWorkflow(workflows.SignalStop, workflows.StopSignal{Reason: activities.TypeCapExhausted})
		}
	}

	result := b.runBatch(t, batchInput(100, 600))

	require.Equal(t, activities.TypeCapExhausted, result.StopReason)
	charged := b.charged()
	require.Len(t, charged, result.Tally.Charged, "what was in flight was counted")
	next := charged[len(charged)-1] + 1
	require.Less(t, next, 200)
	require.Equal(t, ranges(next, 600), result.Exceptions.NotAttempted)
	require.Len(t, charged, next-100, "no hole before the first that was not attempted")
}

func TestChargeBatch_CancelledStillReturnsItsCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectCharges(t)
	b.expectFetches()
	b.onCharge = func(item int) {
		if item == 120 {
			b.env.CancelWorkflow()
		}
	}

	result := b.runBatch(t, batchInput(100, 600))

	require.Equal(t, workflows.StopCanceled, result.StopReason)
	require.Positive(t, result.Tally.Charged)
	require.Less(t, result.Tally.Charged, 100)
	// The environment gives scheduled activities up at once, unlike a server; such
	// items are in doubt, not lost.
	next := 100 + result.Tally.Charged + result.Tally.Unknown
	require.Equal(t, ranges(next, 600), result.Exceptions.NotAttempted)
	charged := b.charged()
	require.Less(t, charged[len(charged)-1], next)
	require.Equal(t, result.Tally.Unknown, result.Exceptions.Unknown.Len())
}

func TestChargeBatch_ContinuesAsNewWithNothingInFlight(t *testing.T) {
	t.Parallel()
	for sentence, suggestedAt := range map[string]int{
		"when the server suggests it":              40,
		"having done something in each run":        -1,
		"after a thousand items, suggested or not": 5000,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.expectCharges(t)
			b.expectFetches()
			b.script[2] = terminal(activities.TypeChargeDeclined)
			b.env.SetContinueAsNewSuggested(suggestedAt < 0)
			// The environment is told from its own loop, not from within a charge.
			b.env.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) {
				if suggestedAt > 0 && len(b.charged()) >= suggestedAt {
					b.env.SetContinueAsNewSuggested(true)
				}
			})

			b.env.ExecuteWorkflow(workflows.ChargeBatch, batchInput(0, 1500))

			var continued *workflow.ContinueAsNewError
			require.ErrorAs(t, b.env.GetWorkflowError(), &continued)
			var again workflows.BatchInput
			require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(continued.Input, &again))
			require.Zero(t, b.inFlight)
			charged := b.charged()
			from := again.Items[0].From
			require.Equal(t, ranges(from, 1500), again.Items)
			require.Len(t, charged, from, "everything before where it goes on, and nothing after")
			require.Equal(t, from-1, charged[len(charged)-1])
			require.Equal(t, from, again.Done.Tally.Total())
			switch suggestedAt {
			case -1:
				require.Equal(t, 1, from)
			case 40:
				require.Less(t, from, 100)
				require.Equal(t, ranges(2, 3), again.Done.Exceptions.Declined)
			default:
				require.Equal(t, 1000, from)
			}
		})
	}
}

func TestChargeBatch_GoesOnWhereItContinuedFrom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectCharges(t)
	b.expectFetches()
	in := batchInput(1000, 1100)
	in.Done = &workflows.BatchResult{
		Tally:      workflows.Tally{Charged: 999, Declined: 1, ChargedUSD: 999 * money.Dollar},
		Exceptions: workflows.Exceptions{Declined: ranges(999, 1000)},
	}
	b.script[1000] = terminal(activities.TypeChargeDeclined)

	b.env.ExecuteWorkflow(workflows.ChargeBatch, in)

	require.NoError(t, b.env.GetWorkflowError())
	var result workflows.BatchResult
	require.NoError(t, b.env.GetWorkflowResult(&result))
	require.Equal(t, workflows.BatchResult{
		Tally:      workflows.Tally{Charged: 1098, Declined: 2, ChargedUSD: 1098 * money.Dollar},
		Exceptions: workflows.Exceptions{Declined: ranges(999, 1001)},
	}, result)
	require.Len(t, b.charged(), 100)
}

func TestChargeBatch_StopsWhenItsPageCannotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env.OnActivity(b.act.FetchCustomers, mock.Anything, mock.Anything).
		Return(activities.FetchResult{}, terminal(activities.TypeCustomerListChanged)).Once()

	result := b.runBatch(t, batchInput(100, 600))

	require.Equal(t, activities.TypeCustomerListChanged, result.StopReason)
	require.Equal(t, ranges(100, 600), result.Exceptions.NotAttempted)
}

func TestChargeBatch_StopsWhenItsPageIsShort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env.OnActivity(b.act.FetchCustomers, mock.Anything, mock.Anything).Return(activities.FetchResult{}, nil).Once()

	result := b.runBatch(t, batchInput(100, 600))

	require.Equal(t, activities.TypeCustomerListUnread, result.StopReason)
	require.Equal(t, 500, result.Tally.NotAttempted)
}

func TestChargeBatch_RefusesWhatIsNoBatch(t *testing.T) {
	t.Parallel()
	for sentence, spoil := range map[string]func(*workflows.BatchInput){
		"no window":                       func(in *workflows.BatchInput) { in.Charging.Window = 0 },
		"backwards":                       func(in *workflows.BatchInput) { in.Items = workflows.Ranges{{From: 5, To: 4}} },
		"before the list":                 func(in *workflows.BatchInput) { in.Items = ranges(-1, 10) },
		"behind the list":                 func(in *workflows.BatchInput) { in.Items = ranges(0, 5001) },
		"no charge at all in an activity": func(in *workflows.BatchInput) { in.Charging.ChargesPerActivity = 0 },
		"beyond the server's":             func(in *workflows.BatchInput) { in.Charging.Window = 1001 },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			in := batchInput(0, 10)
			spoil(&in)
			b.env.ExecuteWorkflow(workflows.ChargeBatch, in)
			requireFailure(t, b, workflows.TypeInvalidInput)
		})
	}
}

func TestChargeBatch_KeepsInMindOverContinueAsNewHowLongTheProxyIsAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectFetches()
	b.expectCharges(t)
	b.away = true
	b.env.OnActivity(b.act.AwaitProxy, mock.Anything).Return(nil)
	b.env.SetContinueAsNewSuggested(true)
	began := b.env.Now()

	b.env.ExecuteWorkflow(workflows.ChargeBatch, batchInput(0, 100))

	var continued *workflow.ContinueAsNewError
	require.ErrorAs(t, b.env.GetWorkflowError(), &continued)
	var again workflows.BatchInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(continued.Input, &again))
	require.WithinDuration(t, began.Add(again.Charging.ChargeTimeout), again.OutageSince, time.Minute)

	next := setup(t)
	next.expectFetches()
	next.expectCharges(t)
	next.away = true
	again.OutageSince = next.env.Now().Add(-2 * again.Charging.OutageLimit)
	require.Equal(t, activities.TypeProxyUnreachable, next.runBatchAgain(t, again).StopReason)
}
