package ledgertest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func takeOverTests() []test {
	return []test{
		{"L1_ATakenOverHoldIsNotHeldTwice", takeOverOnce},
		{"L1_ATakenOverHoldMovesToTheBudgetsOfTheTaker", takeOverBudgets},
		{"L1_MoreThanWasTakenOverNeedsRoom", takeOverMore},
		{"L4_ATakenOverHoldDoesNotShrinkBeforeProof", takeOverLess},
		{"L4_ARefusedTakerKeepsTheHoldWithTheObject", takeOverRefused},
		{"L5_ARefusedTakerMayTryAgain", takeOverAgain},
		{"L5_ACommittedCallIsNotReopenedByNamingItself", takeOverItself},
		{"L13_AHoldTakenOverTheNextDayNeedsThatDaysRoom", takeOverNextDay},
		{"OnlyACommittedHoldOfTheSameRunAndObjectIsTakenOver", takeOverMoved},
		{"L4_OfTwoThatMoveAnObjectAtOnceTheLargerHoldStays", moveAtOnce},
		{"L1_WhoMovesAnObjectLaterHoldsItAlone", moveLater},
	}
}

func takeOverOnce(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "create", ledger.Committed, dollars(100))
	out := b.reserve(b.capture(k, "capture", "create", "obj_create", dollars(100)))
	require.Equal(b.t, "obj_create", out.Call.Object)
	require.Equal(b.t, out.Call, b.recall("capture"))
	b.holds(k, "key/total", counters{inFlight: dollars(100)})

	from := b.recall("create")
	require.Equal(b.t, ledger.Released, from.State)
	require.Equal(b.t, "taken_over", from.Reason)
	require.True(b.t, from.Answered, "the creation is still replayed")
	holder, err := b.store.Booking(b.ctx, vendorName, "obj_create")
	require.NoError(b.t, err)
	require.Equal(b.t, "capture", holder.ID)

	b.settle("capture", dollars(100))
	b.holds(k, "key/total", counters{settled: dollars(100)})
	holder, err = b.store.Booking(b.ctx, vendorName, "obj_create")
	require.NoError(b.t, err)
	require.Equal(b.t, ledger.Settled, holder.State)
}

func takeOverBudgets(b *bundle) {
	first := b.capped(ledger.Terms{TotalCap: limit(50), RunCap: limit(60)})
	second := b.sameRun("second", ledger.Terms{TotalCap: limit(50)})
	b.callIn(first, "create", ledger.Committed, dollars(50))
	b.reserve(b.capture(second, "capture", "create", "obj_create", dollars(50)))
	b.holds(first, "key/total", counters{})
	b.holds(second, "key/total", counters{inFlight: dollars(50)})
	b.holds(first, "run/total", counters{inFlight: dollars(50)})
}

func takeOverMore(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "create", ledger.Committed, dollars(60))
	b.callIn(k, "other", ledger.Dispatched, dollars(30))
	require.Equal(b.t, ledger.CapContended, b.denied(b.capture(k, "a", "create", "obj_create", dollars(71))).Reason)
	require.Equal(b.t, ledger.CapExhausted, b.denied(b.capture(k, "b", "create", "obj_create", dollars(101))).Reason)
	require.Equal(b.t, ledger.Committed, b.recall("create").State)
	b.reserve(b.capture(k, "c", "create", "obj_create", dollars(70)))
	b.holds(k, "key/total", counters{inFlight: dollars(100)})
}

func takeOverLess(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "create", ledger.Committed, dollars(60))
	// Part of it is captured. Until the vendor says so, all of it can still be.
	c := b.reserve(b.capture(k, "capture", "create", "obj_create", dollars(20))).Call
	require.Equal(b.t, dollars(60), c.Hold)
	b.holds(k, "key/total", counters{inFlight: dollars(60)})
	b.settle("capture", dollars(20))
	b.holds(k, "key/total", counters{settled: dollars(20)})
}

func takeOverRefused(b *bundle) {
	k := b.issue(nil)
	for _, outcome := range []ledger.Outcome{ledger.OutcomeRefused, ledger.OutcomeNoEffect} {
		id := string(outcome)
		b.callIn(k, "create "+id, ledger.Committed, dollars(30))
		b.reserve(b.capture(k, id, "create "+id, "obj_create "+id, dollars(30)))
		c := b.outcome(id, outcome)
		require.Equal(b.t, ledger.Committed, c.State)
		require.Equal(b.t, dollars(30), c.Hold)
		holder, err := b.store.Booking(b.ctx, vendorName, "obj_create "+id)
		require.NoError(b.t, err)
		require.Equal(b.t, id, holder.ID)
	}
	b.holds(k, "key/total", counters{committed: dollars(60)})
}

func takeOverAgain(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "create", ledger.Committed, dollars(100))
	r := b.capture(k, "capture", "create", "obj_create", dollars(100))
	b.reserve(r)
	b.outcome("capture", ledger.OutcomeRefused)
	r.TakeOver = b.seq("capture") // where the hold is now
	again := b.reserve(r).Call
	require.Equal(b.t, again, b.recall("capture"))
	require.Equal(b.t, ledger.Dispatched, again.State)
	require.Equal(b.t, 2, again.Sends)
	require.Equal(b.t, "obj_create", again.Object)
	b.holds(k, "key/total", counters{inFlight: dollars(100)})
	b.settle("capture", dollars(100))
	b.holds(k, "key/total", counters{settled: dollars(100)})
}

func takeOverItself(b *bundle) {
	k := b.issue(nil)
	for _, answered := range []bool{true, false} {
		from, id := fmt.Sprint("create ", answered), fmt.Sprint("confirm ", answered)
		b.callIn(k, from, ledger.Committed, dollars(50))
		r := b.capture(k, id, from, "obj_"+from, dollars(50))
		b.reserve(r)
		// The vendor confirmed it: there is no send left that had no effect.
		b.resolve(ledger.Resolution{Seq: b.seq(id), Outcome: ledger.OutcomeCommitted, Answered: answered})
		r.TakeOver = b.seq(id)
		require.Equal(b.t, ledger.Committed, b.exists(r).State)
	}
	b.holds(k, "key/total", counters{committed: dollars(100)})
}

func takeOverNextDay(b *bundle) {
	k := b.daily()
	b.callIn(k, "create", ledger.Committed, dollars(10))
	b.clock.Set(midnight())
	b.callIn(k, "tuesday", ledger.Settled, dollars(4))
	d := b.denied(b.capture(k, "capture", "create", "obj_create", dollars(10)))
	require.Equal(b.t, "key/day", d.Kind)
	b.clock.Set(midnight().Add(24 * time.Hour))
	b.reserve(b.capture(k, "capture", "create", "obj_create", dollars(10)))
	b.holds(k, "key/day", counters{inFlight: dollars(10)})
	b.holds(k, "run/total", counters{settled: dollars(4), inFlight: dollars(10)})
}

func takeOverMoved(b *bundle) {
	k := b.issue(nil)
	elsewhere := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key_2", "issue_2", "another run" })
	theirs := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Tenant = "key_3", "issue_3", "acme" })
	for _, state := range []ledger.State{ledger.Dispatched, ledger.Unknown, ledger.Settled, ledger.Released, ledger.Committed} {
		b.callIn(k, string(state), state, dollars(1))
	}
	before := b.budget(k, "key/total")
	otherVendor := b.capture(k, "x", "committed", "obj_committed", dollars(1))
	otherVendor.Vendor = "twilio"
	for name, r := range map[string]ledger.Reservation{
		"in flight":      b.capture(k, "x", "dispatched", "", dollars(1)),
		"in doubt":       b.capture(k, "x", "unknown", "", dollars(1)),
		"settled":        b.capture(k, "x", "settled", "", dollars(1)),
		"released":       b.capture(k, "x", "released", "", dollars(1)),
		"not there":      b.capture(k, "x", "nobody's", "obj", dollars(1)),
		"another object": b.capture(k, "x", "committed", "obj_else", dollars(1)),
		"another vendor": otherVendor,
		"another run":    b.capture(elsewhere, "x", "committed", "obj_committed", dollars(1)),
		"another tenant": b.capture(theirs, "x", "committed", "obj_committed", dollars(1)),
	} {
		_, err := b.store.Reserve(b.ctx, r)
		require.ErrorIs(b.t, err, ledger.ErrBookingMoved, name)
	}
	require.Equal(b.t, before, b.budget(k, "key/total"))
	require.Equal(b.t, ledger.Committed, b.recall("committed").State)
}

// Whichever of the two the vendor did last, the object may be worth the larger one.
func moveAtOnce(b *bundle) {
	k := b.issue(nil)
	theirs := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key_2", "issue_2", "another run" })
	for name, key := range map[string]ledger.Key{"same run": k, "another run": theirs} {
		create, large, small := "create "+name, "large "+name, "small "+name
		object := "obj_" + create
		b.callIn(k, create, ledger.Committed, dollars(1))
		b.reserve(b.capture(k, large, create, object, dollars(30)))
		b.clock.Advance(time.Millisecond)
		r := ask(key, small, dollars(2))
		r.Target = object
		b.reserve(r)
		b.clock.Advance(time.Millisecond)
		b.resolve(ledger.Resolution{Seq: b.seq(large), Outcome: ledger.OutcomeCommitted, Amount: dollars(30), Object: object})
		b.clock.Advance(time.Millisecond)
		c := b.resolve(ledger.Resolution{Seq: b.seq(small), Outcome: ledger.OutcomeCommitted, Amount: dollars(2), Object: object})
		require.Equal(b.t, dollars(30), c.Hold, name)
		require.Equal(b.t, c, b.recall(small))
		require.Equal(b.t, ledger.Released, b.recall(large).State)
		b.sound()
	}
	b.holds(k, "key/total", counters{committed: dollars(30)})
	b.holds(theirs, "key/total", counters{committed: dollars(30)})
}

func moveLater(b *bundle) {
	k := b.issue(nil)
	theirs := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key_2", "issue_2", "another run" })
	b.callIn(k, "create", ledger.Committed, dollars(30))
	b.clock.Advance(time.Millisecond)
	r := ask(theirs, "update", dollars(2))
	r.Target = "obj_create"
	b.reserve(r)
	c := b.resolve(ledger.Resolution{Seq: b.seq("update"), Outcome: ledger.OutcomeCommitted, Amount: dollars(2), Object: "obj_create"})
	require.Equal(b.t, dollars(2), c.Hold)
	b.holds(k, "key/total", counters{})
	b.holds(theirs, "key/total", counters{committed: dollars(2)})
}
