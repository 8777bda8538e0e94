package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// answer is what a person is told of an update.
type answer struct {
	refused error
	err     error
	value   any
}

func (a *answer) Accept()                       {}
func (a *answer) Reject(err error)              { a.refused = err }
func (a *answer) Complete(value any, err error) { a.value, a.err = value, err }

// after asks for an update when that much time has passed.
func (b *testBundle) after(d time.Duration, name string, arg any) *answer {
	a := &answer{}
	b.env.RegisterDelayedCallback(func() { b.env.UpdateWorkflow(name, "", a, arg) }, d)
	return a
}

var ada = workflows.Person{By: "Ada", Reason: "checked against the contract"}

func (a *answer) requireRefused(t *testing.T, text string) {
	t.Helper()
	require.ErrorContains(t, a.refused, text)
	require.Nil(t, a.value)
}

// gated is a run of 40 customers of whom those of 10 to 20 and 35 to 40 wait.
func gated(t *testing.T) (*testBundle, workflows.BillingInput) {
	t.Helper()
	b := setup(t)
	b.expectBegin(40)
	b.expectFetches()
	b.expectCharges(t)
	in := billingInput(40)
	in.Approval = &workflows.ApprovalInput{AboveUSD: 50 * money.Dollar, Timeout: time.Hour}
	held := ranges(10, 20)
	held.Add(35, 40)
	b.env.OnActivity(b.act.HeldItems, mock.Anything, activities.HeldInput{
		Source: source(40), Pinned: pinned(40), AboveUSD: 50 * money.Dollar, MaxRanges: workflows.MaxHeldRanges,
	}).Return(activities.HeldResult{Items: held}, nil).Once()
	return b, in
}

// expectApprovedKey mocks the key that comes with an approval, after the first
// one was revoked.
func (b *testBundle) expectApprovedKey(t *testing.T) {
	t.Helper()
	b.env.OnActivity(b.act.IssueVaultKey, mock.Anything, activities.IssueInput{
		RootWorkflowID: rootID, RunLabel: runLabel, Phase: "approved", BudgetUSD: 500 * money.Dollar, TTL: 30 * time.Minute,
		ListSHA256: pinned(40).SHA256,
	}).Return(func(context.Context, activities.IssueInput) (activities.IssuedKey, error) {
		require.True(t, b.revoked, "nobody can charge while somebody thinks it over")
		return activities.IssuedKey{VaultKey: vaultKey, KeyID: "key_2"}, nil
	}).Once()
}

func TestApproval_ChargesWhatWasApprovedAndNothingElse(t *testing.T) {
	t.Parallel()
	b, in := gated(t)
	b.expectApprovedKey(t)
	b.spend = []activities.Spend{settled(32)}
	b.expectEnds("key_1", "key_2")

	some := b.after(time.Minute, workflows.Approve, workflows.Decision{Person: ada, Items: ranges(12, 15)})
	rest := b.after(2*time.Minute, workflows.Reject, workflows.Decision{Person: ada, Items: ranges(10, 12)})
	again := b.after(3*time.Minute, workflows.Approve, workflows.Decision{Person: ada, Items: ranges(11, 16)})
	free := b.after(3*time.Minute, workflows.Approve, workflows.Decision{Person: ada, Items: ranges(3, 4)})
	nobody := b.after(3*time.Minute, workflows.Approve, workflows.Decision{})
	all := b.after(4*time.Minute, workflows.Reject, workflows.Decision{Person: ada})

	summary := b.run(t, in)

	require.Equal(t, 28, summary.Charged)
	require.Equal(t, 12, summary.Rejected)
	require.Empty(t, summary.StopReason)
	require.True(t, summary.KeyRevoked)
	rejected := ranges(10, 12)
	rejected.Add(15, 20)
	rejected.Add(35, 40)
	require.Equal(t, workflows.Exceptions{Rejected: rejected}, summary.Exceptions)
	require.Equal(t, workflows.Decided{Items: 3, Waiting: 12}, some.value)
	require.Equal(t, workflows.Decided{Items: 2, Waiting: 10}, rest.value)
	require.Equal(t, workflows.Decided{Items: 10, Waiting: 0}, all.value)
	again.requireRefused(t, "item 11 does not wait for a decision")
	free.requireRefused(t, "item 3 does not wait for a decision")
	nobody.requireRefused(t, "say who decides and why")
	charged := b.charged()
	require.Len(t, charged, 28)
	require.NotContains(t, charged, 10)
	require.Contains(t, charged, 12)
}

func TestApproval_IsDecidedByTheClockAsTheRunWasTold(t *testing.T) {
	t.Parallel()
	for decision, want := range map[string]struct{ charged, rejected int }{
		workflows.Reject:  {25, 15},
		workflows.Approve: {40, 0},
	} {
		t.Run(decision, func(t *testing.T) {
			t.Parallel()
			b, in := gated(t)
			in.Approval.OnTimeout = decision
			if decision == workflows.Approve {
				b.expectApprovedKey(t)
				b.spend = []activities.Spend{settled(40)}
				b.expectEnds("key_1", "key_2")
			} else {
				b.spend = []activities.Spend{settled(25)}
				b.expectEnds("key_1")
			}
			late := b.after(61*time.Minute, workflows.Approve, workflows.Decision{Person: ada})
			summary := b.run(t, in)
			require.Equal(t, want.charged, summary.Charged)
			require.Equal(t, want.rejected, summary.Rejected)
			require.Nil(t, late.value)
		})
	}
}

func TestApproval_OfEverythingHasNoKeyBeforeIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(40), nil).Once()
	b.expectFetches()
	b.expectCharges(t)
	in := billingInput(40)
	in.Approval = &workflows.ApprovalInput{All: true}
	b.revoked = true // there is none to revoke
	b.expectApprovedKey(t)
	b.revoked = true
	b.spend = []activities.Spend{settled(40)}
	b.expectEnds("key_2")
	early := b.after(time.Minute, workflows.UpdateRaiseBudget, workflows.BudgetRaise{Person: ada, BudgetUSD: 800 * money.Dollar})
	b.after(time.Hour, workflows.Approve, workflows.Decision{Person: ada})
	summary := b.run(t, in)
	require.Equal(t, 40, summary.Charged)
	early.requireRefused(t, "only after the last decision")
}

func TestApproval_OfNothingNeedsNoLedgerToAddUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(40), nil).Once()
	in := billingInput(40)
	in.Approval = &workflows.ApprovalInput{All: true, Timeout: time.Hour}
	summary := b.run(t, in)
	require.Equal(t, 40, summary.Rejected)
	require.True(t, summary.LedgerRead, "there was no key to spend anything with")
}

func TestApproval_ARunThatStopsBeforeTheGateChargesNothingThatWaits(t *testing.T) {
	t.Parallel()
	b, in := gated(t)
	b.script[5] = terminal(activities.TypeCapExhausted)
	b.spend = []activities.Spend{settled(5)}
	b.expectEnds("key_1")
	early := b.after(0, workflows.Reject, workflows.Decision{Person: ada, Items: ranges(10, 13)})
	summary := b.run(t, in)
	require.Equal(t, activities.TypeCapExhausted, summary.StopReason)
	require.Equal(t, 40, summary.Charged+summary.CapDenied+summary.NotAttempted+summary.Rejected)
	if early.value != nil {
		require.Equal(t, 3, summary.Rejected)
	}
	for _, item := range b.charged() {
		require.False(t, (item >= 10 && item < 20) || item >= 35, "item %d", item)
	}
}

func TestApproval_IsOverWithTheRunThatIsRevoked(t *testing.T) {
	t.Parallel()
	b, in := gated(t)
	in.Approval.OnTimeout = workflows.Approve
	b.spend = []activities.Spend{settled(25)}
	b.expectEnds("key_1", "key_1")
	revoked := b.after(10*time.Minute, workflows.UpdateRevoked, nil)
	late := b.after(11*time.Minute, workflows.Approve, workflows.Decision{Person: ada})
	again := b.after(10*time.Minute+time.Second, workflows.UpdateRevoked, nil)
	began := b.env.Now()
	summary := b.run(t, in)
	require.NoError(t, revoked.refused)
	require.Nil(t, late.value)
	require.Nil(t, again.value)
	require.Equal(t, 25, summary.Charged)
	require.Equal(t, 15, summary.NotAttempted)
	require.Equal(t, activities.TypeKeyRevoked, summary.StopReason)
	require.Less(t, b.env.Now().Sub(began), 15*time.Minute, "nobody waits for the end of the time for approvals")
}

func TestApproval_CancelledWhileItWaits(t *testing.T) {
	t.Parallel()
	b, in := gated(t)
	b.spend = []activities.Spend{settled(25)}
	b.expectEnds("key_1")
	b.env.RegisterDelayedCallback(b.env.CancelWorkflow, 10*time.Minute)
	summary := b.runCanceled(t, in)
	require.Equal(t, 25, summary.Charged)
	require.Equal(t, 15, summary.NotAttempted)
	require.Equal(t, workflows.StopCanceled, summary.StopReason)
}

func TestApproval_ContinuesAsNewBeforeTheServerTakesNoFurtherDecision(t *testing.T) {
	t.Parallel()
	b, in := gated(t)
	b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, activities.RevokeInput{KeyID: "key_1"}).Return(activities.RevokeResult{}, nil).Once()
	b.after(time.Minute, workflows.Approve, workflows.Decision{Person: ada, Items: ranges(12, 15)})
	b.env.RegisterDelayedCallback(func() { b.env.SetContinueAsNewSuggested(true) }, 20*time.Minute)

	b.env.ExecuteWorkflow(workflows.Billing, in)

	again := requireContinuedAsNew(t, b)
	require.Equal(t, 40*time.Minute, again.Resume.AwaitUntil.Sub(b.env.Now()).Round(time.Minute))

	next := setup(t)
	next.revoked = true
	next.expectFetches()
	next.expectCharges(t)
	next.expectApprovedKey(t)
	next.spend = []activities.Spend{settled(28)}
	next.expectEnds("key_2")
	again.Resume.AwaitUntil = next.env.Now().Add(40 * time.Minute)
	began := next.env.Now()
	summary := next.run(t, again)
	require.Equal(t, 40*time.Minute, next.env.Now().Sub(began).Round(time.Minute), "the time for approvals does not begin anew")
	require.Equal(t, 28, summary.Charged)
	require.Equal(t, 12, summary.Rejected)
}

func TestApproval_ContinuesAsNewAlsoWhileItIsPaused(t *testing.T) {
	t.Parallel()
	b, in := gated(t)
	b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, activities.RevokeInput{KeyID: "key_1"}).Return(activities.RevokeResult{}, nil).Once()
	b.after(10*time.Minute, workflows.UpdatePause, ada)
	b.env.RegisterDelayedCallback(func() { b.env.SetContinueAsNewSuggested(true) }, 20*time.Minute)
	b.after(21*time.Minute, workflows.Approve, workflows.Decision{Person: ada, Items: ranges(12, 15)})
	b.after(5*time.Hour, workflows.UpdateResume, ada)
	began := b.env.Now()

	b.env.ExecuteWorkflow(workflows.Billing, in)

	again := requireContinuedAsNew(t, b)
	require.Less(t, b.env.Now().Sub(began), time.Hour, "the server could refuse the end of the pause too")

	next := setup(t)
	next.revoked = true
	next.spend = []activities.Spend{settled(25)}
	next.expectEnds("key_1")
	again.Approval.OnTimeout = workflows.Reject
	again.Resume.Approvals.Waiting.Merge(again.Resume.Approvals.Approved)
	again.Resume.Approvals.Approved = nil
	again.Resume.AwaitUntil = next.env.Now().Add(40 * time.Minute)
	late := next.after(41*time.Minute, workflows.Approve, workflows.Decision{Person: ada})
	next.after(time.Hour, workflows.UpdateResume, ada)
	summary := next.run(t, again)
	late.requireRefused(t, "nothing waits")
	require.Equal(t, 15, summary.Rejected, "the clock decides during a pause, as without a continuation")
}

func TestPause_HoldsTheRunUntilItIsResumed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(100)
	b.expectFetches()
	b.env.OnActivity(b.act.ChargeCustomer, mock.Anything, mock.Anything).
		Return(activities.ChargeResult{AmountUSD: money.Dollar}, nil).After(10 * time.Second)
	b.spend = []activities.Spend{settled(100)}
	b.expectEnds("key_1")
	in := billingInput(100)
	in.BatchTimeout = 30 * time.Minute

	paused := b.after(35*time.Second, workflows.UpdatePause, ada)
	twice := b.after(40*time.Second, workflows.UpdatePause, ada)
	var during workflows.Progress
	b.env.RegisterDelayedCallback(func() { during = b.progress(t) }, 50*time.Minute)
	resumed := b.after(time.Hour, workflows.UpdateResume, ada)
	again := b.after(61*time.Minute, workflows.UpdateResume, ada)

	began := b.env.Now()
	summary := b.run(t, in)

	require.Equal(t, 100, summary.Charged)
	require.Empty(t, summary.StopReason, "a pause is no lost batch, however long it is")
	require.NoError(t, paused.refused)
	require.NoError(t, resumed.refused)
	twice.requireRefused(t, "paused already, by Ada: checked")
	again.requireRefused(t, "not paused")
	require.Equal(t, "Ada: checked against the contract", during.Paused)
	require.Zero(t, during.InFlight)
	took := b.env.Now().Sub(began)
	require.Greater(t, took, time.Hour)
	require.Less(t, took, 70*time.Minute)
}

func TestRaiseBudget_IsAnsweredByTheLedgersBudgetAndNeverLowers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(40)
	b.expectFetches()
	b.env.OnActivity(b.act.ChargeCustomer, mock.Anything, mock.Anything).
		Return(activities.ChargeResult{AmountUSD: money.Dollar}, nil).After(10 * time.Second)
	b.spend = []activities.Spend{settled(40)}
	b.expectEnds("key_1")
	b.env.OnActivity(b.act.RaiseBudget, mock.Anything, activities.RaiseInput{
		RunLabel: runLabel, BudgetUSD: 800 * money.Dollar, By: ada.By, Reason: ada.Reason,
	}).Return(activities.RunBudget{CapUSD: 800 * money.Dollar, RemainingUSD: 780 * money.Dollar}, nil).Once()

	raised := b.after(15*time.Second, workflows.UpdateRaiseBudget, workflows.BudgetRaise{Person: ada, BudgetUSD: 800 * money.Dollar})
	lower := b.after(20*time.Second, workflows.UpdateRaiseBudget, workflows.BudgetRaise{Person: ada, BudgetUSD: 700 * money.Dollar})
	var after workflows.Progress
	b.env.RegisterDelayedCallback(func() { after = b.progress(t) }, 25*time.Second)
	b.run(t, billingInput(40))

	require.NoError(t, raised.err)
	require.Equal(t, workflows.Raised{CapUSD: 800 * money.Dollar, RemainingUSD: 780 * money.Dollar}, raised.value)
	lower.requireRefused(t, "the budget is 800.00 USD already")
	require.Equal(t, 800*money.Dollar, after.CapUSD)
}

func TestRaiseBudget_SaysThatTheRunStoppedWhileItWasRaised(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(40)
	b.expectFetches()
	b.env.OnActivity(b.act.ChargeCustomer, mock.Anything, mock.Anything).
		Return(activities.ChargeResult{}, terminal(activities.TypeCapExhausted)).After(20 * time.Second)
	b.spend = []activities.Spend{settled(0)}
	b.expectEnds("key_1")
	b.env.OnActivity(b.act.RaiseBudget, mock.Anything, mock.Anything).
		Return(activities.RunBudget{CapUSD: 800 * money.Dollar, RemainingUSD: 800 * money.Dollar}, nil).After(10 * time.Second)

	raised := b.after(15*time.Second, workflows.UpdateRaiseBudget, workflows.BudgetRaise{Person: ada, BudgetUSD: 800 * money.Dollar})
	b.run(t, billingInput(40))

	require.Equal(t, workflows.Raised{
		CapUSD: 800 * money.Dollar, RemainingUSD: 800 * money.Dollar, StopReason: activities.TypeCapExhausted,
	}, raised.value)
}

func TestApprovalInput_IsCheckedBeforeARunStarts(t *testing.T) {
	t.Parallel()
	for sentence, approval := range map[string]workflows.ApprovalInput{
		"neither all nor an amount": {},
		"both":                      {All: true, AboveUSD: money.Dollar},
		"a negative amount":         {AboveUSD: -1},
		"an unknown decision":       {All: true, OnTimeout: "maybe"},
		"no time at all":            {All: true, Timeout: time.Millisecond},
		"half a year":               {All: true, Timeout: 180 * 24 * time.Hour},
		"a key for two months":      {All: true, KeyTTL: 60 * 24 * time.Hour},
	} {
		in := billingInput(3)
		in.Approval = &approval
		require.Error(t, in.Validate(), sentence)
	}
}

func TestApproval_IsNotDecidedInMorePiecesThanARunCanCarry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 6 * workflows.MaxHeldRanges
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(n), nil).Once()
	in := billingInput(n)
	in.Approval = &workflows.ApprovalInput{All: true, Timeout: time.Hour}
	var odd workflows.Ranges
	for i := 1; i < n; i += 2 {
		odd = append(odd, workflows.Range{From: i, To: i + 1})
	}
	tooMany := b.after(time.Minute, workflows.Reject, workflows.Decision{Person: ada, Items: odd})
	fine := b.after(2*time.Minute, workflows.Reject, workflows.Decision{Person: ada, Items: odd[:workflows.MaxHeldRanges-1]})
	rest := b.after(3*time.Minute, workflows.Reject, workflows.Decision{Person: ada})

	summary := b.run(t, in)

	tooMany.requireRefused(t, "decide on longer ranges")
	require.NoError(t, fine.refused)
	require.NoError(t, rest.refused)
	require.Equal(t, n, summary.Rejected)
}

func TestPause_OutlastsContinueAsNew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectFetches()
	b.expectCharges(t)
	b.spend = []activities.Spend{settled(10)}
	b.expectEnds("key_1")
	in := billingInput(10)
	in.Resume = &workflows.BillingState{
		Phase: "charge", Key: keyNumber(1), Pinned: pinned(10), Rest: ranges(0, 10), Paused: "Ada: the list looks wrong",
	}
	var during workflows.Progress
	b.env.RegisterDelayedCallback(func() { during = b.progress(t) }, 50*time.Minute)
	resumed := b.after(time.Hour, workflows.UpdateResume, ada)

	summary := b.run(t, in)

	require.Equal(t, "Ada: the list looks wrong", during.Paused)
	require.Zero(t, during.Charged)
	require.NoError(t, resumed.refused)
	require.Equal(t, 10, summary.Charged)
}
