package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
)

// phaseCharge tells the charging key of a run from keys for other phases.
const phaseCharge = "charge"

// setUpTimeout bounds the issue of the vault key. It is long, since a run that
// fails here has to be started again by a person, and nothing is spent meanwhile.
const setUpTimeout = time.Hour

// begin pins the list before it issues the key: a list that changed since the
// starter saw it then fails the run with nothing to clean up.
func (b *billing) begin(ctx workflow.Context) error {
	if b.in.Continue {
		b.state.Earlier = &activities.Earlier{
			RunLabel: b.runLabel, Since: workflow.Now(ctx).UTC(), RetryDeclined: b.in.RetryDeclined,
		}
	}
	var a *activities.Activities
	err := workflow.ExecuteActivity(listOptions(ctx), a.PinCustomers, activities.PinInput{
		Source: b.in.Customers, Expected: b.in.Pinned,
	}).Get(ctx, &b.state.Pinned)
	if err != nil {
		return err
	}
	b.state.Key, err = b.issueKey(ctx, ctx, setUpTimeout, b.in.Continue)
	return err
}

// issueKey returns the live key of the run, or a further one on the same budget.
// It blocks in ctx, and is cancelled with scope.
func (b *billing) issueKey(ctx, scope workflow.Context, within time.Duration, renew bool) (activities.IssuedKey, error) {
	var a *activities.Activities
	var key activities.IssuedKey
	err := workflow.ExecuteActivity(controlOptions(scope, within), a.IssueVaultKey, activities.IssueInput{
		RootWorkflowID:  b.workflowID,
		RunLabel:        b.runLabel,
		Phase:           phaseCharge,
		BudgetUSD:       b.in.BudgetUSD,
		PerChargeCapUSD: b.in.PerChargeCapUSD,
		TTL:             b.in.KeyTTL,
		ListSHA256:      b.state.Pinned.SHA256,
		Renew:           renew,
	}).Get(ctx, &key)
	return key, err
}

// replaceKey gets another key for one that expired before the run's end, a bounded
// number of times. Batches that met the same expiry share the new one.
func (b *billing) replaceKey(ctx workflow.Context, expired string) bool {
	if err := b.replacing.Lock(ctx); err != nil {
		return false
	}
	defer b.replacing.Unlock()
	switch {
	case b.stop != "":
		return false
	case b.state.Key.KeyID != expired:
		return true
	case b.state.Renewals >= *b.in.KeyRenewals:
		b.halt(activities.TypeKeyExpired)
		return false
	}
	b.state.Renewals++
	// Never renewed where somebody revoked it meanwhile: that was meant.
	key, err := b.issueKey(ctx, b.going, b.in.OutageLimit, false)
	if err != nil {
		reason := activities.ErrorType(err)
		if reason == "" {
			reason = activities.TypeKeyExpired
		}
		b.halt(reason)
		return false
	}
	b.state.Key = key
	return true
}
