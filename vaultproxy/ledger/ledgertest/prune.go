package ledgertest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func pruneTests() []test {
	return []test{
		{"L2_PruningKeepsBudgetsAndTotals", pruneKeeps},
		{"L16_APrunedRunIssuesNoKeyAndSendsNothing", pruneCloses},
		{"L4_PruningLeavesWhatIsInDoubt", pruneDoubt},
		{"PruningLeavesYoungRunsAndLivingKeys", pruneYoung},
		{"BacklogCountsWhatHasNoFinalOutcome", backlog},
		{"FindTellsACallByItsID", find},
		{"L11_OneLeads", lead},
		{"L15_ALedgerBelongsToOneMasterKey", bound},
	}
}

func (b *bundle) prune(age time.Duration) ledger.Pruned {
	b.t.Helper()
	out, err := b.store.Prune(b.ctx, b.clock.Now().Add(-age))
	require.NoError(b.t, err)
	return out
}

func pruneKeeps(b *bundle) {
	b.setCap(tenantCap(ledger.SpanTotal, 100))
	k := b.ofTenant("acme", "run", 50)
	b.callIn(k, "settled", ledger.Settled, dollars(7))
	b.callIn(k, "released", ledger.Released, dollars(5))
	b.clock.Advance(200 * time.Hour)
	before, err := b.store.RunReports(b.ctx, "run")
	require.NoError(b.t, err)
	out := b.prune(time.Hour)
	require.Equal(b.t, 1, out.Runs)
	require.Equal(b.t, 2, out.Calls)
	require.Positive(b.t, out.AuditRows)
	calls, err := b.store.Calls(b.ctx, ledger.CallFilter{})
	require.NoError(b.t, err)
	require.Empty(b.t, calls)

	after, err := b.store.RunReports(b.ctx, "run")
	require.NoError(b.t, err)
	require.Equal(b.t, before[0].Budget, after[0].Budget)
	require.Equal(b.t, before[0].Counts, after[0].Counts)
	require.Equal(b.t, before[0].Vendors, after[0].Vendors)
	require.True(b.t, after[0].Closed)
	require.Equal(b.t, dollars(7), b.setCap(tenantCap(ledger.SpanTotal, 90)).Settled)
	b.sound()
	require.Equal(b.t, ledger.Pruned{}, b.prune(time.Hour), "there is nothing left to prune")
	b.setCap(tenantCap(ledger.SpanDay, 90)) // opened after the calls are gone
	b.sound()
}

func pruneCloses(b *bundle) {
	k := b.issue(nil)
	r := ask(k, "c", dollars(1))
	b.reserve(r)
	b.settle("c", dollars(1))
	b.clock.Advance(100 * time.Hour)
	b.prune(time.Hour)
	require.Equal(b.t, ledger.KeyRevoked, b.denied(r).Reason, "its idempotency key is forgotten, and must not charge again")
	_, _, err := b.store.Issue(b.ctx, spec())
	require.ErrorIs(b.t, err, ledger.ErrRunClosed)
}

func pruneDoubt(b *bundle) {
	k := b.issue(nil)
	for _, state := range []ledger.State{ledger.Settled, ledger.Unknown, ledger.Committed, ledger.Dispatched} {
		b.callIn(k, string(state), state, dollars(3))
	}
	b.clock.Advance(10_000 * time.Hour)
	require.Equal(b.t, 1, b.prune(time.Hour).Calls)
	calls, err := b.store.Calls(b.ctx, ledger.CallFilter{})
	require.NoError(b.t, err)
	require.Len(b.t, calls, 3)
	b.sound()
	b.outcome(string(ledger.Unknown), ledger.OutcomeReleased)
	b.settle(string(ledger.Dispatched), dollars(3))
	b.sound()
	b.clock.Advance(2 * time.Hour)
	require.Equal(b.t, 2, b.prune(time.Hour).Calls, "once they are final, they go too")
	b.sound()
}

func pruneYoung(b *bundle) {
	alive := b.issue(func(s *ledger.KeySpec) {
		s.KeyID, s.IssueID, s.Run, s.ExpiresIn = "key_alive", "issue_alive", "alive", 500*time.Hour
	})
	b.callIn(alive, "of a living key", ledger.Settled, dollars(1))
	b.clock.Advance(100 * time.Hour)
	young := b.issue(func(s *ledger.KeySpec) {
		s.KeyID, s.IssueID, s.Run, s.ExpiresIn = "key_young", "issue_young", "young", time.Minute
	})
	b.callIn(young, "young", ledger.Settled, dollars(1))
	b.clock.Advance(time.Hour)
	require.Equal(b.t, ledger.Pruned{}, b.prune(50*time.Hour))
	b.reserve(ask(alive, "more", dollars(1)))
}

func backlog(b *bundle) {
	k := b.issue(nil)
	for i, state := range []ledger.State{ledger.Settled, ledger.Unknown, ledger.Unknown, ledger.Committed, ledger.Dispatched} {
		b.callIn(k, numbered(string(state), i), state, dollars(1))
	}
	b.clock.Advance(time.Minute)
	got, err := b.store.Backlog(b.ctx)
	require.NoError(b.t, err)
	require.Equal(b.t, ledger.Counts{InFlight: 1, Committed: 1, Unknown: 2}, got.Counts)
	require.Equal(b.t, time.Minute, got.OldestDue)
}

func find(b *bundle) {
	k := b.issue(nil)
	for _, state := range []ledger.State{ledger.Settled, ledger.Unknown, ledger.Dispatched} {
		b.callIn(k, string(state), state, dollars(1))
		require.Equal(b.t, state, b.recall(string(state)).State)
	}
	_, err := b.store.Find(b.ctx, "nobody's")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func bound(b *bundle) {
	require.NoError(b.t, b.store.Bind(b.ctx, "one key"))
	require.NoError(b.t, b.store.Bind(b.ctx, "one key"))
	require.ErrorIs(b.t, b.store.Bind(b.ctx, "another key"), ledger.ErrOtherKey)
}

func lead(b *bundle) {
	for range 2 { // taken, and kept
		leads, err := b.store.Lead(b.ctx, time.Minute)
		require.NoError(b.t, err)
		require.True(b.t, leads)
	}
}
