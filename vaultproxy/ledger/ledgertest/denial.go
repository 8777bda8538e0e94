package ledgertest

import (
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func denialTests() []test {
	return []test{
		{"L8_ExhaustedIsSaidOnlyWhenNothingInFlightCouldMakeRoom", denialReasons},
		{"L8_ExhaustedOnOneBudgetGoesBeforeContendedOnAnother", denialExhaustedFirst},
		{"L8_ContendedPassesWhenRoomIsGivenBack", denialPasses},
		{"L8_ADenialTellsTheBudgetAsItStood", denialTells},
	}
}

func denialReasons(b *bundle) {
	// Of a cap of $100, this much is in each state when $40 more is asked for.
	cases := map[string]struct {
		settled, committed, unknown, inFlight int64
		want                                  ledger.DenialReason
	}{
		"settled alone leaves no room":                 {settled: 61, want: ledger.CapExhausted},
		"committed alone leaves no room":               {committed: 61, want: ledger.CapExhausted},
		"unknown alone leaves no room":                 {unknown: 61, want: ledger.CapExhausted},
		"the three together leave no room":             {settled: 20, committed: 20, unknown: 21, want: ledger.CapExhausted},
		"no room either way is exhausted":              {settled: 61, inFlight: 39, want: ledger.CapExhausted},
		"only what is in flight stands in the way":     {inFlight: 61, want: ledger.CapContended},
		"in flight tips it over":                       {settled: 30, committed: 10, unknown: 20, inFlight: 1, want: ledger.CapContended},
		"it would fit to the cent without the flights": {settled: 60, inFlight: 40, want: ledger.CapContended},
		"it fits to the cent":                          {settled: 20, committed: 10, unknown: 20, inFlight: 10},
	}
	for name, c := range cases {
		k := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key "+name, name, name })
		for state, amount := range map[ledger.State]int64{
			ledger.Settled: c.settled, ledger.Committed: c.committed, ledger.Unknown: c.unknown, ledger.Dispatched: c.inFlight,
		} {
			b.callIn(k, name+string(state), state, dollars(amount))
		}
		_, err := b.store.Reserve(b.ctx, ask(k, name, dollars(40)))
		if c.want == "" {
			require.NoError(b.t, err, name)
			continue
		}
		var d *ledger.Denial
		require.ErrorAs(b.t, err, &d, name)
		require.Equal(b.t, c.want, d.Reason, name)
	}
}

// callIn brings a call into a state, holding or having settled an amount.
func (b *bundle) callIn(k ledger.Key, id string, state ledger.State, amount money.USD) ledger.Call {
	b.t.Helper()
	c := b.reserve(ask(k, id, amount)).Call
	switch state {
	case ledger.Settled:
		return b.settle(id, amount)
	case ledger.Committed:
		return b.commit(id, "obj_"+id)
	case ledger.Unknown:
		return b.outcome(id, ledger.OutcomeUnknown)
	case ledger.Released:
		return b.outcome(id, ledger.OutcomeRefused)
	default:
		return c
	}
}

func denialExhaustedFirst(b *bundle) {
	first := b.capped(ledger.Terms{TotalCap: limit(10), RunCap: limit(20)})
	second := b.sameRun("second", ledger.Terms{TotalCap: limit(19)})
	b.callIn(first, "in flight", ledger.Dispatched, dollars(1))
	b.callIn(second, "settled", ledger.Settled, dollars(18))
	require.Equal(b.t, ledger.CapContended, b.denied(ask(first, "a", dollars(2))).Reason, "the run has 1 in flight and 1 free")
	// On the key's budget this waits for what is in flight; on the run's it can never pass.
	d := b.denied(ask(first, "b", dollars(10)))
	require.Equal(b.t, ledger.CapExhausted, d.Reason)
	require.Equal(b.t, "run/total", d.Kind)
}

func denialPasses(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "first", dollars(100)))
	r := ask(k, "second", dollars(30))
	require.Equal(b.t, ledger.CapContended, b.denied(r).Reason)
	b.settle("first", dollars(70))
	b.reserve(r)
}

func denialTells(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "settled", ledger.Settled, dollars(1))
	b.callIn(k, "committed", ledger.Committed, dollars(2))
	b.callIn(k, "unknown", ledger.Unknown, dollars(3))
	b.callIn(k, "in flight", ledger.Dispatched, dollars(4))
	d := b.denied(ask(k, "c", dollars(95)))
	require.Equal(b.t, ledger.CapExhausted, d.Reason)
	require.Equal(b.t, counters{dollars(1), dollars(4), dollars(2), dollars(3)}, countersOf(d.Budget))
	require.Equal(b.t, dollars(90), d.Budget.Remaining())
	require.Zero(b.t, d.ResetsAt)
	require.Equal(b.t, "cap_exhausted: 95.00 does not fit key/total budget of 100.00", d.Error())
}
