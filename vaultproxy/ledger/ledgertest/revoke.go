package ledgertest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func revokeTests() []test {
	return []test{
		{"L9_ARevokedKeyReservesNothingMore", revokeStops},
		{"L9_RevocationDoesNotBlockABooking", revokeBooks},
		{"L9_AnExpiredKeyReservesNothingMoreAndBooksWhatItSent", expiryStops},
		{"L9_ARunThatIsClosedStopsAllItsKeys", closeStops},
		{"L9_RevokingAgainTellsTheFirstTime", revokeAgain},
		{"L9_WhatExistsIsAnsweredUnderARevokedKey", revokeAnswers},
		{"RevocationTellsWhatWasStillOpen", revokeTells},
		{"RevokingWhatIsNotThereIsNotFound", revokeNothing},
		{"L15_ClosingAllLeavesNoKeyAndNoRun", closeAll},
		{"AnUnknownKeyIsDenied", unknownKey},
	}
}

func revokeStops(b *bundle) {
	k := b.issue(nil)
	other := b.sameRun("other", ledger.Terms{TotalCap: limit(10)})
	out, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, []string{k.ID}, out.KeyIDs)
	require.Equal(b.t, ledger.KeyRevoked, b.denied(ask(k, "after", dollars(1))).Reason)
	_, err = b.store.Find(b.ctx, "after")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
	b.reserve(ask(other, "of another key", dollars(1)))
}

func closeAll(b *bundle) {
	one, two := b.ofTenant("acme", "one", 100), b.issue(nil)
	b.reserve(ask(two, "in flight", dollars(1)))
	closed, err := b.store.CloseAll(b.ctx)
	require.NoError(b.t, err)
	require.Equal(b.t, 2, closed)
	for _, k := range []ledger.Key{one, two} {
		require.Equal(b.t, ledger.KeyRevoked, b.denied(ask(k, "after "+k.ID, dollars(1))).Reason)
	}
	_, _, err = b.store.Issue(b.ctx, spec())
	require.ErrorIs(b.t, err, ledger.ErrRunRevoked)
	b.settle("in flight", dollars(1))
	closed, err = b.store.CloseAll(b.ctx)
	require.NoError(b.t, err)
	require.Zero(b.t, closed)
}

func revokeBooks(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "in flight", dollars(5)))
	b.reserve(ask(k, "in doubt", dollars(6)))
	b.outcome("in doubt", ledger.OutcomeUnknown)
	_, err := b.store.CloseRun(b.ctx, "", runLabel)
	require.NoError(b.t, err)
	b.settle("in flight", dollars(5))
	b.settle("in doubt", dollars(6))
	b.holds(k, "run/total", counters{settled: dollars(11)})
}

func expiryStops(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "in flight", dollars(5)))
	b.clock.Advance(time.Hour)
	require.Equal(b.t, ledger.KeyExpired, b.denied(ask(k, "after", dollars(1))).Reason)
	b.settle("in flight", dollars(5))
	b.holds(k, "key/total", counters{settled: dollars(5)})
}

func closeStops(b *bundle) {
	first := b.issue(nil)
	second := b.sameRun("second", ledger.Terms{TotalCap: limit(10)})
	expired := b.issue(func(s *ledger.KeySpec) {
		s.KeyID, s.IssueID, s.ExpiresIn = "key_old", "issue_old", time.Second
	})
	elsewhere := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key_e", "issue_e", "another run" })
	b.clock.Advance(time.Minute)

	out, err := b.store.CloseRun(b.ctx, "", runLabel)
	require.NoError(b.t, err)
	require.ElementsMatch(b.t, []string{first.ID, second.ID, expired.ID}, out.KeyIDs)
	for _, k := range []ledger.Key{first, second, expired} {
		require.Equal(b.t, ledger.KeyRevoked, b.denied(ask(k, "after "+k.ID, dollars(1))).Reason)
		read, err := b.store.Key(b.ctx, k.ID)
		require.NoError(b.t, err)
		require.Equal(b.t, b.clock.Now(), read.RevokedAt)
		require.True(b.t, read.RunClosed)
	}
	b.reserve(ask(elsewhere, "of another run", dollars(1)))
}

func revokeAgain(b *bundle) {
	k := b.issue(nil)
	first, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	b.clock.Advance(time.Minute)
	again, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, first, again)
	rows, err := b.store.Audit(b.ctx, ledger.AuditFilter{Verdict: ledger.VerdictRevoked})
	require.NoError(b.t, err)
	require.Len(b.t, rows, 1)
}

func revokeAnswers(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "charged", dollars(5)))
	b.settle("charged", dollars(5))
	_, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	c := b.exists(ask(k, "charged", dollars(5)))
	require.Equal(b.t, ledger.Settled, c.State)
	require.Equal(b.t, []byte("sealed answer"), c.Answer)
}

func revokeTells(b *bundle) {
	first := b.issue(nil)
	second := b.sameRun("second", ledger.Terms{TotalCap: limit(50)})
	b.reserve(ask(first, "settled", dollars(1)))
	b.settle("settled", dollars(1))
	b.reserve(ask(first, "in flight", dollars(2)))
	b.reserve(ask(second, "in flight too", dollars(3)))
	b.reserve(ask(second, "in doubt", dollars(4)))
	b.outcome("in doubt", ledger.OutcomeUnknown)

	one, err := b.store.RevokeKey(b.ctx, first.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, ledger.Revocation{
		KeyIDs: []string{first.ID}, At: b.clock.Now(), InFlight: 1, InFlightUSD: dollars(2),
	}, one)
	all, err := b.store.CloseRun(b.ctx, "", runLabel)
	require.NoError(b.t, err)
	require.Equal(b.t, 2, all.InFlight)
	require.Equal(b.t, dollars(5), all.InFlightUSD)
	require.Equal(b.t, 1, all.Unknown)
	require.Equal(b.t, dollars(4), all.UnknownUSD)
}

func revokeNothing(b *bundle) {
	b.issue(nil)
	_, err := b.store.RevokeKey(b.ctx, "key_nobody")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
	_, err = b.store.CloseRun(b.ctx, "", "no such run")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
	_, err = b.store.CloseRun(b.ctx, "another tenant", runLabel)
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func unknownKey(b *bundle) {
	b.issue(nil)
	require.Equal(b.t, ledger.KeyUnknown, b.denied(ask(ledger.Key{ID: "key_nobody", Vendor: vendorName}, "c", 1)).Reason)
	_, err := b.store.KeyUse(b.ctx, "key_nobody")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}
