package ledgertest

import (
	"crypto/sha256"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func reserveTests() []test {
	return []test{
		{"L1_TheCapIsReachedToTheMicroAndNotPassed", reserveToTheMicro},
		{"L1_EachBudgetAloneCanRefuse", reserveEachBudget},
		{"L1_WhatOneBudgetRefusesIsBookedOnNone", reserveBooksOnNone},
		{"L1_TwoKeysOfARunShareItsCap", reserveSharedRun},
		{"L2_AReservationIsBookedOnEveryBudgetOfItsKey", reserveBooksAll},
		{"L3_AGrantedReservationCanBeReadAtOnce", reserveReads},
		{"L12_AmountsDoNotWrapAround", reserveOverflow},
		{"L12_ANegativePriceIsRefused", reserveNegative},
		{"AFreeCallPassesAFullBudget", reserveFree},
	}
}

func reserveToTheMicro(b *bundle) {
	k := b.issue(nil)
	out := b.reserve(ask(k, "nearly all", dollars(100)-money.Micro))
	require.Equal(b.t, money.Micro, out.Remaining)
	require.NotNil(b.t, b.denied(ask(k, "two micro too many", 2*money.Micro)))
	out = b.reserve(ask(k, "the last micro", money.Micro))
	require.Zero(b.t, out.Remaining)
	require.NotNil(b.t, b.denied(ask(k, "one micro too many", money.Micro)))
	b.holds(k, "key/total", counters{inFlight: dollars(100)})
}

func reserveEachBudget(b *bundle) {
	cases := map[string]struct {
		terms ledger.Terms
		kind  string
		limit money.USD
	}{
		"the day's":  {ledger.Terms{DailyCap: limit(10), TotalCap: limit(20), RunCap: limit(30)}, "key/day", dollars(10)},
		"the total":  {ledger.Terms{DailyCap: limit(20), TotalCap: limit(10), RunCap: limit(30)}, "key/total", dollars(10)},
		"the run's":  {ledger.Terms{DailyCap: limit(30), TotalCap: limit(20), RunCap: limit(10)}, "run/total", dollars(10)},
		"per call":   {ledger.Terms{TotalCap: limit(20), PerCallCap: limit(10)}, "per_call", dollars(10)},
		"only total": {ledger.Terms{TotalCap: limit(10)}, "key/total", dollars(10)},
	}
	for name, c := range cases {
		k := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run, s.Terms = "key "+name, name, name, c.terms })
		d := b.denied(ask(k, name, dollars(10)+1))
		require.Equal(b.t, ledger.CapExhausted, d.Reason, name)
		require.Equal(b.t, c.kind, d.Kind, name)
		require.Equal(b.t, c.limit, d.Budget.Cap, name)
		require.Equal(b.t, dollars(10)+1, d.Price, name)
		b.reserve(ask(k, name, dollars(10)))
	}
}

func reserveBooksOnNone(b *bundle) {
	k := b.capped(ledger.Terms{DailyCap: limit(50), TotalCap: limit(40), RunCap: limit(30)})
	d := b.denied(ask(k, "c", dollars(31)))
	require.Equal(b.t, "run/total", d.Kind)
	for _, kind := range []string{"key/day", "key/total", "run/total"} {
		b.holds(k, kind, counters{})
	}
	_, err := b.store.Find(b.ctx, "c")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func reserveSharedRun(b *bundle) {
	first := b.capped(ledger.Terms{TotalCap: limit(80), RunCap: limit(100)})
	second := b.sameRun("second", ledger.Terms{TotalCap: limit(80)})
	b.reserve(ask(first, "a", dollars(60)))
	out := b.reserve(ask(second, "b", dollars(30)))
	require.Equal(b.t, dollars(10), out.Remaining, "the run has less room than the key")
	d := b.denied(ask(second, "c", dollars(11)))
	require.Equal(b.t, "run/total", d.Kind)
	require.Equal(b.t, dollars(90), d.Budget.InFlight)
	b.holds(second, "key/total", counters{inFlight: dollars(30)})
}

func reserveBooksAll(b *bundle) {
	k := b.capped(ledger.Terms{DailyCap: limit(50), TotalCap: limit(60), RunCap: limit(70)})
	out := b.reserve(ask(k, "c", dollars(7)))
	require.Equal(b.t, dollars(43), out.Remaining)
	for _, kind := range []string{"key/day", "key/total", "run/total"} {
		b.holds(k, kind, counters{inFlight: dollars(7)})
	}
	b.settle("c", dollars(6))
	for _, kind := range []string{"key/day", "key/total", "run/total"} {
		b.holds(k, kind, counters{settled: dollars(6)})
	}
}

func reserveReads(b *bundle) {
	k := b.issue(nil)
	r := ask(k, "c", dollars(7))
	out := b.reserve(r)
	want := ledger.Call{
		Seq: out.Call.Seq, ID: "c", Digest: sha256.Sum256([]byte("c")), State: ledger.Dispatched, KeyID: k.ID,
		Run: runLabel, Vendor: vendorName, Operation: "charge", Method: "POST", Path: "/v1/charges",
		IdempotencyKey: "idem_c", Item: "17", WorkflowID: "wf", Hold: dollars(7), Day: "2026-11-23",
		Request: []byte("sealed request"), Sends: 1, Unproven: 1,
		CreatedAt: b.clock.Now(), ReservedAt: b.clock.Now(), FirstSentAt: b.clock.Now(), LastSentAt: b.clock.Now(),
	}
	require.Equal(b.t, want, out.Call)
	require.NotZero(b.t, out.Call.Seq)
	require.Equal(b.t, want, b.recall("c"))
	require.Equal(b.t, want, b.exists(r))
}

func reserveOverflow(b *bundle) {
	whole := money.Max
	k := b.capped(ledger.Terms{TotalCap: &whole})
	b.reserve(ask(k, "most", money.Max-1))
	require.Equal(b.t, ledger.CapContended, b.denied(ask(k, "past the end", 2)).Reason)
	require.Equal(b.t, ledger.CapContended, b.denied(ask(k, "all again", money.Max)).Reason)
	b.reserve(ask(k, "the last", 1))

	// Each amount fits on its own; their sum does not.
	b.settle("the last", 1)
	_, _, err := b.store.Resolve(b.ctx, ledger.Resolution{Seq: b.seq("most"), Outcome: ledger.OutcomeSettled, Amount: money.Max})
	require.True(b.t, undecided(err), "%v", err)
	require.Equal(b.t, ledger.Dispatched, b.recall("most").State)
	b.settle("most", money.Max-1)
	b.holds(k, "key/total", counters{settled: money.Max})
}

func reserveNegative(b *bundle) {
	k := b.issue(nil)
	_, err := b.store.Reserve(b.ctx, ask(k, "c", -1))
	require.Error(b.t, err)
	b.reserve(ask(k, "d", dollars(100)))
	_, _, err = b.store.Resolve(b.ctx, ledger.Resolution{Seq: b.seq("d"), Outcome: ledger.OutcomeSettled, Amount: -dollars(1)})
	require.Error(b.t, err)
	b.holds(k, "key/total", counters{inFlight: dollars(100)})
}

func reserveFree(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "all", dollars(10)))
	b.settle("all", dollars(12))
	b.reserve(ask(k, "cancel", 0))
	b.settle("cancel", 0)
	b.holds(k, "key/total", counters{settled: dollars(12)})
}
