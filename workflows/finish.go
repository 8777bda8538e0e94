package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
)

// TypeAccountingMismatch is the error type of a run whose outcomes do not add up
// to its list: a fault of this code, which must not pass for a result.
const TypeAccountingMismatch = "AccountingMismatch"

const (
	// cleanUpTimeout bounds each control-plane call after the last charge.
	cleanUpTimeout = 10 * time.Minute
	// lookPause is the longest pause between two looks for proof, until it is less than
	// the lookShare-th part of the wait so far: each look costs the run some eleven
	// events, and so 90 days have some 200 of them.
	lookPause = 30 * time.Second
	lookShare = 20
	// outcomePage is how many items one activity reads from the ledger.
	outcomePage = 200
	// lateCalls bounds the wait for calls that were in flight when the key was
	// revoked. Without a key nothing is sent again, so that the proxy can only look
	// up; and it takes "nothing found" for an answer 155 s after the last send.
	lateCalls = 4 * time.Minute
)

// finish settles what is unknown, ends the key, and sums up. It goes on when the
// run is cancelled, since the key has to be revoked then most of all.
func (b *billing) finish(ctx workflow.Context) (Summary, error) {
	b.phase = StateSettling
	b.bookRest()
	b.settle(ctx)
	if b.stop == "" && b.state.Tally.NotAttempted > 0 {
		b.stop = StopBatchLost // of charges that were cut off, some were not made
	}
	for _, keyID := range b.state.KeysAlive {
		b.revokeKey(keyID)
	}
	b.notify(ctx)
	summary := b.summary()
	b.phase = StateDone
	// Whoever is being answered gets the answer. What the run has come to stands.
	_ = workflow.Await(b.detached, func() bool { return workflow.AllHandlersFinished(ctx) })
	if got := b.state.Tally.Total(); got != b.state.Pinned.Count {
		return Summary{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("outcomes of %d items were counted in a list of %d", got, b.state.Pinned.Count),
			TypeAccountingMismatch, nil, summary)
	}
	if ctx.Err() != nil {
		return Summary{}, temporal.NewCanceledError(summary)
	}
	return summary, nil
}

// bookRest counts what no batch was given, and what waited for an approval.
func (b *billing) bookRest() {
	left := Exceptions{NotAttempted: slices.Clone(b.state.Rest)}
	b.state.Approvals.leave(&left)
	b.state.Tally.Count(NotAttempted, left.NotAttempted.Len())
	b.state.Tally.Count(Rejected, left.Rejected.Len())
	b.state.Exceptions.Merge(left)
	left.NotAttempted.Unite(b.state.Exceptions.NotAttempted) // and what batches were given in vain
	b.untried = left
}

// settle finds out how the items ended that are unknown, and ends the key.
func (b *billing) settle(ctx workflow.Context) {
	earlier := b.state.Earlier != nil && len(b.untried.NotAttempted)+len(b.untried.Rejected) > 0
	if b.state.Key.KeyID == "" {
		// There is no key that could prove more, or by which the ledger could be known.
		if earlier {
			b.state.Exceptions.Merge(Exceptions{Unknown: b.readUntried()})
		}
		return
	}
	// The proxy may only send again, to prove what happened, while the key lives.
	if earlier || len(b.state.InDoubt)+len(b.state.Lost) > 0 {
		b.awaitProof(ctx)
	}
	revoked := b.revokeKey(b.state.Key.KeyID)
	// Read after the revocation: an attempt cut off from its activity could until
	// then still have come through.
	if earlier {
		b.state.Lost.Merge(b.readUntried())
	}
	b.resolve(revoked)
}

// awaitProof waits, bounded and with growing pauses, until the ledger holds no
// call of the run whose outcome is open. Cancelling the run ends the wait.
func (b *billing) awaitProof(ctx workflow.Context) {
	began := workflow.Now(ctx)
	deadline := began.Add(b.in.SettleTimeout)
	for pause := time.Second; ; pause = min(2*pause, max(lookPause, workflow.Now(ctx).Sub(began)/lookShare)) {
		spend, err := b.spend(time.Minute)
		if err == nil && spend.Unknown == 0 && spend.InFlight == 0 {
			return
		}
		left := deadline.Sub(workflow.Now(ctx))
		if left <= 0 || workflow.Sleep(ctx, min(pause, left)) != nil {
			return
		}
	}
}

// revokeKey ends a key, or notes that it lives on.
func (b *billing) revokeKey(keyID string) bool {
	var a *activities.Activities
	err := workflow.ExecuteActivity(controlOptions(b.detached, cleanUpTimeout), a.RevokeVaultKey,
		activities.RevokeInput{KeyID: keyID}).Get(b.detached, nil)
	b.state.KeysAlive = slices.DeleteFunc(b.state.KeysAlive, func(alive string) bool { return alive == keyID })
	if err != nil {
		b.state.KeysAlive = append(b.state.KeysAlive, keyID)
		workflow.GetLogger(b.detached).Error("the vault key could not be revoked; it lives until it expires",
			"key_id", keyID, "error", err)
	}
	return err == nil
}

// resolve reads from the ledger how the items ended that are counted as unknown.
//
// That a ledger has no call of an item proves something only if it has revoked
// the run's key. It is the run's own ledger then: another one, or an older copy,
// does not know the key. And no attempt that was cut off from its activity can
// still come through.
func (b *billing) resolve(revoked bool) {
	// A charge that used up its time without an effect was tried in vain. One that
	// was cut off, by the end of its batch or of the run, might have worked at the
	// next attempt: it was not really attempted, as where the key was revoked.
	doubt := noEffect{released: Failed, absent: Failed}
	lost := noEffect{released: NotAttempted, absent: NotAttempted}
	if b.stop == StopCanceled {
		doubt = lost
	}
	if !revoked || b.stop == activities.TypeKeyUnknown {
		doubt.absent, lost.absent = Unknown, Unknown
	}
	stillLost, stillInDoubt := b.resolveSet(b.state.Lost, lost), b.resolveSet(b.state.InDoubt, doubt)
	b.state.Lost, b.state.InDoubt = nil, nil
	b.state.Exceptions.Merge(Exceptions{Unknown: stillLost})
	b.state.Exceptions.Merge(Exceptions{Unknown: stillInDoubt})
}

// noEffect is how an item is counted that cost nothing and was not declined.
type noEffect struct {
	released Outcome // every send of it was without effect
	absent   Outcome // the ledger has no call of it at all
}

// resolveSet books each item of a set and returns those that stay unknown.
func (b *billing) resolveSet(open Ranges, none noEffect) Ranges {
	deadline := workflow.Now(b.detached).Add(lateCalls)
	for pause := time.Second; len(open) > 0; pause = min(2*pause, lookPause) {
		open = b.readOutcomes(open, none)
		left := deadline.Sub(workflow.Now(b.detached))
		if len(open) == 0 || left <= 0 || workflow.Sleep(b.detached, min(pause, left)) != nil {
			break
		}
	}
	return open
}

// readOutcomes stops at the first page that cannot be read, which was tried for
// long: as long again for each of the others could take days.
func (b *billing) readOutcomes(open Ranges, none noEffect) Ranges {
	var still Ranges
	readable := true
	for _, items := range open.Chunks(outcomePage) {
		var outcomes []activities.ItemOutcome
		if readable {
			outcomes, readable = b.readPage(items)
		}
		if !readable {
			for _, item := range items {
				still.Add(item, item+1)
			}
			continue
		}
		for _, found := range outcomes {
			outcome := fromLedger(found.State, none)
			if outcome == Unknown {
				still.Add(found.Item, found.Item+1)
				continue
			}
			b.rebook(found, outcome)
		}
	}
	return still
}

func (b *billing) readPage(items []int) ([]activities.ItemOutcome, bool) {
	var a *activities.Activities
	var read activities.OutcomesResult
	err := workflow.ExecuteActivity(controlOptions(b.detached, cleanUpTimeout), a.ReadOutcomes, activities.OutcomesInput{
		RootWorkflowID: b.workflowID, RunLabel: b.runLabel, KeyID: b.state.Key.KeyID, Items: items,
	}).Get(b.detached, &read)
	if err != nil || len(read.Outcomes) != len(items) {
		workflow.GetLogger(b.detached).Error("the ledger could not be read; the items from this one on stay unknown",
			"item", items[0], "error", err)
		return nil, false
	}
	return read.Outcomes, true
}

func (b *billing) rebook(found activities.ItemOutcome, outcome Outcome) {
	b.state.Tally.Count(Unknown, -1)
	b.state.Tally.Count(outcome, 1)
	if outcome == Charged {
		b.state.Tally.AddCharged(found.AmountUSD)
		return
	}
	var one Exceptions
	one.Of(outcome).Add(found.Item, found.Item+1)
	b.state.Exceptions.Merge(one)
}

func fromLedger(state activities.LedgerState, none noEffect) Outcome {
	switch state {
	case activities.LedgerCharged:
		return Charged
	case activities.LedgerDeclined:
		return Declined
	case activities.LedgerReleased:
		return none.released
	case activities.LedgerNone:
		return none.absent
	case activities.LedgerPending:
	}
	return Unknown
}

func (b *billing) spend(within time.Duration) (activities.Spend, error) {
	var a *activities.Activities
	var spend activities.Spend
	err := workflow.ExecuteActivity(controlOptions(b.detached, within), a.SpendReport,
		activities.ReportInput{RunLabel: b.runLabel, KeyID: b.state.Key.KeyID}).Get(b.detached, &spend)
	return spend, err
}

// lastSpend reads what the run has come to. A run that was reset may have charged
// more than it knows of.
func (b *billing) lastSpend() (activities.Spend, error) {
	if b.state.Key.KeyID == "" {
		return activities.Spend{}, nil
	}
	spend, err := b.spend(cleanUpTimeout)
	if err == nil && spend.Charged > b.state.Tally.Charged {
		b.state.Exceptions.Merge(Exceptions{Unknown: b.readUntried()})
	}
	return spend, err
}

func (b *billing) summary() Summary {
	spend, err := b.lastSpend()
	tally := b.state.Tally
	out := Summary{
		Plan:         b.in.Plan,
		Period:       b.in.Period,
		WorkflowID:   b.workflowID,
		RunLabel:     b.runLabel,
		KeyID:        b.state.Key.KeyID,
		KeyRevoked:   len(b.state.KeysAlive) == 0,
		Customers:    b.state.Pinned.Count,
		Charged:      tally.Charged,
		Declined:     tally.Declined,
		CapDenied:    tally.CapDenied,
		NotAttempted: tally.NotAttempted,
		Unknown:      tally.Unknown,
		Failed:       tally.Failed,
		Rejected:     tally.Rejected,
		CapUSD:       b.cap(),
		SettledUSD:   tally.ChargedUSD,
		StopReason:   b.stop,
		ListSHA256:   b.state.Pinned.SHA256,
		Exceptions:   b.state.Exceptions,
		Emails:       b.emails,
		Texts:        b.texts,
	}
	if b.state.Key.KeyID == "" {
		out.LedgerRead = true // nothing was approved: without a key nothing was spent
		return out
	}
	if err != nil {
		workflow.GetLogger(b.detached).Error("the ledger could not be read; the amounts are the run's own sum", "error", err)
		return out
	}
	out.LedgerRead = true
	if spend.CapUSD > 0 {
		out.CapUSD = spend.CapUSD
	}
	out.SettledUSD, out.CommittedUSD, out.UnknownUSD = spend.SettledUSD, spend.CommittedUSD, spend.UnknownUSD
	return out
}
