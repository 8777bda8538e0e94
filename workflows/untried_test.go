package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// untriedBundle is a run of 40 that stops at item 5. Before it, or before its reset,
// 12 to 19 and 30 were charged, 20 was declined, and 21 is still being proved.
func untriedBundle(t *testing.T) (*testBundle, workflows.BillingInput) {
	t.Helper()
	b := setup(t)
	in := billingInput(40)
	in.Parallelism = 1
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(40), nil).Once()
	b.env.OnActivity(b.act.IssueVaultKey, mock.Anything, mock.Anything).Return(keyNumber(1), nil).Once()
	b.expectFetches()
	b.expectCharges(t)
	b.script[5] = terminal(activities.TypeCapExhausted)
	b.env.OnActivity(b.act.ReadUntried, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.UntriedInput) (activities.UntriedResult, error) {
			require.True(t, b.revoked, "an attempt of the earlier run could still come through")
			require.Equal(t, "key_1", in.KeyID)
			charged, declined, open := ranges(12, 19, 30, 31).Both(in.Items), ranges(20, 21).Both(in.Items), ranges(21, 22).Both(in.Items)
			out := activities.UntriedResult{
				Tally: outcome.Tally{
					Charged: charged.Len(), Declined: declined.Len(), Unknown: open.Len(), ChargedUSD: money.USD(charged.Len()) * money.Dollar,
				},
				Exceptions: outcome.Exceptions{Declined: declined, Unknown: open},
			}
			for _, set := range []workflows.Ranges{charged, declined, open} {
				out.Items.Merge(set)
			}
			return out, nil
		})
	return b, in
}

func TestBilling_ThatContinuesCountsWhomAnEarlierRunChargedAsCharged(t *testing.T) {
	t.Parallel()
	b, in := untriedBundle(t)
	in.Continue = true
	b.expectReads(t)
	b.ledger[21] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	b.expectEnd(settled(15))

	summary := b.run(t, in)

	require.Equal(t, activities.TypeCapExhausted, summary.StopReason)
	mine := len(b.charged()) - 1
	require.Equal(t, mine+8+1, summary.Charged)
	require.Equal(t, 1, summary.Declined)
	require.Equal(t, []int{21}, b.reads, "what is open is waited for like the run's own")
	untried := ranges(mine+1, 12, 19, 20, 22, 30, 31, 40)
	require.Equal(t, workflows.Exceptions{Declined: ranges(20, 21), CapDenied: ranges(5, 6), NotAttempted: untried}, summary.Exceptions)
}

func TestBilling_ThatWasResetCountsWhomItHadChargedAsCharged(t *testing.T) {
	t.Parallel()
	b, in := untriedBundle(t)
	spent := settled(15)
	spent.Charged = 15
	b.expectEnd(spent)

	summary := b.run(t, in)

	mine := len(b.charged()) - 1
	require.Equal(t, mine+8, summary.Charged)
	require.Equal(t, 1, summary.Unknown)
	require.Equal(t, ranges(21, 22), summary.Exceptions.Unknown)
}

func TestBilling_ThatContinuesTakesARejectionForNoRefund(t *testing.T) {
	t.Parallel()
	b, in := untriedBundle(t)
	in.Continue = true
	delete(b.script, 5)
	in.Approval = &workflows.ApprovalInput{AboveUSD: 50 * money.Dollar, Timeout: time.Hour}
	b.env.OnActivity(b.act.HeldItems, mock.Anything, mock.Anything).Return(activities.HeldResult{Items: ranges(30, 33)}, nil).Once()
	b.spend = []activities.Spend{settled(38)}
	b.expectEnds("key_1", "key_1")

	summary := b.run(t, in)

	require.Equal(t, 38, summary.Charged)
	require.Equal(t, 2, summary.Rejected)
	require.Equal(t, ranges(31, 33), summary.Exceptions.Rejected)
}

func TestBilling_ThatContinuesWithoutAKeyWaitsForNoProof(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := billingInput(40)
	in.Continue, in.Approval = true, &workflows.ApprovalInput{All: true, Timeout: time.Hour}
	in.SettleTimeout = 24 * time.Hour
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(40), nil).Once()
	b.env.OnActivity(b.act.SpendReport, mock.Anything, mock.Anything).
		Return(activities.Spend{}, retryable(activities.TypeWrongLedger)).Maybe()
	b.env.OnActivity(b.act.ReadOutcomes, mock.Anything, mock.Anything).
		Return(activities.OutcomesResult{}, retryable(activities.TypeWrongLedger)).Maybe()
	b.env.OnActivity(b.act.ReadUntried, mock.Anything, mock.Anything).Return(activities.UntriedResult{
		Items: ranges(12, 14, 21, 22), Tally: outcome.Tally{Charged: 2, Unknown: 1, ChargedUSD: 2 * money.Dollar},
		Exceptions: outcome.Exceptions{Unknown: ranges(21, 22)},
	}, nil).Once()
	began := b.env.Now()

	summary := b.run(t, in)

	require.Equal(t, time.Hour, b.env.Now().Sub(began).Round(time.Minute), "no ledger knows a key that there is not")
	require.Equal(t, 2, summary.Charged)
	require.Equal(t, 1, summary.Unknown)
	require.Equal(t, ranges(21, 22), summary.Exceptions.Unknown)
	require.Equal(t, 37, summary.Rejected)
}

func TestBilling_CallsUnknownWhatItCouldNotLookUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := billingInput(40)
	in.Continue, in.Parallelism = true, 1
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(40), nil).Once()
	b.env.OnActivity(b.act.IssueVaultKey, mock.Anything, mock.Anything).Return(keyNumber(1), nil).Once()
	b.expectFetches()
	b.expectCharges(t)
	b.script[5] = terminal(activities.TypeCapExhausted)
	b.env.OnActivity(b.act.ReadUntried, mock.Anything, mock.Anything).
		Return(activities.UntriedResult{}, terminal(activities.TypeAdminKeyRejected))
	b.env.OnActivity(b.act.ReadOutcomes, mock.Anything, mock.Anything).
		Return(activities.OutcomesResult{}, terminal(activities.TypeAdminKeyRejected))
	b.expectEnd(settled(6))

	summary := b.run(t, in)

	mine := len(b.charged())
	require.Equal(t, 40-mine, summary.Unknown)
	require.Zero(t, summary.NotAttempted)
}
