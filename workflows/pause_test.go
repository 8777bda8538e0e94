package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// expectSlowFetches is expectFetches of pages that take their time.
func (b *testBundle) expectSlowFetches(takes time.Duration) {
	b.env.OnActivity(b.act.FetchCustomers, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.FetchInput) (activities.FetchResult, error) {
			var page []customerlist.Customer
			for i := in.From; i < in.To; i++ {
				page = append(page, customer(i))
			}
			return activities.FetchResult{Customers: page}, nil
		}).After(takes)
}

func (b *testBundle) pauseBatch(from, to time.Duration) {
	for at, paused := range map[time.Duration]bool{from: true, to: false} {
		b.env.RegisterDelayedCallback(func() {
			b.env.SignalWorkflow(workflows.SignalPause, workflows.PauseSignal{Paused: paused})
		}, at)
	}
}

func TestChargeBatch_PausedWhileItReadsAPageChargesEachCustomerAsItsOwnItem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectSlowFetches(10 * time.Second)
	b.expectCharges(t) // holds each charge to its own customer
	b.pauseBatch(5*time.Second, time.Minute)

	result := b.runBatch(t, batchInput(0, 300))

	require.Equal(t, 300, result.Tally.Charged)
	for item := range 300 {
		require.Equal(t, 1, b.calls[item], "item %d", item)
	}
}

func TestChargeBatch_ReadsFromTheLedgerWhatAnotherReasonThanItsExpiredKeyLeavesOpen(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		result activities.RangeResult // of items 0 to 10, the first activity
		cut    workflows.Ranges
	}{
		"what the proxy may have had before it went away": {
			activities.RangeResult{Stop: activities.TypeCapExhausted, Tried: ranges(2, 4), Done: ranges(0, 1), Tally: outcome.Tally{CapDenied: 1}, Exceptions: outcome.Exceptions{CapDenied: ranges(0, 1)}},
			ranges(2, 4),
		},
		"what was being tried when it was interrupted": {
			activities.RangeResult{Stop: activities.TypeCapExhausted, Cut: ranges(5, 7), Done: ranges(5, 7), Tally: outcome.Tally{Unknown: 2}},
			ranges(5, 7),
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.env.OnActivity(b.act.ChargeRange, mock.Anything, mock.Anything).Return(c.result, nil).Once()
			in := rangeBatch(0, 100, 10)
			in.Charging.Window = 4

			result := b.runBatch(t, in)

			require.Equal(t, activities.TypeCapExhausted, result.StopReason)
			require.Equal(t, c.cut, result.Cut, "an attempt may have come through: the run asks the ledger")
			require.Equal(t, c.cut.Len(), result.Tally.Unknown)
			require.Equal(t, 100-c.cut.Len()-result.Tally.CapDenied, result.Tally.NotAttempted)
		})
	}
}

func TestChargeBatch_KeepsInMindOverContinueAsNewWhatMayHaveBeenTried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env.SetContinueAsNewSuggested(true)
	b.env.OnActivity(b.act.AwaitProxy, mock.Anything).Return(nil).Once()
	b.env.OnActivity(b.act.ChargeRange, mock.Anything, mock.Anything).
		Return(activities.RangeResult{Stop: activities.TypeProxyUnreachable, Tried: ranges(2, 4), Done: ranges(0, 1), Tally: outcome.Tally{Charged: 1}}, nil).Once()
	in := rangeBatch(0, 100, 10)
	in.Charging.Window = 4

	b.env.ExecuteWorkflow(workflows.ChargeBatch, in)

	var continued *workflow.ContinueAsNewError
	require.ErrorAs(t, b.env.GetWorkflowError(), &continued)
	var again workflows.BatchInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(continued.Input, &again))
	require.Equal(t, ranges(2, 4), again.Tried)

	next := setup(t)
	next.env.OnActivity(next.act.ChargeRange, mock.Anything, mock.Anything).
		Return(activities.RangeResult{Stop: activities.TypeKeyRevoked}, nil).Once()
	result := next.runBatchAgain(t, again)
	require.Equal(t, ranges(2, 4), result.Cut)
	require.Equal(t, 97, result.Tally.NotAttempted)
}

// runBatchAgain is runBatch of one that continues.
func (b *testBundle) runBatchAgain(t *testing.T, in workflows.BatchInput) workflows.BatchResult {
	t.Helper()
	b.env.ExecuteWorkflow(workflows.ChargeBatch, in)
	require.NoError(t, b.env.GetWorkflowError())
	var result workflows.BatchResult
	require.NoError(t, b.env.GetWorkflowResult(&result))
	require.Equal(t, in.Items.Len()+in.Done.Tally.Total(), result.Tally.Total())
	return result
}

func TestBilling_ReadsFromTheLedgerWhatAnExpiredKeyLeftInTheMiddleOfAnAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(10)
	b.expectReads(t)
	b.env.OnActivity(b.act.ChargeRange, mock.Anything, mock.Anything).
		Return(activities.RangeResult{Stop: activities.TypeKeyExpired, Tried: ranges(2, 4), Done: ranges(0, 1), Tally: outcome.Tally{Charged: 1}}, nil).Once()
	b.ledger[2] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	b.expectEnd(settled(2))
	in := billingInput(10)
	none := 0
	in.ChargesPerActivity, in.KeyRenewals = 10, &none

	summary := b.run(t, in)

	require.Equal(t, activities.TypeKeyExpired, summary.StopReason)
	require.Equal(t, 2, summary.Charged, "one was charged by an attempt that nobody heard of")
	require.Equal(t, ranges(1, 2, 3, 10), summary.Exceptions.NotAttempted)
	require.Equal(t, []int{2, 3}, b.reads)
}
