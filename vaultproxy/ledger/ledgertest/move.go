package ledgertest

import (
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func moveTests() []test {
	return []test{
		{"AnAnswerIsKeptWithTheMoveThatBringsIt", moveAnswer},
		{"ACommittedCallSettlesForLess", moveSettlesForLess},
		{"ACommittedCallThatIsReleasedGivesItsHoldBack", moveReleases},
		{"OnlyAReleasedCallIsDeclined", moveDeclined},
		{"FreeingAnObjectEndsTheCommittedHoldOnIt", moveFrees},
		{"FreeingTouchesOnlyACommittedHold", moveFreesOnlyCommitted},
	}
}

func moveAnswer(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "c", dollars(5)))
	b.outcome("c", ledger.OutcomeUnknown)
	require.False(b.t, b.recall("c").Answered)
	b.commit("c", "pi_1")
	// What follows the object later has no answer for the caller: the first stays.
	b.resolve(ledger.Resolution{Seq: b.seq("c"), Outcome: ledger.OutcomeSettled, Amount: dollars(5)})
	c := b.recall("c")
	require.True(b.t, c.Answered)
	require.Equal(b.t, 200, c.AnswerStatus)
	require.Equal(b.t, []byte("sealed answer"), c.Answer)
	require.Equal(b.t, "pi_1", c.Object)
}

func moveSettlesForLess(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Committed, dollars(60))
	b.holds(k, "key/total", counters{committed: dollars(60)})
	c := b.settle("c", dollars(20))
	require.Equal(b.t, dollars(20), c.Amount)
	require.Equal(b.t, dollars(60), c.Hold)
	b.holds(k, "key/total", counters{settled: dollars(20)})
	b.reserve(ask(k, "room", dollars(80)))
}

func moveReleases(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Committed, dollars(60))
	b.outcome("c", ledger.OutcomeReleased)
	b.holds(k, "key/total", counters{})
	_, err := b.store.Booking(b.ctx, vendorName, "obj_c")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func moveDeclined(b *bundle) {
	k := b.issue(nil)
	for outcome, want := range map[ledger.Outcome]bool{
		ledger.OutcomeReleased: true, ledger.OutcomeSettled: false, ledger.OutcomeCommitted: false, ledger.OutcomeUnknown: false,
	} {
		b.reserve(ask(k, string(outcome), dollars(1)))
		c := b.resolve(ledger.Resolution{Seq: b.seq(string(outcome)), Outcome: outcome, Declined: true})
		require.Equal(b.t, want, c.Declined, outcome)
	}
}

func moveFrees(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "create", ledger.Committed, dollars(60))
	b.reserve(ask(k, "cancel", 0))
	b.resolve(ledger.Resolution{Seq: b.seq("cancel"), Outcome: ledger.OutcomeSettled, Reason: "canceled", Frees: "obj_create"})
	c := b.recall("create")
	require.Equal(b.t, ledger.Released, c.State)
	require.Equal(b.t, "canceled", c.Reason)
	require.True(b.t, c.Answered, "the creation's answer is still replayed")
	b.holds(k, "key/total", counters{})
}

func moveFreesOnlyCommitted(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "create", ledger.Committed, dollars(60))
	b.settle("create", dollars(60))
	b.callIn(k, "other", ledger.Committed, dollars(10))
	b.reserve(b.capture(k, "capture", "other", "obj_other", dollars(10)))
	b.reserve(ask(k, "cancel", 0))
	for _, object := range []string{"obj_create", "obj_other", "obj_nobody"} {
		_, _, err := b.store.Resolve(b.ctx, ledger.Resolution{Seq: b.seq("cancel"), Outcome: ledger.OutcomeSettled, Frees: object})
		require.NoError(b.t, err)
	}
	b.holds(k, "key/total", counters{settled: dollars(60), inFlight: dollars(10)})
}
