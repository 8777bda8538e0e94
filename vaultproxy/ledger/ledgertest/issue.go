package ledgertest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func issueTests() []test {
	return []test{
		{"L16_IssuingAgainReturnsTheSameKey", issueAgain},
		{"L16_OtherTermsUnderTheSameIdentityAreAConflict", issueConflict},
		{"L16_AnExpiredKeyGetsANewGenerationOnTheSameBudgets", issueGeneration},
		{"L16_OtherTermsAreAConflictAfterExpiryToo", issueConflictAfterExpiry},
		{"L16_ARevokedIdentityIsNotIssuedAgain", issueRevoked},
		{"L16_ARevokedIdentityIsRenewedOnTheSameBudgetsIfThatIsAskedFor", issueRenewed},
		{"L16_RenewingChangesNothingAboutALiveKey", issueRenewedLive},
		{"L16_AClosedRunIsNotRenewed", issueRenewedClosed},
		{"L16_AClosedRunIssuesNothingMore", issueClosed},
		{"L16_TheFirstKeyFixesTheRunsCap", issueFixesRunCap},
		{"L16_ARefusedIssueOpensNoRun", issueRefusedOpensNothing},
		{"L16_RunsOfTwoTenantsAreTwoRuns", issueTenants},
		{"L16_AKeyKeepsWhatItWasIssuedWith", issueKeeps},
		{"L12_ARunWithoutACapIsNotOpened", issueNeedsCap},
		{"L13_ExpiryCountsOnTheStoresClock", issueExpiry},
		{"IssueOfATakenKeyIDFailsAndLeavesNothingBehind", issueTakenKeyID},
	}
}

func issueAgain(b *bundle) {
	first := b.issue(nil)
	b.clock.Advance(time.Minute)
	again := spec()
	again.KeyID = "key_another"
	k, minted, err := b.store.Issue(b.ctx, again)
	require.NoError(b.t, err)
	require.False(b.t, minted)
	require.Equal(b.t, first, k)
	_, err = b.store.Key(b.ctx, "key_another")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func issueConflict(b *bundle) {
	b.issue(nil)
	other := spec()
	other.KeyID, other.Digest, other.Terms.TotalCap = "key_2", "digest_2", limit(200)
	_, _, err := b.store.Issue(b.ctx, other)
	require.ErrorIs(b.t, err, ledger.ErrPolicyConflict)
}

func issueConflictAfterExpiry(b *bundle) {
	b.issue(nil)
	b.clock.Advance(2 * time.Hour)
	other := spec()
	other.KeyID, other.Digest, other.Terms.TotalCap = "key_2", "digest_2", limit(200)
	_, _, err := b.store.Issue(b.ctx, other)
	require.ErrorIs(b.t, err, ledger.ErrPolicyConflict)
}

func issueGeneration(b *bundle) {
	first := b.issue(nil)
	require.Equal(b.t, 1, first.Generation)
	b.reserve(ask(first, "spent", dollars(60)))
	b.settle("spent", dollars(60))
	b.clock.Advance(time.Hour)

	next := spec()
	next.KeyID = "key_2"
	second, minted, err := b.store.Issue(b.ctx, next)
	require.NoError(b.t, err)
	require.True(b.t, minted)
	require.Equal(b.t, 2, second.Generation)
	require.Equal(b.t, "key_2", second.ID)
	b.holds(second, "key/total", counters{settled: dollars(60)})
	require.Equal(b.t, ledger.CapExhausted, b.denied(ask(second, "too much", dollars(41))).Reason)
	b.reserve(ask(second, "fits", dollars(40)))

	use, err := b.store.KeyUse(b.ctx, second.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, ledger.Counts{InFlight: 1, Settled: 1}, use.Counts, "counts are those of the identity, like its budgets")
}

func issueRevoked(b *bundle) {
	k := b.issue(nil)
	_, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	for _, wait := range []time.Duration{0, 2 * time.Hour} {
		b.clock.Advance(wait)
		again := spec()
		again.KeyID = "key_2"
		_, _, err = b.store.Issue(b.ctx, again)
		require.ErrorIs(b.t, err, ledger.ErrRunRevoked)
	}
}

func renewal(keyID string) ledger.KeySpec {
	s := spec()
	s.KeyID, s.Renew = keyID, true
	return s
}

func issueRenewed(b *bundle) {
	first := b.issue(nil)
	b.reserve(ask(first, "spent", dollars(60)))
	b.settle("spent", dollars(60))
	_, err := b.store.RevokeKey(b.ctx, first.ID)
	require.NoError(b.t, err)

	conflict := renewal("key_2")
	conflict.Digest = "of another list"
	_, _, err = b.store.Issue(b.ctx, conflict)
	require.ErrorIs(b.t, err, ledger.ErrPolicyConflict, "the identity stands for the same work as before")

	second, minted, err := b.store.Issue(b.ctx, renewal("key_2"))
	require.NoError(b.t, err)
	require.True(b.t, minted)
	require.Equal(b.t, 2, second.Generation)
	b.holds(second, "key/total", counters{settled: dollars(60)})
	require.Equal(b.t, ledger.CapExhausted, b.denied(ask(second, "too much", dollars(41))).Reason)
	require.Equal(b.t, ledger.KeyRevoked, b.denied(ask(first, "by the old one", dollars(1))).Reason)
	b.reserve(ask(second, "fits", dollars(40)))

	again, minted, err := b.store.Issue(b.ctx, renewal("key_3"))
	require.NoError(b.t, err)
	require.False(b.t, minted, "asked twice, as by a retry")
	require.Equal(b.t, second, again)
	again, minted, err = b.store.Issue(b.ctx, spec())
	require.NoError(b.t, err)
	require.False(b.t, minted, "the renewed key is the identity's")
	require.Equal(b.t, second, again)
}

func issueRenewedLive(b *bundle) {
	first := b.issue(nil)
	again, minted, err := b.store.Issue(b.ctx, renewal("key_2"))
	require.NoError(b.t, err)
	require.False(b.t, minted)
	require.Equal(b.t, first, again)
}

func issueRenewedClosed(b *bundle) {
	b.issue(nil)
	_, err := b.store.CloseRun(b.ctx, "", runLabel)
	require.NoError(b.t, err)
	_, _, err = b.store.Issue(b.ctx, renewal("key_2"))
	require.ErrorIs(b.t, err, ledger.ErrRunRevoked)
	_, err = b.store.Key(b.ctx, "key_2")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func issueClosed(b *bundle) {
	b.issue(nil)
	_, err := b.store.CloseRun(b.ctx, "", runLabel)
	require.NoError(b.t, err)

	other := spec()
	other.KeyID, other.IssueID, other.Phase = "key_2", "issue_2", "receipts"
	_, _, err = b.store.Issue(b.ctx, other)
	require.ErrorIs(b.t, err, ledger.ErrRunClosed)
	_, err = b.store.Key(b.ctx, "key_2")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func issueFixesRunCap(b *bundle) {
	first := b.capped(ledger.Terms{TotalCap: limit(40), RunCap: limit(50)})
	wide := b.sameRun("wide", ledger.Terms{TotalCap: limit(1000)})
	require.Equal(b.t, dollars(50), b.budget(wide, "run/total").Cap)
	require.Equal(b.t, runLabel, b.budget(wide, "run/total").Name)

	asked := spec()
	asked.KeyID, asked.IssueID, asked.Terms.RunCap = "key_3", "issue_3", limit(60)
	_, _, err := b.store.Issue(b.ctx, asked)
	require.ErrorIs(b.t, err, ledger.ErrPolicyConflict)
	b.sameRun("alike", ledger.Terms{TotalCap: limit(10), RunCap: limit(50)})

	b.reserve(ask(first, "by the first", dollars(40)))
	d := b.denied(ask(wide, "by the other", dollars(11)))
	require.Equal(b.t, "run/total", d.Kind)
}

// An identity that is an Idempotency-Key may be used for another run by mistake. The
// cap that is refused there must not become that run's.
func issueRefusedOpensNothing(b *bundle) {
	first := b.issue(nil)
	elsewhere := spec()
	elsewhere.KeyID, elsewhere.Run, elsewhere.Digest, elsewhere.Terms.TotalCap = "key_2", "another run", "digest_2", limit(1000)
	_, _, err := b.store.Issue(b.ctx, elsewhere)
	require.ErrorIs(b.t, err, ledger.ErrPolicyConflict)
	_, err = b.store.RevokeKey(b.ctx, first.ID)
	require.NoError(b.t, err)
	_, _, err = b.store.Issue(b.ctx, elsewhere)
	require.ErrorIs(b.t, err, ledger.ErrPolicyConflict)
	_, err = b.store.CloseRun(b.ctx, "", "another run")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)

	own := b.issue(func(s *ledger.KeySpec) {
		s.KeyID, s.IssueID, s.Run, s.Terms.TotalCap = "key_3", "issue_3", "another run", limit(50)
	})
	require.Equal(b.t, dollars(50), b.budget(own, "run/total").Cap)
}

func issueTenants(b *bundle) {
	ours := b.issue(nil)
	theirs := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Tenant = "key_2", "issue_2", "acme" })
	b.reserve(ask(ours, "ours", dollars(100)))
	b.reserve(ask(theirs, "theirs", dollars(100)))
	_, err := b.store.CloseRun(b.ctx, "acme", runLabel)
	require.NoError(b.t, err)
	k, err := b.store.Key(b.ctx, ours.ID)
	require.NoError(b.t, err)
	require.False(b.t, k.RunClosed)
	require.Zero(b.t, k.RevokedAt)
}

func issueKeeps(b *bundle) {
	s := spec()
	s.Tenant, s.Phase, s.AgentName = "acme", "charges", "agent 7"
	s.Terms = ledger.Terms{
		AllowedEndpoints: []string{"POST /v1/charges", "GET /v1/charges/{id}"},
		DailyCap:         limit(1), TotalCap: limit(2), PerCallCap: limit(3), RunCap: limit(4),
	}
	k, minted, err := b.store.Issue(b.ctx, s)
	require.NoError(b.t, err)
	require.True(b.t, minted)
	want := ledger.Key{
		ID: s.KeyID, IssueID: s.IssueID, Generation: 1, Tenant: s.Tenant, Run: s.Run, Vendor: s.Vendor, Phase: s.Phase,
		AgentName: s.AgentName, Terms: s.Terms, IssuedAt: b.clock.Now(), ExpiresAt: b.clock.Now().Add(time.Hour),
		RunNo: k.RunNo,
	}
	require.NotZero(b.t, k.RunNo)
	require.Equal(b.t, want, k)
	read, err := b.store.Key(b.ctx, k.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, want, read)
}

func issueNeedsCap(b *bundle) {
	for _, terms := range []ledger.Terms{{}, {TotalCap: limit(0)}, {PerCallCap: limit(5)}} {
		s := spec()
		s.Terms = terms
		_, _, err := b.store.Issue(b.ctx, s)
		require.Error(b.t, err)
	}
	keys, err := b.store.Keys(b.ctx, ledger.KeyFilter{})
	require.NoError(b.t, err)
	require.Empty(b.t, keys)
	b.issue(nil)
}

func issueExpiry(b *bundle) {
	at := b.clock.Now().Add(90 * time.Minute)
	fixed := b.issue(func(s *ledger.KeySpec) { s.ExpiresIn, s.ExpiresAt = 0, at })
	require.Equal(b.t, at, fixed.ExpiresAt)
	b.clock.Set(at.Add(-time.Microsecond))
	b.reserve(ask(fixed, "just in time", dollars(1)))
	b.clock.Set(at)
	require.Equal(b.t, ledger.KeyExpired, b.denied(ask(fixed, "too late", dollars(1))).Reason)
}

func issueTakenKeyID(b *bundle) {
	first := b.issue(nil)
	clash := spec()
	clash.IssueID, clash.Run = "issue_2", "another run"
	_, _, err := b.store.Issue(b.ctx, clash)
	require.True(b.t, undecided(err), "%v", err)
	_, err = b.store.CloseRun(b.ctx, "", "another run")
	require.ErrorIs(b.t, err, ledger.ErrNotFound, "the run was opened for a key that was not minted")
	k, err := b.store.Key(b.ctx, first.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, first, k)
}
