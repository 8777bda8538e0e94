package workflows_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

const (
	rootID   = "billing-pro-2026-11"
	runLabel = "temporal/default-test-namespace/billing-pro-2026-11"
	vaultKey = "vault_key_test"

	hangs = 10 * time.Minute
)

// testBundle is a workflow environment whose activities are mocked by a world
// that counts: every customer costs one dollar, and each item ends as scripted.
type testBundle struct {
	env *testsuite.TestWorkflowEnvironment
	act *activities.Activities

	mu       sync.Mutex
	script   map[int]error                  // item -> what its charge fails with
	onCharge func(item int)                 // runs inside the charge
	ledger   map[int]activities.ItemOutcome // what ReadOutcomes finds; absent: LedgerNone
	calls    map[int]int                    // charges by item
	inFlight int
	widest   int // most charges at once
	spend    []activities.Spend
	reports  int
	revoked  bool
	asked    int   // times that another ledger was asked
	reads    []int // items of ReadOutcomes, in order
	expired  int   // so many vault keys have expired; the n-th is keyNumber(n)
	away     bool  // the proxy does not answer
}

func keyNumber(n int) activities.IssuedKey {
	if n == 1 {
		return activities.IssuedKey{VaultKey: vaultKey, KeyID: "key_1"}
	}
	return activities.IssuedKey{VaultKey: fmt.Sprint(vaultKey, "_", n), KeyID: fmt.Sprint("key_", n)}
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	// The failures that the tests script would fill pages.
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	b := &testBundle{
		env:    suite.NewTestWorkflowEnvironment(),
		script: map[int]error{},
		ledger: map[int]activities.ItemOutcome{},
		calls:  map[int]int{},
	}
	// What hangs is for the test's own deadline to find: a machine may be this slow.
	b.env.SetTestTimeout(hangs)
	b.env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: hangs})
	b.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: rootID, TaskQueue: workflows.TaskQueue})
	b.env.RegisterWorkflow(workflows.Billing)
	b.env.RegisterWorkflow(workflows.ChargeBatch)
	b.env.RegisterWorkflow(workflows.NotifyBatch)
	b.env.RegisterActivity(b.act)
	t.Cleanup(func() { b.env.AssertExpectations(t) })
	return b
}

func pinned(n int) customerlist.Pinned {
	return customerlist.Pinned{SHA256: "feed", Count: n, TotalUSD: money.USD(n) * money.Dollar}
}

func source(n int) customerlist.Source { return customerlist.Source{Generate: n, Seed: 1} }

func billingInput(n int) workflows.BillingInput {
	return workflows.BillingInput{
		Plan: "pro", Period: "2026-11", Customers: source(n), Pinned: pinned(n),
		BudgetUSD: 500 * money.Dollar, BatchSize: 10, Window: 4, Parallelism: 2,
	}
}

// expectBegin mocks the pin and the issue of the key, each exactly once.
func (b *testBundle) expectBegin(n int) {
	b.env.OnActivity(b.act.PinCustomers, mock.Anything, activities.PinInput{Source: source(n), Expected: pinned(n)}).
		Return(pinned(n), nil).Once()
	b.env.OnActivity(b.act.IssueVaultKey, mock.Anything, issueInput()).Return(keyNumber(1), nil).Once()
}

func issueInput() activities.IssueInput {
	return activities.IssueInput{
		RootWorkflowID: rootID, RunLabel: runLabel, Phase: "charge", BudgetUSD: 500 * money.Dollar, TTL: 2 * time.Hour,
		ListSHA256: pinned(1).SHA256,
	}
}

func (b *testBundle) expectFetches() {
	b.env.OnActivity(b.act.FetchCustomers, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.FetchInput) (activities.FetchResult, error) {
			page := make([]customerlist.Customer, 0, in.To-in.From)
			for i := in.From; i < in.To; i++ {
				page = append(page, customer(i))
			}
			return activities.FetchResult{Customers: page}, nil
		})
}

func customer(item int) customerlist.Customer {
	return customerlist.Customer{ID: fmt.Sprintf("cus_%d", item), PaymentMethod: "pm_card_visa", AmountCents: 100, Currency: "usd"}
}

// expectCharges plays the script, and holds each charge to its identity.
func (b *testBundle) expectCharges(t *testing.T) {
	t.Helper()
	b.env.OnActivity(b.act.ChargeCustomer, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.ChargeInput) (activities.ChargeResult, error) {
			if in.RootWorkflowID != rootID || in.Customer != customer(in.Item) {
				t.Errorf("charge of item %d is not its own: %+v", in.Item, in)
			}
			return b.charge(t, in)
		})
}

func (b *testBundle) charge(t *testing.T, in activities.ChargeInput) (activities.ChargeResult, error) {
	t.Helper()
	b.mu.Lock()
	b.calls[in.Item]++
	b.inFlight++
	b.widest = max(b.widest, b.inFlight)
	err := b.script[in.Item]
	b.mu.Unlock()
	if b.onCharge != nil {
		b.onCharge(in.Item)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	switch {
	case b.away:
		err = retryable(activities.TypeProxyUnreachable)
	case slices.Contains(b.dead(), in.VaultKey):
		err = terminal(activities.TypeKeyExpired)
	case in.VaultKey != keyNumber(b.expired+1).VaultKey:
		t.Errorf("item %d is charged with %s", in.Item, in.VaultKey)
	}
	if err != nil {
		return activities.ChargeResult{}, err
	}
	return activities.ChargeResult{PaymentIntent: "pi_1", Status: "succeeded", AmountUSD: money.Dollar}, nil
}

// dead are the vault keys that have expired.
func (b *testBundle) dead() []string {
	var tokens []string
	for n := range b.expired {
		tokens = append(tokens, keyNumber(n+1).VaultKey)
	}
	return tokens
}

// expectRanges charges each item of a range in turn, as an activity would whose
// window is one, and none of its retries.
func (b *testBundle) expectRanges(t *testing.T) {
	t.Helper()
	b.env.OnActivity(b.act.ChargeRange, mock.Anything, mock.Anything).
		Return(func(ctx context.Context, in activities.RangeInput) (activities.RangeResult, error) {
			var out activities.RangeResult
			for _, items := range in.Items.Chunks(in.Items.Len()) {
				for _, item := range items {
					if out.Stop != "" || ctx.Err() != nil {
						break
					}
					charged, err := b.charge(t, activities.ChargeInput{VaultKey: in.VaultKey, Item: item})
					found := activities.Judge(err)
					if out.Stop = found.Stop; found.Again {
						continue
					}
					out.Done.Add(item, item+1)
					outcome.Book(&out.Tally, &out.Exceptions, found.Outcome, item, item+1)
					out.Tally.AddCharged(charged.AmountUSD)
				}
			}
			return out, nil
		})
}

// expectEnd mocks the revocation, exactly once, and the ledger's reports: the
// scripted ones in their order, the last of them again and again.
func (b *testBundle) expectEnd(reports ...activities.Spend) { b.expectEndOf(1, reports...) }

// expectEndOf is expectEnd of a run whose last key is the n-th.
func (b *testBundle) expectEndOf(n int, reports ...activities.Spend) {
	b.spend = reports
	b.expectEnds(keyNumber(n).KeyID)
}

// expectEnds mocks the revocation of each key of a run, exactly once, and the
// ledger's reports, which are asked for by the last of them.
func (b *testBundle) expectEnds(keys ...string) {
	for _, key := range keys {
		b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, activities.RevokeInput{KeyID: key}).
			Return(func(context.Context, activities.RevokeInput) (activities.RevokeResult, error) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.revoked = true
				return activities.RevokeResult{}, nil
			}).Once()
	}
	b.env.OnActivity(b.act.SpendReport, mock.Anything, activities.ReportInput{RunLabel: runLabel, KeyID: keys[len(keys)-1]}).
		Return(func(context.Context, activities.ReportInput) (activities.Spend, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			report := b.spend[min(b.reports, len(b.spend)-1)]
			b.reports++
			return report, nil
		})
}

func (b *testBundle) expectReads(t *testing.T) {
	t.Helper()
	b.env.OnActivity(b.act.ReadOutcomes, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.OutcomesInput) (activities.OutcomesResult, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if !strings.HasPrefix(in.KeyID, "key_") {
				t.Error("no ledger can tell whether it is the run's")
			}
			if !b.revoked {
				t.Error("outcomes are read while a late attempt could still come through")
			}
			var out activities.OutcomesResult
			for _, item := range in.Items {
				b.reads = append(b.reads, item)
				found, ok := b.ledger[item]
				if !ok {
					found = activities.ItemOutcome{State: activities.LedgerNone}
				}
				found.Item = item
				out.Outcomes = append(out.Outcomes, found)
			}
			return out, nil
		})
}

func (b *testBundle) run(t *testing.T, in workflows.BillingInput) workflows.Summary {
	t.Helper()
	b.env.ExecuteWorkflow(workflows.Billing, in)
	require.True(t, b.env.IsWorkflowCompleted())
	require.NoError(t, b.env.GetWorkflowError())
	var summary workflows.Summary
	require.NoError(t, b.env.GetWorkflowResult(&summary))
	requireAddsUp(t, summary)
	return summary
}

// runCanceled runs it to its cancellation, which tells what it had come to.
func (b *testBundle) runCanceled(t *testing.T, in workflows.BillingInput) workflows.Summary {
	t.Helper()
	b.env.ExecuteWorkflow(workflows.Billing, in)
	require.True(t, b.env.IsWorkflowCompleted())
	var canceled *temporal.CanceledError
	require.ErrorAs(t, b.env.GetWorkflowError(), &canceled)
	var summary workflows.Summary
	require.NoError(t, canceled.Details(&summary))
	requireAddsUp(t, summary)
	return summary
}

func requireAddsUp(t *testing.T, s workflows.Summary) {
	t.Helper()
	require.Equal(t, s.Customers, s.Charged+s.Declined+s.CapDenied+s.NotAttempted+s.Unknown+s.Failed+s.Rejected)
}

func (b *testBundle) progress(t *testing.T) workflows.Progress {
	t.Helper()
	value, err := b.env.QueryWorkflow(workflows.QueryProgress)
	require.NoError(t, err)
	var progress workflows.Progress
	require.NoError(t, value.Get(&progress))
	return progress
}

// charged lists the items whose charge was called, ascending.
func (b *testBundle) charged() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var items []int
	for item := range b.calls {
		items = append(items, item)
	}
	slices.Sort(items)
	return items
}

func terminal(kind string) error {
	return temporal.NewNonRetryableApplicationError("scripted", kind, nil)
}

func retryable(kind string) error { return temporal.NewApplicationError("scripted", kind) }

// ranges builds a set from pairs of from and to.
func ranges(pairs ...int) workflows.Ranges {
	var out workflows.Ranges
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, workflows.Range{From: pairs[i], To: pairs[i+1]})
	}
	return out
}
