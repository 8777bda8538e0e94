package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// ApprovalInput says which charges wait for a person, and for how long.
type ApprovalInput struct {
	All      bool      `json:"all,omitempty"`       // every charge
	AboveUSD money.USD `json:"above_usd,omitempty"` // micro-USD; charges above it, if not all
	// Timeout is how long the gate waits once everything else is charged; 72 h.
	Timeout time.Duration `json:"timeout,omitempty"`
	// OnTimeout decides on what nobody decided on: Reject, the default, or Approve.
	OnTimeout string `json:"on_timeout,omitempty"`
	// KeyTTL is the life of the vault key that approved items are charged with; it is
	// issued after the approval, and not before; 30 min.
	KeyTTL time.Duration `json:"key_ttl,omitempty"`
}

// What may be decided, and the names of the updates that do so.
const (
	Approve = "approve"
	Reject  = "reject"
)

const (
	defaultApprovalTimeout = 72 * time.Hour
	defaultApprovalKeyTTL  = 30 * time.Minute
	maxApprovalTimeout     = 90 * 24 * time.Hour
	// MaxHeldRanges bounds the sets of items that wait, which the run carries along:
	// neighbours in the list are one range.
	MaxHeldRanges = 5000
	// maxPieces bounds them again once people have decided on parts of ranges: all of
	// them are carried over continue-as-new, in a payload of at most 2 MiB.
	maxPieces = 3 * MaxHeldRanges
)

func (a ApprovalInput) withDefaults() *ApprovalInput {
	if a.Timeout == 0 {
		a.Timeout = defaultApprovalTimeout
	}
	if a.OnTimeout == "" {
		a.OnTimeout = Reject
	}
	if a.KeyTTL == 0 {
		a.KeyTTL = defaultApprovalKeyTTL
	}
	return &a
}

func (a ApprovalInput) check() error {
	switch {
	case a.All == (a.AboveUSD > 0) || a.AboveUSD < 0:
		return errors.New("either all charges need an approval, or those above an amount of more than zero dollars")
	case a.OnTimeout != Approve && a.OnTimeout != Reject:
		return fmt.Errorf("what happens at the end of the time for approvals must be %s or %s", Approve, Reject)
	case a.Timeout < time.Second || a.Timeout > maxApprovalTimeout:
		return fmt.Errorf("time for approvals %s must be from 1s to %s (90 days)", a.Timeout, maxApprovalTimeout)
	case a.KeyTTL < time.Second || a.KeyTTL > MaxKeyTTL:
		return fmt.Errorf("lifetime of the key for approved charges %s must be from 1s to %s (31 days)", a.KeyTTL, MaxKeyTTL)
	}
	return nil
}

// approvals are the items that need one, and what was decided. Approved ones
// stay there when they are charged.
type approvals struct {
	Waiting  Ranges `json:"waiting,omitempty"`
	Approved Ranges `json:"approved,omitempty"`
	Rejected Ranges `json:"rejected,omitempty"`
	Closed   bool   `json:"closed,omitempty"` // the gate was passed: nothing can be decided any more
}

// pieces is how many ranges the sets have together.
func (a *approvals) pieces() int { return len(a.Waiting) + len(a.Approved) + len(a.Rejected) }

// hold takes the items that need an approval out of what is charged first.
func (b *billing) hold(ctx workflow.Context) error {
	if b.in.Approval == nil {
		return nil
	}
	held := b.state.Rest
	if !b.in.Approval.All {
		var a *activities.Activities
		var found activities.HeldResult
		err := workflow.ExecuteActivity(listOptions(ctx), a.HeldItems, activities.HeldInput{
			Source: b.in.Customers, Pinned: b.state.Pinned, AboveUSD: b.in.Approval.AboveUSD, MaxRanges: MaxHeldRanges,
		}).Get(ctx, &found)
		if err != nil {
			return err
		}
		held = found.Items
	}
	b.state.Approvals = &approvals{Waiting: held}
	b.state.Rest = b.state.Rest.Without(held)
	return nil
}

// leave adds the items that needed an approval and have not been charged.
func (a *approvals) leave(left *Exceptions) {
	if a == nil {
		return
	}
	left.Rejected.Merge(a.Rejected)
	if !a.Closed {
		left.NotAttempted.Merge(a.Waiting)
		left.NotAttempted.Merge(a.Approved)
	}
	a.Closed = true
}

func (b *billing) awaitsApproval() bool {
	return b.stop == "" && !b.handOver && b.state.Approvals != nil && !b.state.Approvals.Closed
}

// approvalGate ends the key that has charged so far, waits until everything is
// decided, and gets a key for what was approved: it draws on the same budget, and
// did not exist while somebody was thinking it over.
func (b *billing) approvalGate(ctx workflow.Context) {
	gate := b.state.Approvals
	if b.state.AwaitUntil.IsZero() {
		b.settle(ctx)
		b.state.AwaitUntil = workflow.Now(ctx).Add(b.in.Approval.Timeout)
	}
	b.phase, b.awaiting = StateAwaiting, true
	decided := func() bool { return b.stop != "" || (b.state.Paused == "" && len(gate.Waiting) == 0) }
	// A server takes a bounded number of updates in one run of a chain, and then refuses
	// every further decision.
	long := func() bool { return b.heard > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested() }
	inTime, err := workflow.AwaitWithTimeout(ctx, b.state.AwaitUntil.Sub(workflow.Now(ctx)), func() bool { return decided() || long() })
	if err == nil && !inTime {
		b.decide(b.in.Approval.OnTimeout, gate.Waiting)
		err = workflow.Await(ctx, func() bool { return decided() || long() }) // a pause may outlast it
	}
	if err == nil && !decided() {
		b.handOver = true
		return
	}
	b.awaiting = false
	if err != nil || b.stop != "" {
		b.halt(StopCanceled) // unless there was another reason first, such as a revocation
		return
	}
	gate.Closed = true
	if len(gate.Approved) == 0 {
		return
	}
	b.state.Phase, b.state.Rest = phaseApproved, gate.Approved
	key, err := b.issueKey(ctx, b.going, setUpTimeout, b.in.Continue)
	if err != nil {
		reason := activities.ErrorType(err)
		if reason == "" || ctx.Err() != nil {
			reason = StopCanceled
		}
		b.halt(reason)
		return
	}
	b.state.Key = key
}

func (b *billing) decide(decision string, items Ranges) {
	b.state.Approvals.Waiting = b.state.Approvals.Waiting.Without(items)
	if decision == Approve {
		b.state.Approvals.Approved.Merge(items)
		return
	}
	b.state.Approvals.Rejected.Merge(items)
}

// awaitingNow is what a person can decide on.
func (b *billing) awaitingNow() *Awaiting {
	if b.state.Approvals == nil {
		return nil
	}
	out := &Awaiting{}
	if b.awaiting {
		out.Until = b.state.AwaitUntil
	}
	if !b.state.Approvals.Closed {
		waiting := b.state.Approvals.Waiting
		out.Items = waiting.Len()
		out.Ranges, _ = waiting.Clip(outcome.MaxRanges)
	}
	return out
}
