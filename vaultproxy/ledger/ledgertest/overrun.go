package ledgertest

import (
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func overrunTests() []test {
	return []test{
		{"L10_APriceAboveItsHoldIsBookedInFull", overrunInFull},
		{"L10_PastTheCapTheBudgetIsClosed", overrunCloses},
		{"L10_WithinTheCapTheBudgetStaysOpen", overrunWithin},
		{"L10_APromiseAboveTheHoldIsHeldInFull", overrunPromise},
		{"L10_AnOverrunOfOneCallLiftsTheCapForNoOther", overrunLiftsNothing},
	}
}

func overrunInFull(b *bundle) {
	k := b.capped(ledger.Terms{DailyCap: limit(20), TotalCap: limit(30), RunCap: limit(40)})
	b.reserve(ask(k, "c", dollars(10)))
	c := b.settle("c", dollars(13))
	require.Equal(b.t, dollars(13), c.Amount)
	require.Equal(b.t, "overrun:succeeded", c.Reason)
	for _, kind := range []string{"key/day", "key/total", "run/total"} {
		row := b.budget(k, kind)
		require.Equal(b.t, dollars(13), row.Settled, kind)
		require.Equal(b.t, dollars(3), row.Overrun, kind)
	}
	rows, err := b.store.Audit(b.ctx, ledger.AuditFilter{Verdict: string(ledger.Settled)})
	require.NoError(b.t, err)
	require.Len(b.t, rows, 1)
	require.Equal(b.t, "overrun:succeeded", rows[0].Code)
	require.Equal(b.t, dollars(13), rows[0].Amount)
}

func overrunCloses(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "c", dollars(10)))
	b.settle("c", dollars(13))
	row := b.budget(k, "key/total")
	require.Equal(b.t, dollars(13), row.Settled)
	require.Equal(b.t, dollars(10), row.Cap)
	require.Zero(b.t, row.Remaining())
	require.Equal(b.t, ledger.CapExhausted, b.denied(ask(k, "d", 1)).Reason)
}

func overrunWithin(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(20)})
	b.reserve(ask(k, "c", dollars(10)))
	b.settle("c", dollars(13))
	require.Equal(b.t, ledger.CapExhausted, b.denied(ask(k, "d", dollars(7)+1)).Reason)
	b.reserve(ask(k, "d", dollars(7)))
}

func overrunPromise(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "c", dollars(10)))
	c := b.resolve(ledger.Resolution{
		Seq: b.seq("c"), Outcome: ledger.OutcomeCommitted, Amount: dollars(12), Object: "pi_1", Reason: "processing",
	})
	require.Equal(b.t, dollars(12), c.Hold)
	require.Equal(b.t, "overrun:processing", c.Reason)
	b.holds(k, "key/total", counters{committed: dollars(12)})
	require.Equal(b.t, dollars(2), b.budget(k, "key/total").Overrun)

	c = b.resolve(ledger.Resolution{Seq: b.seq("c"), Outcome: ledger.OutcomeCommitted, Amount: dollars(1)})
	require.Equal(b.t, dollars(12), c.Hold, "what was promised falls only when it is final")
	b.settle("c", dollars(9))
	b.holds(k, "key/total", counters{settled: dollars(9)})
	b.reserve(ask(k, "room", dollars(1)))
}

func overrunLiftsNothing(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "a", dollars(5)))
	b.reserve(ask(k, "b", dollars(5)))
	b.settle("a", dollars(8))
	b.holds(k, "key/total", counters{settled: dollars(8), inFlight: dollars(5)})
	b.outcome("b", ledger.OutcomeRefused)
	require.NotNil(b.t, b.denied(ask(k, "c", dollars(3))), "13 was used once, and the cap is still 10")
	b.reserve(ask(k, "d", dollars(2)))
}
