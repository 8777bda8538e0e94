package ledgertest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// Place makes room for one new ledger. What it returns opens that ledger, and
// opens it again once the store of the time before is closed.
type Place func(t *testing.T) func(now func() time.Time) (ledger.Store, error)

// reborn is a bundle whose store can be closed and opened again.
type reborn struct {
	*bundle
	open func(now func() time.Time) (ledger.Store, error)
}

// restart gives the ledger to a new process, as it were.
func (b *reborn) restart() {
	b.t.Helper()
	require.NoError(b.t, b.store.Close())
	var err error
	b.store, err = b.open(b.clock.Now)
	require.NoError(b.t, err)
}

// RunRestarts holds a store to what must survive the death of its process.
func RunRestarts(t *testing.T, place Place) {
	t.Helper()
	for name, run := range map[string]func(*reborn){
		"L15_WhatWasInFlightIsUnknownAfterwards":          restartOrphans,
		"L15_WhatWasNotInFlightStaysAsItWas":              restartLeavesRest,
		"L15_OrphansAreMadeUnknownOnce":                   restartTwice,
		"L15_AnOrphanThatTookAHoldOverKeepsItsObject":     restartTaker,
		"L15_AReopenedCallInFlightIsAnOrphanToo":          restartReopened,
		"L15_AnOrphanOfADayBeforeTheTenantsCapIsTaken":    restartLateDay,
		"L3_EveryReservationIsThereAfterwards":            restartDurable,
		"L9_RevocationsSurvive":                           restartRevoked,
		"L16_IssueIdentitiesAndTheLedgersNameSurvive":     restartIdentity,
		"L13_BudgetsSurvive":                              restartBudgets,
		"L11_AClaimOutlivesTheProcessThatHeldItByItsTerm": restartClaim,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := place(t)
			run(&reborn{open: open, bundle: setup(t, func(t *testing.T, now func() time.Time) ledger.Store {
				t.Helper()
				s, err := open(now)
				require.NoError(t, err)
				return s
			})})
		})
	}
}

func restartOrphans(b *reborn) {
	k := b.issue(nil)
	before := b.reserve(ask(k, "c", dollars(5))).Call
	b.clock.Advance(time.Minute)
	b.restart()
	c := b.recall("c")
	require.Equal(b.t, ledger.Unknown, c.State)
	require.Equal(b.t, "interrupted", c.Reason)
	require.Equal(b.t, before.Request, c.Request, "it may have to be sent again")
	require.Equal(b.t, before.FirstSentAt, c.FirstSentAt)
	b.holds(k, "key/total", counters{unknown: dollars(5)})
	require.Equal(b.t, []string{"c"}, b.due(10), "its proof is due at once")
	rows := b.audit(ledger.AuditFilter{Verdict: string(ledger.Unknown)})
	require.Len(b.t, rows, 1)
	require.Equal(b.t, ledger.ByRestart, rows[0].By)
	require.Equal(b.t, dollars(5), rows[0].Price)
	require.Equal(b.t, k.ID, rows[0].KeyID)
}

func restartLateDay(b *reborn) {
	k := b.ofTenant("acme", "run", 100)
	b.reserve(ask(k, "yesterday", dollars(5)))
	b.clock.Set(midnight())
	b.setCap(tenantCap(ledger.SpanDay, 5))
	b.restart()
	require.Equal(b.t, ledger.Unknown, b.recall("yesterday").State)
	b.sound()
}

func restartLeavesRest(b *reborn) {
	k := b.issue(nil)
	want := map[string]ledger.Call{}
	for _, state := range []ledger.State{ledger.Settled, ledger.Committed, ledger.Unknown, ledger.Released} {
		id := string(state)
		b.callIn(k, id, state, dollars(3))
		want[id] = b.recall(id)
	}
	use := b.budget(k, "key/total")
	b.restart()
	for id, c := range want {
		require.Equal(b.t, c, b.recall(id))
	}
	require.Equal(b.t, use, b.budget(k, "key/total"))
}

func restartTwice(b *reborn) {
	k := b.issue(nil)
	b.reserve(ask(k, "c", dollars(5)))
	b.restart()
	c := b.recall("c")
	b.restart()
	require.Equal(b.t, c, b.recall("c"))
	require.Len(b.t, b.audit(ledger.AuditFilter{Verdict: string(ledger.Unknown)}), 1)
	// What this process has in flight is its own to end.
	b.reserve(ask(k, "d", dollars(5)))
	b.settle("d", dollars(5))
	b.holds(k, "key/total", counters{settled: dollars(5), unknown: dollars(5)})
}

func restartTaker(b *reborn) {
	k := b.issue(nil)
	b.callIn(k, "create", ledger.Committed, dollars(60))
	b.reserve(b.capture(k, "capture", "create", "obj_create", dollars(60)))
	b.restart()
	holder, err := b.store.Booking(b.ctx, vendorName, "obj_create")
	require.NoError(b.t, err)
	require.Equal(b.t, "capture", holder.ID)
	require.Equal(b.t, ledger.Unknown, holder.State)
	b.outcome("capture", ledger.OutcomeNoEffect)
	b.holds(k, "key/total", counters{committed: dollars(60)})
}

func restartReopened(b *reborn) {
	k := b.issue(nil)
	r := ask(k, "c", dollars(5))
	b.reserve(r)
	b.outcome("c", ledger.OutcomeRefused)
	b.restart()
	b.reserve(r)
	b.restart()
	c := b.recall("c")
	require.Equal(b.t, ledger.Unknown, c.State)
	require.Equal(b.t, 1, c.Unproven)
	require.Equal(b.t, 2, c.Sends)
}

func restartDurable(b *reborn) {
	k := b.issue(func(s *ledger.KeySpec) { s.Terms = ledger.Terms{TotalCap: limit(1000)} })
	const n = 200
	for _, err := range inParallel(n, func(i int) error {
		_, err := b.store.Reserve(b.ctx, ask(k, numbered("c", i), dollars(1)))
		return err
	}) {
		require.NoError(b.t, err)
	}
	b.restart()
	calls, err := b.store.Calls(b.ctx, ledger.CallFilter{State: ledger.Unknown})
	require.NoError(b.t, err)
	require.Len(b.t, calls, n)
	b.holds(k, "run/total", counters{unknown: dollars(n)})
}

func restartRevoked(b *reborn) {
	k := b.issue(nil)
	other := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key_2", "issue_2", "another run" })
	_, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	_, err = b.store.CloseRun(b.ctx, "", "another run")
	require.NoError(b.t, err)
	b.restart()
	require.Equal(b.t, ledger.KeyRevoked, b.denied(ask(k, "a", dollars(1))).Reason)
	require.Equal(b.t, ledger.KeyRevoked, b.denied(ask(other, "b", dollars(1))).Reason)
	_, _, err = b.store.Issue(b.ctx, spec())
	require.ErrorIs(b.t, err, ledger.ErrRunRevoked)
}

func restartIdentity(b *reborn) {
	k := b.issue(nil)
	name := b.store.LedgerID()
	b.restart()
	require.Equal(b.t, name, b.store.LedgerID())
	again, minted, err := b.store.Issue(b.ctx, spec())
	require.NoError(b.t, err)
	require.False(b.t, minted)
	require.Equal(b.t, k, again)
}

func restartBudgets(b *reborn) {
	k := b.daily()
	b.callIn(k, "c", ledger.Settled, dollars(8))
	b.restart()
	require.Equal(b.t, "key/day", b.denied(ask(k, "d", dollars(3))).Kind)
	b.clock.Set(midnight())
	b.restart()
	b.reserve(ask(k, "d", dollars(3)))
	b.holds(k, "run/total", counters{settled: dollars(8), inFlight: dollars(3)})
}

func restartClaim(b *reborn) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Unknown, dollars(1))
	_, err := b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.NoError(b.t, err)
	b.restart()
	_, err = b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.ErrorIs(b.t, err, ledger.ErrClaimed, "its send may still be on the wire")
	b.clock.Advance(time.Minute)
	_, err = b.store.Claim(b.ctx, b.seq("c"), time.Minute)
	require.NoError(b.t, err)
}
