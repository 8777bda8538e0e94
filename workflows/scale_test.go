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
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

func rangeBatch(from, to, perActivity int) workflows.BatchInput {
	in := batchInput(from, to)
	in.Charging = charging(perActivity)
	return in
}

func TestChargeBatch_ChargesManyInOneActivityAndPassesNoCustomerThroughItsHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectRanges(t)
	b.script[120] = terminal(activities.TypeChargeDeclined)
	b.script[121] = terminal(activities.TypeUnexpected)

	result := b.runBatch(t, rangeBatch(100, 730, 50))

	require.Equal(t, workflows.BatchResult{
		Tally:      workflows.Tally{Charged: 628, Declined: 1, Unknown: 1, ChargedUSD: 628 * money.Dollar},
		Exceptions: workflows.Exceptions{Declined: ranges(120, 121), Unknown: ranges(121, 122)},
	}, result)
	for item := 100; item < 730; item++ {
		require.Equal(t, 1, b.calls[item], "item %d", item)
	}
	b.env.AssertActivityNumberOfCalls(t, "ChargeRange", 13)
	b.env.AssertActivityNumberOfCalls(t, "FetchCustomers", 0)
}

func TestChargeBatch_HasAsManyActivitiesAsItsWindowHoldsOfTheirs(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ window, activityWindow, rounds int }{
		"two of four charges each in eight": {8, 4, 4},
		"one where it holds none":           {3, 4, 8},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.env.OnActivity(b.act.ChargeRange, mock.Anything, mock.Anything).
				Return(func(_ context.Context, in activities.RangeInput) (activities.RangeResult, error) {
					return activities.RangeResult{Tally: outcome.Tally{Charged: 10}, Done: in.Items}, nil
				}).After(10 * time.Second)
			in := rangeBatch(0, 80, 10)
			in.Charging.Window, in.Charging.ActivityWindow = c.window, c.activityWindow
			began := b.env.Now()
			b.env.ExecuteWorkflow(workflows.ChargeBatch, in)
			require.NoError(t, b.env.GetWorkflowError())
			require.Equal(t, time.Duration(c.rounds)*10*time.Second, b.env.Now().Sub(began))
		})
	}
}

func TestChargeBatch_OfManyInOneActivityStopsAtTheFirstReasonThatHoldsForAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectRanges(t)
	b.script[130] = terminal(activities.TypeCapExhausted)
	in := rangeBatch(100, 1000, 50)
	in.Charging.Window = 4 // one activity at a time

	result := b.runBatch(t, in)

	require.Equal(t, activities.TypeCapExhausted, result.StopReason)
	require.Equal(t, workflows.Tally{Charged: 30, CapDenied: 1, NotAttempted: 869, ChargedUSD: 30 * money.Dollar}, result.Tally)
	require.Equal(t, workflows.Exceptions{CapDenied: ranges(130, 131), NotAttempted: ranges(131, 1000)}, result.Exceptions)
	b.env.AssertActivityNumberOfCalls(t, "ChargeRange", 1)
}

func TestChargeBatch_TakesNoWordFromAnActivityThatFailedOrDoesNotAddUp(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		result activities.RangeResult
		err    error
	}{
		"it failed":                         {err: terminal("Anything")},
		"it leaves something for no reason": {result: activities.RangeResult{Tally: outcome.Tally{}, Done: nil}},
		"it did others' items":              {result: activities.RangeResult{Tally: outcome.Tally{Charged: 1}, Done: ranges(10, 11)}},
		"it does not count":                 {result: activities.RangeResult{Tally: outcome.Tally{Charged: 9}, Done: ranges(0, 10)}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.env.OnActivity(b.act.ChargeRange, mock.Anything, mock.Anything).Return(c.result, c.err).Once()
			result := b.runBatch(t, rangeBatch(0, 10, 10))
			require.Equal(t, workflows.BatchResult{Tally: workflows.Tally{Unknown: 10}, Cut: ranges(0, 10)}, result)
		})
	}
}

func TestChargeBatch_OfManyInOneActivityContinuesAsNewWithWhatIsLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectRanges(t)
	b.env.SetContinueAsNewSuggested(true)
	in := rangeBatch(0, 500, 50)
	in.Charging.Window = 4

	b.env.ExecuteWorkflow(workflows.ChargeBatch, in)

	var continued *workflow.ContinueAsNewError
	require.ErrorAs(t, b.env.GetWorkflowError(), &continued)
	var again workflows.BatchInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(continued.Input, &again))
	require.Equal(t, ranges(50, 500), again.Items)
	require.Equal(t, 50, again.Done.Tally.Charged)
}

func TestChargeBatch_ReturnsWhatAnExpiredKeyLeft(t *testing.T) {
	t.Parallel()
	for sentence, perActivity := range map[string]int{"one in an activity": 1, "many in an activity": 50} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if perActivity == 1 {
				b.expectCharges(t)
				b.expectFetches()
			} else {
				b.expectRanges(t)
			}
			b.script[3] = terminal(activities.TypeChargeDeclined)
			b.onCharge = func(item int) {
				if item == 120 {
					b.mu.Lock()
					b.expired = 1
					b.mu.Unlock()
				}
			}

			result := b.runBatch(t, rangeBatch(0, 500, perActivity))

			require.Equal(t, activities.TypeKeyExpired, result.StopReason)
			require.Equal(t, ranges(3, 4), result.Exceptions.Declined)
			require.Zero(t, result.Tally.Unknown+result.Tally.NotAttempted)
			require.Contains(t, result.Left.Chunks(1000)[0], 120)
			require.Contains(t, result.Left.Chunks(1000)[0], 499)
			require.Positive(t, result.Tally.Charged)
		})
	}
}

func TestBilling_ReplacesAKeyThatExpiresAndChargesTheRestWithIt(t *testing.T) {
	t.Parallel()
	for sentence, perActivity := range map[string]int{"one in an activity": 1, "many in an activity": 10} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.expectBegin(400)
			b.expectReissue(2, nil)
			if perActivity == 1 {
				b.expectCharges(t)
				b.expectFetches()
			} else {
				b.expectRanges(t)
			}
			b.expectEndOf(2, settled(400))
			b.onCharge = func(item int) {
				if item == 120 {
					b.mu.Lock()
					b.expired = 1
					b.mu.Unlock()
				}
			}
			in := billingInput(400)
			in.BatchSize, in.ChargesPerActivity, in.ActivityWindow = 100, perActivity, 2

			summary := b.run(t, in)

			require.Equal(t, 400, summary.Charged)
			require.Empty(t, summary.StopReason)
			require.Equal(t, "key_2", summary.KeyID)
			require.Empty(t, summary.Exceptions)
			b.env.AssertActivityNumberOfCalls(t, "IssueVaultKey", 2)
		})
	}
}

// expectReissue mocks the issue of the n-th key, after one that expired.
func (b *testBundle) expectReissue(n int, err error) {
	b.env.OnActivity(b.act.IssueVaultKey, mock.Anything, issueInput()).Return(keyNumber(n), err).Once()
}

func TestBilling_StopsWhenItsKeysExpireMoreOftenThanTheyMay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(100)
	b.expectReissue(2, nil)
	b.expectFetches()
	b.expectCharges(t)
	b.expectEndOf(2, settled(1))
	b.expectReads(t) // of those whose attempt was cut off with the key
	b.expired = 2
	in := billingInput(100)
	once := 1
	in.KeyRenewals = &once

	summary := b.run(t, in)

	require.Equal(t, activities.TypeKeyExpired, summary.StopReason)
	require.Equal(t, 100, summary.NotAttempted)
	require.Equal(t, ranges(0, 100), summary.Exceptions.NotAttempted)
}

func TestBilling_StopsWhenItGetsNoKeyForOneThatExpired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(100)
	b.expectReissue(2, terminal(activities.TypeRunRevoked))
	b.expectFetches()
	b.expectCharges(t)
	b.expectEnd(settled(1))
	b.expectReads(t)
	b.expired = 1

	summary := b.run(t, billingInput(100))

	require.Equal(t, activities.TypeRunRevoked, summary.StopReason, "somebody revoked it meanwhile")
	require.Equal(t, 100, summary.NotAttempted)
}

func TestBilling_GivesNobodyUpWhileTheProxyIsAway(t *testing.T) {
	t.Parallel()
	for sentence, perActivity := range map[string]int{"one in an activity": 1, "many in an activity": 10} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.expectBegin(100)
			if perActivity == 1 {
				b.expectCharges(t)
				b.expectFetches()
			} else {
				b.expectRanges(t)
			}
			b.expectEnd(settled(100))
			b.onCharge = func(item int) {
				if item == 37 && b.calls[item] == 1 {
					b.mu.Lock()
					b.away = true
					b.mu.Unlock()
				}
			}
			b.env.OnActivity(b.act.AwaitProxy, mock.Anything).Return(func(context.Context) error {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.away = false
				return nil
			}).After(2 * time.Hour)
			in := billingInput(100)
			in.ChargesPerActivity, in.ActivityWindow = perActivity, 2

			summary := b.run(t, in)

			require.Equal(t, 100, summary.Charged)
			require.Empty(t, summary.StopReason)
		})
	}
}

func TestBilling_StopsWhenTheProxyStaysAwayTooLong(t *testing.T) {
	t.Parallel()
	for sentence, answer := range map[string]error{
		"none of its planes answers": retryable(activities.TypeProxyUnreachable),
		"it answers, and no charge":  nil,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.expectBegin(100)
			b.expectFetches()
			b.expectCharges(t)
			b.expectReads(t)
			b.expectEnd(settled(1))
			b.away = true
			b.env.OnActivity(b.act.AwaitProxy, mock.Anything).Return(answer)
			began := b.env.Now()
			in := billingInput(100)
			in.OutageLimit = 20 * time.Minute

			summary := b.run(t, in)

			require.Equal(t, activities.TypeProxyUnreachable, summary.StopReason)
			require.Equal(t, 100, summary.NotAttempted, "the ledger, once it could be read, had no call of theirs")
			require.Len(t, b.charged(), 8, "the windows of two batches wait, and no further item uses up its time")
			if answer == nil {
				took := b.env.Now().Sub(began)
				require.Greater(t, took, 20*time.Minute)
				require.Less(t, took, 25*time.Minute)
			}
		})
	}
}

func TestBilling_DoesNotWaitForABatchThatNeverReturns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(30)
	b.expectReads(t)
	b.expectEnd(settled(2))
	b.env.OnWorkflow(workflows.ChargeBatch, mock.Anything, mock.Anything).
		Return(func(ctx workflow.Context, in workflows.BatchInput) (workflows.BatchResult, error) {
			if in.Number == 1 {
				_ = workflow.Sleep(ctx, 10000*time.Hour)
			}
			return workflows.BatchResult{Tally: workflows.Tally{Charged: 10, ChargedUSD: 10 * money.Dollar}}, nil
		})
	b.ledger[10] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	in := billingInput(30)
	in.Parallelism, in.BatchTimeout = 1, time.Hour

	summary := b.run(t, in)

	require.Equal(t, workflows.StopBatchLost, summary.StopReason)
	require.Equal(t, 11, summary.Charged)
	require.Equal(t, ranges(11, 30), summary.Exceptions.NotAttempted)
	require.True(t, summary.KeyRevoked)
}

func TestBilling_ThatContinuesRenewsItsKeyAndTellsChargesOfTheEarlierRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := billingInput(10)
	in.Continue, in.RetryDeclined = true, true
	renewed := issueInput()
	renewed.Renew = true
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(10), nil).Once()
	b.env.OnActivity(b.act.IssueVaultKey, mock.Anything, renewed).Return(keyNumber(1), nil).Once()
	b.expectFetches()
	b.expectEnd(settled(10))
	began := b.env.Now().UTC()
	b.env.OnActivity(b.act.ChargeCustomer, mock.Anything, mock.MatchedBy(func(in activities.ChargeInput) bool {
		return in.Earlier != nil && in.Earlier.RetryDeclined && in.Earlier.RunLabel == runLabel && in.Earlier.Since.Equal(began)
	})).Return(activities.ChargeResult{AmountUSD: money.Dollar}, nil).Times(10)

	require.Equal(t, 10, b.run(t, in).Charged)
}

func TestBilling_RetriesDeclinesOnlyOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	in := billingInput(10)
	in.RetryDeclined = true
	require.ErrorContains(t, in.Validate(), "continues an earlier one")
}
