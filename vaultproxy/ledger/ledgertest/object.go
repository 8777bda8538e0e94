package ledgertest

import (
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func objectTests() []test {
	return []test{
		{"L7_OneObjectIsBookedOnOneCall", objectTaken},
		{"L7_AReleasedCallGivesItsObjectUp", objectGivenUp},
		{"L7_ACallIsInFlightForOthersOfTheSameRequest", objectInFlight},
		{"L7_ObjectsOfTwoVendorsDoNotMeet", objectVendors},
		{"L7_ARefusalBooksNoObject", objectRefused},
		{"L7_AnObjectThatIsTakenSpoilsNoOtherBooking", objectSpoilsNothing},
	}
}

func objectTaken(b *bundle) {
	k := b.issue(nil)
	for _, outcome := range []ledger.Outcome{ledger.OutcomeSettled, ledger.OutcomeCommitted, ledger.OutcomeUnknown} {
		first, second := "first "+string(outcome), "second "+string(outcome)
		b.reserve(ask(k, first, dollars(1)))
		b.resolve(ledger.Resolution{Seq: b.seq(first), Outcome: outcome, Amount: dollars(1), Object: "ch_" + string(outcome)})
		b.reserve(ask(k, second, dollars(1)))
		before := b.recall(second)
		_, moved, err := b.store.Resolve(b.ctx, ledger.Resolution{
			Seq: b.seq(second), Outcome: ledger.OutcomeSettled, Amount: dollars(1), Object: "ch_" + string(outcome),
		})
		require.ErrorIs(b.t, err, ledger.ErrObjectTaken)
		require.False(b.t, undecided(err))
		require.False(b.t, moved)
		require.Equal(b.t, before, b.recall(second))
		holder, err := b.store.Booking(b.ctx, vendorName, "ch_"+string(outcome))
		require.NoError(b.t, err)
		require.Equal(b.t, first, holder.ID)
	}
}

func objectInFlight(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "a", dollars(1)))
	digest := b.recall("a").Digest
	other := digest
	other[0]++
	inFlight := func(vendor string, digest [32]byte, callID string) bool {
		found, err := b.store.InFlight(b.ctx, vendor, digest, callID)
		require.NoError(b.t, err)
		return found
	}
	require.True(b.t, inFlight(vendorName, digest, "b"))
	require.False(b.t, inFlight(vendorName, digest, "a"), "a call is no other one")
	require.False(b.t, inFlight(vendorName, other, "b"))
	require.False(b.t, inFlight("twilio", digest, "b"))
	b.outcome("a", ledger.OutcomeUnknown)
	require.False(b.t, inFlight(vendorName, digest, "b"), "it is no longer on its way")
}

func objectGivenUp(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "first", ledger.Committed, dollars(1))
	b.outcome("first", ledger.OutcomeReleased)
	b.reserve(ask(k, "second", dollars(1)))
	b.resolve(ledger.Resolution{Seq: b.seq("second"), Outcome: ledger.OutcomeSettled, Amount: dollars(1), Object: "obj_first"})
	holder, err := b.store.Booking(b.ctx, vendorName, "obj_first")
	require.NoError(b.t, err)
	require.Equal(b.t, "second", holder.ID)
}

func objectVendors(b *bundle) {
	k := b.issue(nil)
	other := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Vendor = "key_2", "issue_2", "twilio" })
	for id, key := range map[string]ledger.Key{"a": k, "b": other} {
		b.reserve(ask(key, id, dollars(1)))
		b.resolve(ledger.Resolution{Seq: b.seq(id), Outcome: ledger.OutcomeSettled, Amount: dollars(1), Object: "same"})
	}
	holder, err := b.store.Booking(b.ctx, "twilio", "same")
	require.NoError(b.t, err)
	require.Equal(b.t, "b", holder.ID)
}

func objectRefused(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "c", dollars(1)))
	c := b.resolve(ledger.Resolution{Seq: b.seq("c"), Outcome: ledger.OutcomeRefused, Object: "pi_named_in_an_error"})
	require.Equal(b.t, ledger.Released, c.State, "it held no object before, and a refusal makes none")
	b.reserve(ask(k, "c", dollars(1)))
}

func objectSpoilsNothing(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "holder", dollars(1)))
	b.resolve(ledger.Resolution{Seq: b.seq("holder"), Outcome: ledger.OutcomeSettled, Amount: dollars(1), Object: "ch_1"})
	const n = 32
	for i := range n {
		b.reserve(ask(k, numbered("c", i), dollars(1)))
	}
	errs := inParallel(n, func(i int) error {
		r := ledger.Resolution{Seq: b.seq(numbered("c", i)), Outcome: ledger.OutcomeSettled, Amount: dollars(1)}
		if i == 7 {
			r.Object = "ch_1"
		}
		_, _, err := b.store.Resolve(b.ctx, r)
		return err
	})
	for i, err := range errs {
		if i == 7 {
			require.ErrorIs(b.t, err, ledger.ErrObjectTaken)
			continue
		}
		require.NoError(b.t, err)
	}
	b.holds(k, "key/total", counters{settled: dollars(n), inFlight: dollars(1)})
}
