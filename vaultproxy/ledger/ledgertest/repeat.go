package ledgertest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func repeatTests() []test {
	return []test{
		{"L5_ACallThatExistsIsReturnedAndNotReservedAgain", repeatExists},
		{"L5_ACapDenialDoesNotUseTheCallUp", repeatAfterDenial},
		{"L5_ARefusalThatProvedNoEffectMayBeTriedAgain", repeatAfterRefusal},
		{"L5_ARefusalIsNotReopenedByAnotherRequest", repeatOtherRequest},
		{"L5_AReopenedCallIsGatedLikeANewOne", repeatGated},
		{"L5_AReopenedCallMayComeUnderAnotherKeyOfItsRun", repeatOtherKey},
		{"L5_ACallIsNotReopenedFromAnotherRun", repeatOtherRun},
		{"L6_TheVendorsKeyChangesOnlyAfterACompleteLookUp", repeatResendNumber},
		{"L5_WhatHadAnObjectIsNotSentAgainThoughReleased", repeatHadObject},
	}
}

func repeatExists(b *bundle) {
	k := b.issue(nil)
	for _, state := range []ledger.State{ledger.Dispatched, ledger.Unknown, ledger.Committed, ledger.Settled} {
		id := string(state)
		b.callIn(k, id, state, dollars(1))
		before := b.budget(k, "key/total")
		require.Equal(b.t, b.recall(id), b.exists(ask(k, id, dollars(1))))
		other := ask(k, id, dollars(1))
		other.Digest[0]++
		require.Equal(b.t, state, b.exists(other).State)
		require.Equal(b.t, before, b.budget(k, "key/total"))
	}
	b.reserve(ask(k, "declined", dollars(1)))
	b.resolve(ledger.Resolution{
		Seq: b.seq("declined"), Outcome: ledger.OutcomeReleased, Declined: true, Answered: true, AnswerStatus: 402, Answer: []byte("no"),
	})
	c := b.exists(ask(k, "declined", dollars(1)))
	require.Equal(b.t, ledger.Released, c.State)
	require.True(b.t, c.Declined)
	require.Equal(b.t, 402, c.AnswerStatus)
}

func repeatAfterDenial(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "in the way", dollars(100)))
	r := ask(k, "c", dollars(1))
	_ = b.denied(r)
	b.outcome("in the way", ledger.OutcomeRefused)
	r.Digest[0]++ // nothing was stored that a changed request could be compared with
	b.reserve(r)
}

func repeatAfterRefusal(b *bundle) {
	k := b.issue(nil)
	r := ask(k, "c", dollars(5))
	first := b.reserve(r).Call
	b.outcome("c", ledger.OutcomeRefused)
	b.holds(k, "key/total", counters{})
	b.clock.Advance(time.Minute)
	r.Item, r.WorkflowID = "18", "wf2"
	require.Equal(b.t, ledger.Released, b.exists(r).State, "it would be stamped with another item, under the same vendor key")
	r.Item = first.Item
	again := b.reserve(r).Call
	require.Equal(b.t, again, b.recall("c"))
	require.Equal(b.t, ledger.Dispatched, again.State)
	require.Equal(b.t, first.Seq, again.Seq)
	require.Equal(b.t, first.CreatedAt, again.CreatedAt)
	require.Equal(b.t, 2, again.Sends)
	require.Equal(b.t, 1, again.Unproven)
	require.Equal(b.t, b.clock.Now(), again.FirstSentAt, "the first send is proved without effect")
	require.Equal(b.t, b.clock.Now(), again.LastSentAt)
	require.Zero(b.t, again.FinalAt)
	require.Empty(b.t, again.Reason)
	require.Equal(b.t, "17", again.Item)
	b.holds(k, "key/total", counters{inFlight: dollars(5)})
	b.settle("c", dollars(5))
	b.holds(k, "key/total", counters{settled: dollars(5)})
}

func repeatOtherRequest(b *bundle) {
	k := b.issue(nil)
	r := ask(k, "c", dollars(5))
	b.reserve(r)
	b.outcome("c", ledger.OutcomeRefused)
	r.Digest[0]++
	require.Equal(b.t, ledger.Released, b.exists(r).State)
	b.holds(k, "key/total", counters{})
}

func repeatGated(b *bundle) {
	k := b.issue(nil)
	r := ask(k, "c", dollars(60))
	b.reserve(r)
	b.outcome("c", ledger.OutcomeRefused)
	b.callIn(k, "meanwhile", ledger.Settled, dollars(50))
	require.Equal(b.t, ledger.CapExhausted, b.denied(r).Reason)
	require.Equal(b.t, ledger.Released, b.recall("c").State)
	_, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, ledger.KeyRevoked, b.denied(r).Reason)
}

func repeatOtherKey(b *bundle) {
	first := b.capped(ledger.Terms{TotalCap: limit(10), RunCap: limit(100)})
	second := b.sameRun("second", ledger.Terms{TotalCap: limit(10)})
	r := ask(first, "c", dollars(5))
	b.reserve(r)
	b.outcome("c", ledger.OutcomeRefused)
	r.KeyID = second.ID
	require.Equal(b.t, second.ID, b.reserve(r).Call.KeyID)
	b.holds(first, "key/total", counters{})
	b.holds(second, "key/total", counters{inFlight: dollars(5)})
	b.holds(first, "run/total", counters{inFlight: dollars(5)})
	b.settle("c", dollars(5))
	b.holds(second, "key/total", counters{settled: dollars(5)})
}

func repeatOtherRun(b *bundle) {
	k := b.issue(nil)
	elsewhere := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key_2", "issue_2", "another run" })
	r := ask(k, "c", dollars(5))
	b.reserve(r)
	b.outcome("c", ledger.OutcomeRefused)
	before := b.recall("c")
	theirs := r
	theirs.CallID, theirs.KeyID = "theirs", elsewhere.ID
	require.NotEqual(b.t, before.Seq, b.reserve(theirs).Call.Seq, "the same idempotency key is another call in another run")
	require.Equal(b.t, before, b.recall("c"))
	b.holds(k, "run/total", counters{})
	b.holds(elsewhere, "run/total", counters{inFlight: dollars(5)})
}

func repeatResendNumber(b *bundle) {
	k := b.issue(nil)
	r := ask(k, "c", dollars(5))
	b.reserve(r)
	b.outcome("c", ledger.OutcomeRefused)
	require.Zero(b.t, b.reserve(r).Call.Resend, "a refusal leaves the vendor's key as it was")
	b.outcome("c", ledger.OutcomeUnknown)
	c := b.outcome("c", ledger.OutcomeNoEffect)
	require.Equal(b.t, ledger.Released, c.State)
	require.Equal(b.t, 1, c.Resend)
	again := b.reserve(r).Call
	require.Equal(b.t, 1, again.Resend)
	require.Equal(b.t, 3, again.Sends)
	require.Equal(b.t, again, b.recall("c"))
}

func repeatHadObject(b *bundle) {
	k := b.issue(nil)
	// Found by a look-up: the effect is certain and there is no answer to replay.
	unanswered := func(id, object string) {
		b.reserve(ask(k, id, dollars(5)))
		b.resolve(ledger.Resolution{Seq: b.seq(id), Outcome: ledger.OutcomeCommitted, Object: object})
	}
	unanswered("captured", "pi_1")
	b.reserve(b.capture(k, "capture", "captured", "pi_1", dollars(5)))
	b.settle("capture", dollars(5))
	unanswered("cancelled", "pi_2")
	b.reserve(ask(k, "cancel", 0))
	b.resolve(ledger.Resolution{Seq: b.seq("cancel"), Outcome: ledger.OutcomeSettled, Frees: "pi_2"})
	for _, id := range []string{"captured", "cancelled"} {
		require.Equal(b.t, ledger.Released, b.exists(ask(k, id, dollars(5))).State)
	}
}
