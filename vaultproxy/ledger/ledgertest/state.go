package ledgertest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func stateTests() []test {
	return []test{
		{"L4_EveryOutcomeMovesEveryStateAsTheRulesSay", stateMachine},
		{"L4_NoHoldEndsByTimeAlone", stateTime},
		{"L4_ARefusalSpeaksForOneSendOnly", stateOneSend},
		{"L4_AnEmptyLookUpSpeaksForEverySend", stateEmptyLookUp},
		{"L4_AFinalCallStaysAsItIs", stateFinal},
	}
}

func stateMachine(b *bundle) {
	const none = ledger.State("") // moves nothing
	outcomes := []ledger.Outcome{
		ledger.OutcomeSettled, ledger.OutcomeCommitted, ledger.OutcomeReleased, ledger.OutcomeRefused,
		ledger.OutcomeNoEffect, ledger.OutcomeUnknown,
	}
	table := map[ledger.State][6]ledger.State{
		ledger.Dispatched: {
			ledger.Settled, ledger.Committed, ledger.Released, ledger.Released, ledger.Released, ledger.Unknown,
		},
		ledger.Unknown: {
			ledger.Settled, ledger.Committed, ledger.Released, ledger.Released, ledger.Released, ledger.Unknown,
		},
		ledger.Committed: {ledger.Settled, ledger.Committed, ledger.Released, none, none, none},
		ledger.Settled:   {none, none, none, none, none, none},
		ledger.Released:  {none, none, none, none, none, none},
	}
	for from, row := range table {
		for i, to := range row {
			outcome := outcomes[i]
			name := string(from) + " and then " + string(outcome)
			k := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key "+name, name, name })
			before := b.callIn(k, name, from, dollars(10))
			held := b.budget(k, "key/total")
			b.clock.Advance(time.Second)
			c, moved, err := b.store.Resolve(b.ctx, ledger.Resolution{
				Seq: b.seq(name), Outcome: outcome, Amount: dollars(7), Reason: "told",
			})
			require.NoError(b.t, err, name)
			require.Equal(b.t, b.recall(name), c, name)
			if to == none {
				require.False(b.t, moved, name)
				require.Equal(b.t, before, c, name)
				require.Equal(b.t, held, b.budget(k, "key/total"), name)
				continue
			}
			require.True(b.t, moved, name)
			require.Equal(b.t, to, c.State, name)
			require.Equal(b.t, "told", c.Reason, name)
			require.Equal(b.t, to.Final(), !c.FinalAt.IsZero(), name)
			require.Equal(b.t, to.Final(), c.Request == nil, "the request goes when nothing will be sent: %s", name)
			require.Equal(b.t, map[ledger.State]counters{
				ledger.Settled:   {settled: dollars(7)},
				ledger.Committed: {committed: dollars(10)},
				ledger.Unknown:   {unknown: dollars(10)},
				ledger.Released:  {},
			}[to], countersOf(b.budget(k, "key/total")), name)
		}
	}
}

func stateTime(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "in flight", ledger.Dispatched, dollars(1))
	b.callIn(k, "in doubt", ledger.Unknown, dollars(2))
	b.callIn(k, "committed", ledger.Committed, dollars(3))
	b.clock.Advance(10 * 365 * 24 * time.Hour)
	b.callIn(b.issue(func(s *ledger.KeySpec) { s.KeyID = "key_2" }), "ten years on", ledger.Settled, dollars(4))
	b.holds(k, "key/total", counters{settled: dollars(4), inFlight: dollars(1), committed: dollars(3), unknown: dollars(2)})
}

func stateOneSend(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Unknown, dollars(5))
	require.Equal(b.t, 2, b.claimAndResend("c").Unproven)
	// The vendor refuses the second send; the first may have had its effect.
	c := b.outcome("c", ledger.OutcomeRefused)
	require.Equal(b.t, ledger.Unknown, c.State)
	require.Equal(b.t, 1, c.Unproven)
	b.holds(k, "key/total", counters{unknown: dollars(5)})
	c = b.outcome("c", ledger.OutcomeRefused)
	require.Equal(b.t, ledger.Released, c.State)
	b.holds(k, "key/total", counters{})
}

func stateEmptyLookUp(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Unknown, dollars(5))
	b.claimAndResend("c")
	c := b.outcome("c", ledger.OutcomeNoEffect)
	require.Equal(b.t, ledger.Released, c.State)
	require.Zero(b.t, c.Unproven)
	b.holds(k, "key/total", counters{})
}

func stateFinal(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "c", dollars(5)))
	first := b.settle("c", dollars(4))
	b.clock.Advance(time.Minute)
	c, moved, err := b.store.Resolve(b.ctx, ledger.Resolution{
		Seq: b.seq("c"), Outcome: ledger.OutcomeSettled, Amount: dollars(5), Reason: "again", Object: "ch_2",
		Answered: true, AnswerStatus: 500, Answer: []byte("another"),
	})
	require.NoError(b.t, err)
	require.False(b.t, moved)
	require.Equal(b.t, first, c)
	require.Equal(b.t, first, b.recall("c"))
	_, _, err = b.store.Resolve(b.ctx, ledger.Resolution{Seq: b.seq("nobody's"), Outcome: ledger.OutcomeSettled})
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}
