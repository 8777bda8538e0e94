package ledgertest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func dayTests() []test {
	return []test{
		{"L13_ADailyBudgetStartsAnewAtMidnightUTC", dayResets},
		{"L13_TheDayIsUTCWhereverTheClockHangs", dayIsUTC},
		{"L13_ACallIsBookedOnTheDayOfItsReservation", dayOfReservation},
		{"L13_ADailyCapAloneIsTheRunsCapToo", dayBoundsRun},
		{"L13_AReopenedCallBelongsToTheDayItIsSentAgain", dayOfReopening},
	}
}

// daily has $10 a day, and a run cap that does not stand in the way.
func (b *bundle) daily() ledger.Key {
	b.t.Helper()
	return b.issue(func(s *ledger.KeySpec) {
		s.ExpiresIn = 100 * time.Hour
		s.Terms = ledger.Terms{DailyCap: limit(10), RunCap: limit(100)}
	})
}

func midnight() time.Time { return time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC) }

func dayResets(b *bundle) {
	k := b.daily()
	b.clock.Set(midnight().Add(-time.Microsecond))
	b.callIn(k, "monday", ledger.Settled, dollars(10))
	d := b.denied(ask(k, "late", dollars(1)))
	require.Equal(b.t, "key/day", d.Kind)
	require.Equal(b.t, midnight(), d.ResetsAt)
	require.Equal(b.t, "2026-11-23", d.Budget.Window)

	b.clock.Set(midnight())
	out := b.reserve(ask(k, "tuesday", dollars(4)))
	require.Equal(b.t, dollars(6), out.Remaining)
	b.holds(k, "key/day", counters{inFlight: dollars(4)})
	b.holds(k, "run/total", counters{settled: dollars(10), inFlight: dollars(4)})
}

func dayIsUTC(b *bundle) {
	k := b.daily()
	east := time.FixedZone("east", 5*3600)
	b.clock.Set(midnight().Add(-time.Hour).In(east)) // 04:00 of the 24th there
	require.Equal(b.t, "2026-11-23", b.reserve(ask(k, "a", dollars(1))).Call.Day)
	west := time.FixedZone("west", -8*3600)
	b.clock.Set(midnight().Add(time.Hour).In(west)) // 17:00 of the 23rd there
	require.Equal(b.t, "2026-11-24", b.reserve(ask(k, "b", dollars(1))).Call.Day)
}

func dayOfReservation(b *bundle) {
	k := b.daily()
	b.reserve(ask(k, "monday", dollars(10)))
	b.clock.Set(midnight())
	b.reserve(ask(k, "tuesday", dollars(3)))
	c := b.settle("monday", dollars(9))
	require.Equal(b.t, "2026-11-23", c.Day)
	b.holds(k, "key/day", counters{inFlight: dollars(3)})
	b.clock.Set(midnight().Add(-time.Hour))
	b.holds(k, "key/day", counters{settled: dollars(9)})
}

func dayBoundsRun(b *bundle) {
	k := b.issue(func(s *ledger.KeySpec) {
		s.ExpiresIn = 100 * time.Hour
		s.Terms = ledger.Terms{DailyCap: limit(10)}
	})
	b.callIn(k, "monday", ledger.Settled, dollars(8))
	b.clock.Set(midnight())
	d := b.denied(ask(k, "tuesday", dollars(3)))
	require.Equal(b.t, ledger.CapExhausted, d.Reason)
	require.Equal(b.t, "run/total", d.Kind)
	require.Zero(b.t, d.ResetsAt, "a new day does not help")
	b.reserve(ask(k, "the rest", dollars(2)))
}

func dayOfReopening(b *bundle) {
	k := b.daily()
	r := ask(k, "c", dollars(10))
	b.reserve(r)
	b.outcome("c", ledger.OutcomeRefused)
	b.clock.Set(midnight())
	require.Equal(b.t, "2026-11-24", b.reserve(r).Call.Day)
	b.holds(k, "key/day", counters{inFlight: dollars(10)})
	b.settle("c", dollars(10))
	b.clock.Set(midnight().Add(-time.Hour))
	b.holds(k, "key/day", counters{})
}
