package workflows_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

func settled(dollars int) activities.Spend {
	return activities.Spend{CapUSD: 500 * money.Dollar, SettledUSD: money.USD(dollars) * money.Dollar}
}

func TestBilling_ChargesEachCustomerOnceAndSumsUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(35)
	b.expectFetches()
	b.expectCharges(t)
	b.expectEnd(settled(35))

	summary := b.run(t, billingInput(35))

	require.Equal(t, workflows.Summary{
		Plan: "pro", Period: "2026-11", WorkflowID: rootID, RunLabel: runLabel, KeyID: "key_1", KeyRevoked: true,
		Customers: 35, Charged: 35, CapUSD: 500 * money.Dollar, SettledUSD: 35 * money.Dollar,
		LedgerRead: true, ListSHA256: "feed",
	}, summary)
	for item := range 35 {
		require.Equal(t, 1, b.calls[item], "item %d", item)
	}
	require.LessOrEqual(t, b.widest, 8, "two batches with a window of four each")
	b.env.AssertActivityNumberOfCalls(t, "ChargeCustomer", 35)
	b.env.AssertActivityNumberOfCalls(t, "FetchCustomers", 4)
	b.env.AssertActivityNumberOfCalls(t, "SpendReport", 1)
	b.env.AssertActivityNumberOfCalls(t, "ReadOutcomes", 0)

	progress := b.progress(t)
	require.Equal(t, workflows.StateDone, progress.State)
	require.Equal(t, 35, progress.Done())
	require.Equal(t, 35*money.Dollar, progress.SettledUSD)
}

func TestBilling_CountsWhatTheVendorRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(30)
	b.expectFetches()
	b.expectCharges(t)
	b.expectEnd(settled(25))
	b.script[3] = terminal(activities.TypeChargeDeclined)
	b.script[4] = terminal(activities.TypeChargeDeclined)
	b.script[12] = terminal(activities.TypeInvalidRequest)
	b.script[13] = terminal(activities.TypeInvalidRequest)
	b.script[21] = terminal(activities.TypePerCallCapExceeded)

	summary := b.run(t, billingInput(30))

	require.Equal(t, 25, summary.Charged)
	require.Equal(t, 2, summary.Declined)
	require.Equal(t, 2, summary.Failed)
	require.Equal(t, 1, summary.CapDenied, "a charge that is too large by itself stops nobody else's")
	require.Empty(t, summary.StopReason)
	require.Equal(t, workflows.Exceptions{
		Declined: ranges(3, 5), Failed: ranges(12, 14), CapDenied: ranges(21, 22),
	}, summary.Exceptions)
	b.env.AssertActivityNumberOfCalls(t, "ChargeCustomer", 30)
}

func TestBilling_StopsAllBatchesAtTheFirstReasonThatHoldsForAll(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]workflows.Outcome{
		activities.TypeCapExhausted:       workflows.CapDenied,
		activities.TypeKeyRevoked:         workflows.NotAttempted,
		activities.TypeEndpointNotAllowed: workflows.NotAttempted,
		activities.TypeScopeDenied:        workflows.NotAttempted,
		activities.TypeUnmeteredOperation: workflows.NotAttempted,
		activities.TypeVendorCredentials:  workflows.Failed,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.expectBegin(4000)
			b.expectFetches()
			b.expectCharges(t)
			b.expectEnd(settled(1))
			b.script[7] = terminal(kind)
			in := billingInput(4000)
			in.BatchSize = 1000

			summary := b.run(t, in)

			require.Equal(t, kind, summary.StopReason)
			require.True(t, summary.KeyRevoked)
			attempted := len(b.charged())
			refused := map[workflows.Outcome]int{
				workflows.CapDenied: summary.CapDenied, workflows.Failed: summary.Failed,
				workflows.NotAttempted: summary.NotAttempted - (4000 - attempted), // beside those that were never scheduled
			}
			require.Equal(t, 1, refused[want])
			require.Equal(t, attempted-1, summary.Charged)
			// Batch 0 meets it at its eighth item. Its sibling was to charge a thousand
			// and is stopped on the way; the other two never start.
			require.Less(t, attempted, 200)
			require.Contains(t, b.charged(), 1000, "the sibling had begun")
			require.NotContains(t, b.charged(), 2000)
			require.Zero(t, summary.Unknown)
			b.env.AssertActivityNumberOfCalls(t, "ReadOutcomes", 0)
		})
	}
}

// A mismatch says that the ledger has a call of the item already, made with other
// content: what became of that one is for the ledger to say.
func TestBilling_ReadsFromTheLedgerWhatAMismatchHides(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(10)
	b.expectFetches()
	b.expectCharges(t)
	b.expectReads(t)
	b.expectEnd(settled(10))
	b.script[5] = terminal(activities.TypeIdempotencyMismatch)
	b.ledger[5] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}

	summary := b.run(t, billingInput(10))

	require.Equal(t, 10, summary.Charged)
	require.Zero(t, summary.Failed)
}

// A ledger that does not know the run's key is not the run's ledger, or an older
// copy of it: that it has no call of an item proves nothing.
func TestBilling_TakesNoWordFromALedgerThatDoesNotKnowTheKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(10)
	b.expectFetches()
	b.expectCharges(t)
	b.expectReads(t)
	b.expectEnd(settled(9))
	b.script[5] = terminal(activities.TypeKeyUnknown)
	b.ledger[5] = activities.ItemOutcome{State: activities.LedgerNone}

	summary := b.run(t, billingInput(10))

	require.Equal(t, activities.TypeKeyUnknown, summary.StopReason)
	require.Equal(t, 1, summary.Unknown)
	require.Zero(t, summary.Failed)
}

func TestBilling_StopsSiblingsWhileTheBatchThatMetTheReasonStillWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(2000)
	b.expectFetches()
	b.expectCharges(t)
	b.expectReads(t)
	b.expectEnd(settled(1))
	// Batch 0 ends only after many retries of this one.
	b.script[3] = retryable(activities.TypeCapContended)
	b.script[7] = terminal(activities.TypeCapExhausted)
	in := billingInput(2000)
	in.BatchSize = 1000

	summary := b.run(t, in)

	require.Equal(t, activities.TypeCapExhausted, summary.StopReason)
	require.Contains(t, b.charged(), 1000, "the sibling had begun")
	require.Less(t, len(b.charged()), 200)
	require.Equal(t, 1, summary.Failed, "the one that never got its turn")
}

func TestBilling_ReadsFromTheLedgerWhatChargesCouldNotTell(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(20)
	b.expectFetches()
	b.expectCharges(t)
	b.expectReads(t)
	open := activities.Spend{SettledUSD: 13 * money.Dollar, UnknownUSD: 2 * money.Dollar, Unknown: 2}
	b.expectEnd(open, open, settled(15))
	for _, item := range []int{2, 3, 4, 5, 6, 17, 18} {
		b.script[item] = retryable(activities.TypeOutcomeUnknown)
	}
	b.script[18] = terminal(activities.TypeUnexpected)
	b.ledger[2] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	b.ledger[3] = activities.ItemOutcome{State: activities.LedgerDeclined}
	b.ledger[4] = activities.ItemOutcome{State: activities.LedgerReleased}
	b.ledger[6] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	b.ledger[17] = activities.ItemOutcome{State: activities.LedgerDeclined}
	b.ledger[18] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	in := billingInput(20)
	in.ChargeTimeout = 5 * time.Second

	summary := b.run(t, in)

	require.Equal(t, 13+3, summary.Charged)
	require.Equal(t, 2, summary.Declined)
	require.Equal(t, 2, summary.Failed, "one released, one of which the ledger has no call")
	require.Zero(t, summary.Unknown)
	require.Empty(t, summary.StopReason)
	require.Equal(t, workflows.Exceptions{
		Declined: ranges(3, 4, 17, 18), Failed: ranges(4, 6),
	}, summary.Exceptions)
	require.Equal(t, []int{2, 3, 4, 5, 6, 17, 18}, b.reads)
	b.env.AssertActivityNumberOfCalls(t, "ReadOutcomes", 1)
	require.Equal(t, 4, b.reports, "polled until nothing is open, and once for the summary")
	require.Equal(t, 5, b.calls[2], "at 0, 0.2, 0.6, 1.4 and 3 s; the sixth would be after 5 s")
	require.Equal(t, 1, b.calls[18], "not retried")
}

// provingRun is a run of which one charge is unknown at the end, and which waits for
// proof for as long as it may.
func provingRun(t *testing.T) (*testBundle, workflows.BillingInput) {
	t.Helper()
	b := setup(t)
	b.expectBegin(10)
	b.expectFetches()
	b.expectCharges(t)
	b.expectReads(t)
	b.script[3] = terminal(activities.TypeUnexpected)
	in := billingInput(10)
	in.SettleTimeout = 90 * 24 * time.Hour
	return b, in
}

func TestBilling_LooksForProofNoMoreOftenThanItsHistoryBears(t *testing.T) {
	t.Parallel()
	b, in := provingRun(t)
	b.expectEnd(activities.Spend{Unknown: 1})
	b.run(t, in)
	require.Less(t, b.reports, 300, "each look costs some eleven events, and a server terminates a run of 51,200")
}

func TestBilling_IsNotLongInSeeingProof(t *testing.T) {
	t.Parallel()
	b, in := provingRun(t)
	// Three minutes are the reconciler's, before nothing found is proof.
	b.expectEnd(append(slices.Repeat([]activities.Spend{{Unknown: 1}}, 10), activities.Spend{})...)
	began := b.env.Now()
	b.run(t, in)
	require.Less(t, b.env.Now().Sub(began), 210*time.Second)
}

func TestBilling_LeavesUnknownWhatIsNeverProved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(10)
	b.expectFetches()
	b.expectCharges(t)
	b.expectReads(t)
	b.expectEnd(activities.Spend{SettledUSD: 9 * money.Dollar, UnknownUSD: money.Dollar, Unknown: 1})
	b.script[5] = retryable(activities.TypeOutcomeUnknown)
	b.ledger[5] = activities.ItemOutcome{State: activities.LedgerPending}

	in := billingInput(10)
	in.ChargeTimeout = 2 * time.Second
	began := b.env.Now()
	summary := b.run(t, in)

	require.Equal(t, 9, summary.Charged)
	require.Equal(t, 1, summary.Unknown)
	require.Equal(t, money.Dollar, summary.UnknownUSD)
	require.Equal(t, workflows.Exceptions{Unknown: ranges(5, 6)}, summary.Exceptions)
	require.True(t, summary.KeyRevoked)
	require.GreaterOrEqual(t, b.env.Now().Sub(began), 9*time.Minute, "five to wait for proof, four for late calls")
	require.Less(t, b.env.Now().Sub(began), 10*time.Minute)
	b.env.AssertActivityNumberOfCalls(t, "RevokeVaultKey", 1)
}

func TestBilling_KeepsItemsUnknownWhenTheLedgerCannotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(10)
	b.expectFetches()
	b.expectCharges(t)
	b.script[5] = retryable(activities.TypeProxyUnreachable)
	gone := terminal(activities.TypeAdminKeyRejected)
	b.env.OnActivity(b.act.SpendReport, mock.Anything, mock.Anything).Return(activities.Spend{}, gone)
	b.env.OnActivity(b.act.ReadOutcomes, mock.Anything, mock.Anything).Return(activities.OutcomesResult{}, gone)
	b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, mock.Anything).Return(activities.RevokeResult{}, gone).Once()

	summary := b.run(t, billingInput(10))

	require.Equal(t, 9, summary.Charged)
	require.Equal(t, 1, summary.Unknown)
	require.False(t, summary.KeyRevoked)
	require.False(t, summary.LedgerRead)
	require.Equal(t, 9*money.Dollar, summary.SettledUSD, "the sum of the answers")
	require.Equal(t, ranges(5, 6), summary.Exceptions.Unknown)
}

// anotherLedger answers as the control plane of a ledger that knows nothing of
// the run, until it has been asked so many times.
func (b *testBundle) anotherLedger(until int) {
	wrong := func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.asked++; b.asked > until {
			return nil
		}
		return retryable(activities.TypeWrongLedger)
	}
	b.env.OnActivity(b.act.SpendReport, mock.Anything, mock.Anything).
		Return(func(context.Context, activities.ReportInput) (activities.Spend, error) {
			return activities.Spend{}, wrong()
		})
	b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, mock.Anything).
		Return(func(context.Context, activities.RevokeInput) (activities.RevokeResult, error) {
			return activities.RevokeResult{}, wrong()
		})
	b.env.OnActivity(b.act.ReadOutcomes, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.OutcomesInput) (activities.OutcomesResult, error) {
			var out activities.OutcomesResult
			for _, item := range in.Items {
				out.Outcomes = append(out.Outcomes, activities.ItemOutcome{Item: item, State: activities.LedgerNone})
			}
			return out, wrong()
		})
}

func TestBilling_OnAnotherLedgerTakesNobodyForNotCharged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(1200)
	b.env.OnWorkflow(workflows.ChargeBatch, mock.Anything, mock.Anything).
		Return(func(_ workflow.Context, in workflows.BatchInput) (workflows.BatchResult, error) {
			if in.Number == 0 {
				return workflows.BatchResult{}, temporal.NewNonRetryableApplicationError("terminated", "Terminated", nil)
			}
			return workflows.BatchResult{
				Tally: workflows.Tally{Unknown: 600}, Exceptions: workflows.Exceptions{Unknown: ranges(600, 1200)},
			}, nil
		}).Times(2)
	b.anotherLedger(1e6)
	in := billingInput(1200)
	in.BatchSize = 600
	began := b.env.Now()

	summary := b.run(t, in)

	require.Equal(t, 1200, summary.Unknown, "lost or in doubt: they may have been charged")
	require.Equal(t, workflows.Exceptions{Unknown: ranges(0, 1200)}, summary.Exceptions)
	require.False(t, summary.KeyRevoked)
	require.False(t, summary.LedgerRead)
	require.Less(t, b.env.Now().Sub(began), time.Hour, "and that is found out in bounded time")
}

func TestBilling_WaitsForItsOwnLedgerToComeBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(10)
	b.env.OnWorkflow(workflows.ChargeBatch, mock.Anything, mock.Anything).
		Return(workflows.BatchResult{
			Tally: workflows.Tally{Charged: 9, Unknown: 1}, Exceptions: workflows.Exceptions{Unknown: ranges(5, 6)},
		}, nil).Once()
	b.anotherLedger(5)

	summary := b.run(t, billingInput(10))

	require.Equal(t, 1, summary.Failed)
	require.True(t, summary.KeyRevoked)
	require.True(t, summary.LedgerRead)
}

func TestBilling_ConcludesNothingFromALedgerInWhichItsKeyStillLives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(20)
	b.env.OnWorkflow(workflows.ChargeBatch, mock.Anything, mock.Anything).
		Return(func(_ workflow.Context, in workflows.BatchInput) (workflows.BatchResult, error) {
			if in.Number == 0 {
				return workflows.BatchResult{}, temporal.NewNonRetryableApplicationError("terminated", "Terminated", nil)
			}
			return workflows.BatchResult{
				Tally: workflows.Tally{Charged: 9, Unknown: 1}, Exceptions: workflows.Exceptions{Unknown: ranges(15, 16)},
			}, nil
		}).Times(2)
	b.env.OnActivity(b.act.SpendReport, mock.Anything, mock.Anything).Return(settled(9), nil)
	b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, mock.Anything).
		Return(activities.RevokeResult{}, terminal(activities.TypeAdminKeyRejected)).Once()
	b.env.OnActivity(b.act.ReadOutcomes, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.OutcomesInput) (activities.OutcomesResult, error) {
			var out activities.OutcomesResult
			for _, item := range in.Items {
				found := activities.ItemOutcome{Item: item, State: activities.LedgerNone}
				if item == 3 || item == 15 {
					found.State = activities.LedgerCharged
				}
				out.Outcomes = append(out.Outcomes, found)
			}
			return out, nil
		})

	summary := b.run(t, billingInput(20))

	require.Equal(t, 9+2, summary.Charged, "what it does know of counts")
	require.Equal(t, 9, summary.Unknown, "an attempt that was cut off could still come through")
	require.Zero(t, summary.NotAttempted)
	require.Zero(t, summary.Failed)
}

func TestBilling_SurvivesABatchThatFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(30)
	b.expectReads(t)
	b.expectEnd(settled(22))
	b.env.OnWorkflow(workflows.ChargeBatch, mock.Anything, mock.Anything).
		Return(func(_ workflow.Context, in workflows.BatchInput) (workflows.BatchResult, error) {
			if in.Number == 1 {
				return workflows.BatchResult{}, temporal.NewNonRetryableApplicationError("terminated", "Terminated", nil)
			}
			return workflows.BatchResult{Tally: workflows.Tally{Charged: 10, ChargedUSD: 10 * money.Dollar}}, nil
		}).Times(3)
	b.ledger[10] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	b.ledger[11] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	b.ledger[12] = activities.ItemOutcome{State: activities.LedgerDeclined}
	b.ledger[13] = activities.ItemOutcome{State: activities.LedgerReleased}

	summary := b.run(t, billingInput(30))

	require.Equal(t, 22, summary.Charged)
	require.Equal(t, 1, summary.Declined)
	require.Equal(t, 7, summary.NotAttempted, "the ledger has no call of theirs, or one that was refused without effect")
	require.Zero(t, summary.Failed)
	require.Equal(t, workflows.StopBatchLost, summary.StopReason, "not everybody was tried")
	require.Equal(t, workflows.Exceptions{
		Declined: ranges(12, 13), NotAttempted: ranges(13, 20),
	}, summary.Exceptions)
}

func TestBilling_DoesNotBelieveABatchThatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(10)
	b.expectReads(t)
	b.expectEnd(settled(0))
	b.env.OnWorkflow(workflows.ChargeBatch, mock.Anything, mock.Anything).
		Return(workflows.BatchResult{Tally: workflows.Tally{Charged: 9}}, nil).Once()

	summary := b.run(t, billingInput(10))

	require.Equal(t, 10, summary.NotAttempted)
	require.Len(t, b.reads, 10)
}

func TestBilling_FailsBeforeTheFirstChargeWhenItCannotBegin(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{activities.TypeCustomerListChanged, activities.TypeInvalidCustomerList} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(0), terminal(kind)).Once()
			b.env.ExecuteWorkflow(workflows.Billing, billingInput(10))
			requireFailure(t, b, kind)
			b.env.AssertActivityNumberOfCalls(t, "IssueVaultKey", 0)
		})
	}
	for _, kind := range []string{activities.TypeAdminKeyRejected, activities.TypePolicyConflict, activities.TypeRunRevoked, activities.TypeRunClosed} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(10), nil).Once()
			b.env.OnActivity(b.act.IssueVaultKey, mock.Anything, mock.Anything).Return(activities.IssuedKey{}, terminal(kind)).Once()
			b.env.ExecuteWorkflow(workflows.Billing, billingInput(10))
			requireFailure(t, b, kind)
			b.env.AssertActivityNumberOfCalls(t, "ChargeCustomer", 0)
		})
	}
}

func TestBilling_RefusesInputItCannotWorkOn(t *testing.T) {
	t.Parallel()
	for sentence, spoil := range map[string]func(*workflows.BillingInput){
		"another plan than the ID says":   func(in *workflows.BillingInput) { in.Plan = "basic" },
		"another period than the ID says": func(in *workflows.BillingInput) { in.Period = "2026-12" },
		"no budget":                       func(in *workflows.BillingInput) { in.BudgetUSD = 0 },
		"a window beyond the server's":    func(in *workflows.BillingInput) { in.Window = 2000 },
		"no room for a batch":             func(in *workflows.BillingInput) { in.BatchSize = -1 },
		"a key that is dead on arrival":   func(in *workflows.BillingInput) { in.KeyTTL = time.Nanosecond },
		"a negative cap of a charge":      func(in *workflows.BillingInput) { in.PerChargeCapUSD = -1 },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			in := billingInput(10)
			spoil(&in)
			b.env.ExecuteWorkflow(workflows.Billing, in)
			requireFailure(t, b, workflows.TypeInvalidInput)
			b.env.AssertActivityNumberOfCalls(t, "PinCustomers", 0)
		})
	}
}

func TestBilling_StopsWhenTheListChangesUnderIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(40)
	b.expectCharges(t)
	b.expectEnd(settled(10))
	in := billingInput(40)
	in.Parallelism = 1
	first := activities.FetchInput{Source: source(40), Pinned: pinned(40), From: 0, To: 10}
	page := activities.FetchResult{}
	for i := range 10 {
		page.Customers = append(page.Customers, customer(i))
	}
	b.env.OnActivity(b.act.FetchCustomers, mock.Anything, first).Return(page, nil).Once()
	b.env.OnActivity(b.act.FetchCustomers, mock.Anything, mock.Anything).
		Return(activities.FetchResult{}, terminal(activities.TypeCustomerListChanged)).Once()

	summary := b.run(t, in)

	require.Equal(t, activities.TypeCustomerListChanged, summary.StopReason)
	require.Equal(t, 10, summary.Charged)
	require.Equal(t, 30, summary.NotAttempted)
	require.Equal(t, ranges(10, 40), summary.Exceptions.NotAttempted)
}

func TestBilling_CancelledStopsRevokesAndKeepsItsSummary(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(4000)
	b.expectFetches()
	b.expectCharges(t)
	b.expectReads(t)
	b.expectEnd(settled(5))
	in := billingInput(4000)
	in.BatchSize = 1000
	b.script[2] = retryable(activities.TypeRateLimited)
	b.ledger[2] = activities.ItemOutcome{State: activities.LedgerReleased}
	b.onCharge = func(item int) {
		if item == 20 {
			b.env.CancelWorkflow()
		}
	}

	b.env.ExecuteWorkflow(workflows.Billing, in)

	require.True(t, b.env.IsWorkflowCompleted())
	var canceled *temporal.CanceledError
	require.ErrorAs(t, b.env.GetWorkflowError(), &canceled)
	var summary workflows.Summary
	require.NoError(t, canceled.Details(&summary))
	requireAddsUp(t, summary)
	require.Equal(t, workflows.StopCanceled, summary.StopReason)
	require.True(t, summary.KeyRevoked)
	require.Less(t, len(b.charged()), 200)
	require.Positive(t, summary.Charged)
	require.Greater(t, summary.NotAttempted, 3000)
	require.Contains(t, b.reads, 2)
	require.Zero(t, summary.Failed, "what the end cut off did not fail, whether a send of it had been refused or not")
	require.Zero(t, summary.Unknown)
}

func TestBilling_CancelledBeforeItsKeyIsIssuedChargesNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, mock.Anything).Return(pinned(10), nil).After(time.Minute)
	b.env.RegisterDelayedCallback(b.env.CancelWorkflow, time.Second)

	b.env.ExecuteWorkflow(workflows.Billing, billingInput(10))

	var canceled *temporal.CanceledError
	require.ErrorAs(t, b.env.GetWorkflowError(), &canceled)
	b.env.AssertActivityNumberOfCalls(t, "ChargeCustomer", 0)
}

func TestBilling_ContinuesAsNewBetweenBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(35)
	in := billingInput(35)
	in.Parallelism = 1
	b.env.OnWorkflow(workflows.ChargeBatch, mock.Anything, mock.Anything).
		Return(workflows.BatchResult{
			Tally:      workflows.Tally{Charged: 8, Declined: 1, Unknown: 1, ChargedUSD: 8 * money.Dollar},
			Exceptions: workflows.Exceptions{Declined: ranges(4, 5), Unknown: ranges(6, 7)},
		}, nil).Once()
	b.env.SetContinueAsNewSuggested(true)

	b.env.ExecuteWorkflow(workflows.Billing, in)

	again := requireContinuedAsNew(t, b)
	require.NotNil(t, again.Resume)
	require.Equal(t, &workflows.BillingState{
		Phase:      "charge",
		Key:        activities.IssuedKey{VaultKey: vaultKey, KeyID: "key_1"},
		Pinned:     pinned(35),
		Rest:       ranges(10, 35),
		NextBatch:  1,
		Tally:      workflows.Tally{Charged: 8, Declined: 1, Unknown: 1, ChargedUSD: 8 * money.Dollar},
		Exceptions: workflows.Exceptions{Declined: ranges(4, 5)},
		InDoubt:    ranges(6, 7),
	}, again.Resume)
}

func TestBilling_CancelledWhileItWaitsToContinueAsNewStillEndsItsKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(35)
	in := billingInput(35)
	in.Parallelism = 1
	b.env.OnWorkflow(workflows.ChargeBatch, mock.Anything, mock.Anything).
		Return(func(ctx workflow.Context, _ workflows.BatchInput) (workflows.BatchResult, error) {
			return workflows.BatchResult{Tally: workflows.Tally{Charged: 10, ChargedUSD: 10 * money.Dollar}}, workflow.Sleep(ctx, time.Minute)
		}).Once()
	b.env.SetContinueAsNewSuggested(true)
	b.env.OnActivity(b.act.RaiseBudget, mock.Anything, mock.Anything).
		Return(activities.RunBudget{CapUSD: 800 * money.Dollar}, nil).After(time.Minute)
	b.expectEnd(settled(10))
	b.after(30*time.Second, workflows.UpdateRaiseBudget, workflows.BudgetRaise{Person: ada, BudgetUSD: 800 * money.Dollar})
	b.env.RegisterDelayedCallback(b.env.CancelWorkflow, 70*time.Second)

	summary := b.runCanceled(t, in)

	require.Equal(t, 10, summary.Charged)
	require.Equal(t, 25, summary.NotAttempted)
	require.Equal(t, workflows.StopCanceled, summary.StopReason)
	require.True(t, b.revoked)
}

func TestBilling_GoesOnWhereItContinuedFrom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectFetches()
	b.expectCharges(t)
	b.expectReads(t)
	b.expectEnd(settled(34))
	b.ledger[6] = activities.ItemOutcome{State: activities.LedgerCharged, AmountUSD: money.Dollar}
	in := billingInput(35)
	in.Resume = &workflows.BillingState{
		Phase:      "charge",
		Key:        activities.IssuedKey{VaultKey: vaultKey, KeyID: "key_1"},
		Pinned:     pinned(35),
		Rest:       ranges(10, 35),
		NextBatch:  1,
		Tally:      workflows.Tally{Charged: 8, Declined: 1, Unknown: 1, ChargedUSD: 8 * money.Dollar},
		Exceptions: workflows.Exceptions{Declined: ranges(4, 5)},
		InDoubt:    ranges(6, 7),
	}

	summary := b.run(t, in)

	require.Equal(t, 34, summary.Charged)
	require.Equal(t, 1, summary.Declined)
	require.Equal(t, workflows.Exceptions{Declined: ranges(4, 5)}, summary.Exceptions)
	require.Equal(t, 10, b.charged()[0], "nothing that was done is done again")
	require.Len(t, b.charged(), 25)
	require.Equal(t, []int{6}, b.reads)
	b.env.AssertActivityNumberOfCalls(t, "IssueVaultKey", 0)
	b.env.AssertActivityNumberOfCalls(t, "PinCustomers", 0)
}

func TestBilling_ProgressMovesWhileBatchesRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(400)
	b.expectFetches()
	b.expectCharges(t)
	b.expectEnd(settled(400))
	seen := map[int]bool{}
	b.env.SetOnActivityStartedListener(func(*activity.Info, context.Context, converter.EncodedValues) {
		progress := b.progress(t)
		seen[progress.Charged] = true
		if progress.Charged > 0 && progress.Charged < 400 {
			require.Equal(t, workflows.StateCharging, progress.State)
			require.Equal(t, 400, progress.Customers)
			require.Equal(t, money.USD(progress.Charged)*money.Dollar, progress.SettledUSD)
			require.Equal(t, "key_1", progress.KeyID)
		}
	})
	in := billingInput(400)
	in.BatchSize, in.Parallelism = 200, 1

	b.run(t, in)

	for _, step := range []int{0, 50, 100, 150, 200, 250, 300, 350} {
		require.True(t, seen[step], "progress was never at %d: %v", step, seen)
	}
}

func requireFailure(t *testing.T, b *testBundle, kind string) {
	t.Helper()
	require.True(t, b.env.IsWorkflowCompleted())
	var failure *temporal.ApplicationError
	require.ErrorAs(t, b.env.GetWorkflowError(), &failure)
	require.Equal(t, kind, failure.Type())
}

func requireContinuedAsNew(t *testing.T, b *testBundle) workflows.BillingInput {
	t.Helper()
	require.True(t, b.env.IsWorkflowCompleted())
	var continued *workflow.ContinueAsNewError
	require.ErrorAs(t, b.env.GetWorkflowError(), &continued)
	require.Equal(t, "Billing", continued.WorkflowType.Name)
	var again workflows.BillingInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(continued.Input, &again))
	return again
}
