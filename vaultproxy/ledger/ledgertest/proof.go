package ledgertest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func proofTests() []test {
	return []test{
		{"L4_ARefusalToldTwiceCountsForOneSend", refusedTwice},
		{"L4_AVerdictThatKnowsNothingOfALaterSendMovesNothing", refusedLate},
		{"L11_OneAtATimeProvesACall", proofClaims},
		{"L11_OnlyCallsInDoubtOrCommittedAreClaimed", proofClaimable},
		{"L11_AResendNeedsALiveClaim", proofResendClaim},
		{"L11_AResendNeedsALiveKeyAndAnOpenRun", proofResendKey},
		{"L11_AResendEndsWithTheWindowOfTheFirstSend", proofResendWindow},
		{"L11_AResendIsRecordedBeforeItIsSent", proofResendRecorded},
		{"L11_OnlyACallInDoubtIsSentAgain", proofResendState},
		{"DueListsWhatIsToBeLookedAtOldestFirst", proofDue},
		{"DueGivesUnknownAndCommittedCallsEachHalfOfARound", proofDueShares},
		{"AMoveGivesTheClaimBack", proofMoveUnclaims},
	}
}

func proofClaims(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Unknown, dollars(1))
	c, err := b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.NoError(b.t, err)
	require.Equal(b.t, 1, c.Checks)
	require.Equal(b.t, []byte("sealed request"), c.Request)
	_, err = b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.ErrorIs(b.t, err, ledger.ErrClaimed)
	b.clock.Advance(time.Minute - time.Microsecond)
	_, err = b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.ErrorIs(b.t, err, ledger.ErrClaimed)
	b.clock.Advance(time.Microsecond)
	c, err = b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.NoError(b.t, err, "the lease is over")
	require.Equal(b.t, 2, c.Checks)
	require.NoError(b.t, b.store.Unclaim(b.ctx, b.seq("c"), 0))
	_, err = b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.NoError(b.t, err)
}

func proofClaimable(b *bundle) {
	k := b.issue(nil)
	for state, want := range map[ledger.State]error{
		ledger.Dispatched: ledger.ErrClaimed, ledger.Settled: ledger.ErrClaimed, ledger.Released: ledger.ErrClaimed,
		ledger.Unknown: nil, ledger.Committed: nil,
	} {
		b.callIn(k, string(state), state, dollars(1))
		_, err := b.store.Claim(b.ctx, b.seq(string(state)), time.Minute)
		require.ErrorIs(b.t, err, want, state)
	}
	_, err := b.store.Claim(b.ctx, b.seq("nobody's"), time.Minute)
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func proofResendClaim(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Unknown, dollars(1))
	_, err := b.store.Resend(b.ctx, b.seq("c"), time.Hour)
	require.ErrorIs(b.t, err, ledger.ErrClaimed)
	_, err = b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.NoError(b.t, err)
	b.clock.Advance(time.Minute)
	_, err = b.store.Resend(b.ctx, b.seq("c"), time.Hour)
	require.ErrorIs(b.t, err, ledger.ErrClaimed, "another may have begun to prove it")
	require.Equal(b.t, 1, b.recall("c").Sends)
}

func proofResendKey(b *bundle) {
	cases := map[string]struct {
		end  func(ledger.Key)
		want ledger.DenialReason
	}{
		"its key is revoked": {func(k ledger.Key) { _, _ = b.store.RevokeKey(b.ctx, k.ID) }, ledger.KeyRevoked},
		"its run is closed":  {func(k ledger.Key) { _, _ = b.store.CloseRun(b.ctx, "", k.Run) }, ledger.KeyRevoked},
		"its key is expired": {func(k ledger.Key) { b.clock.Set(k.ExpiresAt) }, ledger.KeyExpired},
	}
	for name, c := range cases {
		k := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key "+name, name, name })
		b.callIn(k, name, ledger.Unknown, dollars(1))
		c.end(k)
		_, err := b.store.Claim(b.ctx, b.seq(name), time.Minute)
		require.NoError(b.t, err, "looking up stays allowed: %s", name)
		_, err = b.store.Resend(b.ctx, b.seq(name), 23*time.Hour)
		var d *ledger.Denial
		require.ErrorAs(b.t, err, &d, name)
		require.Equal(b.t, c.want, d.Reason, name)
		require.Equal(b.t, 1, b.recall(name).Sends, name)
	}
}

func proofResendWindow(b *bundle) {
	k := b.issue(func(s *ledger.KeySpec) { s.ExpiresIn = 100 * time.Hour })
	const window = 23 * time.Hour
	b.callIn(k, "c", ledger.Unknown, dollars(1))
	b.clock.Advance(window - time.Microsecond)
	_, err := b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.NoError(b.t, err)
	c, err := b.store.Resend(b.ctx, b.seq("c"), window)
	require.NoError(b.t, err)
	require.NotEqual(b.t, c.FirstSentAt, c.LastSentAt)
	b.clock.Advance(time.Microsecond) // counted from the first send, not from the last
	_, err = b.store.Resend(b.ctx, b.seq("c"), window)
	require.ErrorIs(b.t, err, ledger.ErrWindowClosed)

	bare := ask(k, "without its request", dollars(1))
	bare.Request = nil
	b.reserve(bare)
	b.outcome(bare.CallID, ledger.OutcomeUnknown)
	_, err = b.store.Claim(b.ctx, b.seq(bare.CallID), time.Minute)
	require.NoError(b.t, err)
	_, err = b.store.Resend(b.ctx, b.seq(bare.CallID), window)
	require.ErrorIs(b.t, err, ledger.ErrWindowClosed, "there is nothing to send")
}

func proofResendRecorded(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Unknown, dollars(1))
	b.clock.Advance(time.Minute)
	c := b.claimAndResend("c")
	require.Equal(b.t, ledger.Unknown, c.State)
	require.Equal(b.t, 2, c.Sends)
	require.Equal(b.t, 2, c.Unproven)
	require.Zero(b.t, c.Resend, "the same vendor key again")
	require.Equal(b.t, b.clock.Now(), c.LastSentAt)
	require.Equal(b.t, c, b.recall("c"))
	b.holds(k, "key/total", counters{unknown: dollars(1)})
}

func proofResendState(b *bundle) {
	k := b.issue(nil)
	for _, state := range []ledger.State{ledger.Dispatched, ledger.Settled, ledger.Released, ledger.Committed} {
		b.callIn(k, string(state), state, dollars(1))
		_, err := b.store.Resend(b.ctx, b.seq(string(state)), time.Hour)
		var e *ledger.Exists
		require.ErrorAs(b.t, err, &e, state)
		require.Equal(b.t, state, e.Call.State)
	}
	_, err := b.store.Resend(b.ctx, b.seq("nobody's"), time.Hour)
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func (b *bundle) due(limit int) []string {
	b.t.Helper()
	calls, err := b.store.Due(b.ctx, limit)
	require.NoError(b.t, err)
	ids := []string{}
	for _, c := range calls {
		ids = append(ids, c.ID)
	}
	return ids
}

func proofDue(b *bundle) {
	k := b.issue(nil)
	check := func(id string, outcome ledger.Outcome, next time.Duration) {
		b.reserve(ask(k, id, dollars(1)))
		b.resolve(ledger.Resolution{Seq: b.seq(id), Outcome: outcome, NextCheck: next})
	}
	check("in three minutes", ledger.OutcomeUnknown, 3*time.Minute)
	check("in one minute", ledger.OutcomeCommitted, time.Minute)
	check("in two minutes", ledger.OutcomeUnknown, 2*time.Minute)
	check("final", ledger.OutcomeSettled, 0)
	b.callIn(k, "in flight", ledger.Dispatched, dollars(1))

	require.Empty(b.t, b.due(10))
	b.clock.Advance(2 * time.Minute)
	require.Equal(b.t, []string{"in two minutes", "in one minute"}, b.due(10), "what is in doubt goes first")
	require.Equal(b.t, []string{"in two minutes"}, b.due(1))
	_, err := b.store.Claim(b.ctx, b.seq("in one minute"), 10*time.Second)
	require.NoError(b.t, err)
	require.Equal(b.t, []string{"in two minutes"}, b.due(10))
	require.NoError(b.t, b.store.Unclaim(b.ctx, b.seq("in one minute"), time.Minute))
	b.clock.Advance(time.Minute)
	require.Equal(b.t, []string{"in two minutes", "in three minutes", "in one minute"}, b.due(10))
}

// Neither a flood of payments to be followed nor one of lost answers keeps the
// other from being looked at.
func proofDueShares(b *bundle) {
	k := b.issue(nil)
	for _, outcome := range []ledger.Outcome{ledger.OutcomeCommitted, ledger.OutcomeUnknown} {
		for i := range 6 {
			id := numbered(string(outcome), i)
			b.reserve(ask(k, id, dollars(1)))
			b.resolve(ledger.Resolution{Seq: b.seq(id), Outcome: outcome, NextCheck: time.Duration(i) * time.Second})
		}
		b.clock.Advance(time.Minute)
	}
	count := func(ids []string) (unknown int) {
		for _, id := range ids {
			if b.recall(id).State == ledger.Unknown {
				unknown++
			}
		}
		return unknown
	}
	due := b.due(4)
	require.Equal(b.t, []string{numbered("unknown", 0), numbered("unknown", 1), numbered("committed", 0), numbered("committed", 1)}, due)
	require.Len(b.t, b.due(5), 5)
	require.Equal(b.t, 3, count(b.due(5)))
	require.Len(b.t, b.due(20), 12)
	for i := range 5 {
		b.settle(numbered("unknown", i), dollars(1))
	}
	require.Len(b.t, b.due(4), 4, "what one of them does not need, the other one has")
	require.Equal(b.t, 1, count(b.due(4)))
}

func proofMoveUnclaims(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Unknown, dollars(1))
	_, err := b.store.Claim(b.ctx, b.seq("c"), time.Hour)
	require.NoError(b.t, err)
	b.outcome("c", ledger.OutcomeUnknown)
	_, err = b.store.Claim(b.ctx, b.seq("c"), time.Hour)
	require.NoError(b.t, err)
}

// A verdict is stored again when its commit was made but its answer got lost.
func refusedTwice(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "c", dollars(1)))
	b.outcome("c", ledger.OutcomeUnknown)
	seen := b.claimAndResend("c")
	told := ledger.Resolution{Seq: b.seq("c"), Seen: &seen, Outcome: ledger.OutcomeRefused}
	require.Equal(b.t, ledger.Unknown, b.resolve(told).State, "the first send is not proved")
	c, moved, err := b.store.Resolve(b.ctx, told)
	require.NoError(b.t, err)
	require.False(b.t, moved)
	require.Equal(b.t, ledger.Unknown, c.State)
	require.Equal(b.t, 1, c.Unproven)
}

func refusedLate(b *bundle) {
	k := b.issue(nil)
	for _, outcome := range []ledger.Outcome{ledger.OutcomeRefused, ledger.OutcomeNoEffect, ledger.OutcomeUnknown} {
		id := "c " + string(outcome)
		seen := b.reserve(ask(k, id, dollars(1))).Call
		b.outcome(id, ledger.OutcomeUnknown)
		b.claimAndResend(id)
		before := b.recall(id)
		_, moved, err := b.store.Resolve(b.ctx, ledger.Resolution{Seq: b.seq(id), Seen: &seen, Outcome: outcome})
		require.NoError(b.t, err)
		require.False(b.t, moved)
		require.Equal(b.t, before, b.recall(id))
	}
}
