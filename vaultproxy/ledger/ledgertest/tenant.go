package ledgertest

import (
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func tenantTests() []test {
	return []test{
		{"L1_ATenantsBudgetBoundsAllItsRuns", tenantBounds},
		{"L1_ATenantsDailyBudgetStartsAnewAtMidnightUTC", tenantDay},
		{"L1_ACapThatIsLoweredStopsWhatComesAndKeepsWhatIs", tenantLowered},
		{"L2_ATenantsBudgetCountsTheCallsThatWereThereBeforeIt", tenantLate},
		{"L2_ATenantsFirstDailyCapTakesInWhatIsOpenOfEarlierDays", tenantLateDay},
		{"L9_RevokingATenantStopsAllItsKeysAndNobodyElses", tenantRevoked},
		{"L16_OnlySetCapMovesTheCapOfARun", runCapSet},
		{"L16_ARaisedRunCapDoesNotPartARunFromItsKeys", runCapReissued},
		{"ACapOfARunThatIsNotThereIsNotFound", capOfNothing},
		{"SettingACapIsAuditedWithWhoAndWhy", capAudited},
		{"BudgetsOfRunsAndTenantsAreListed", budgetsListed},
	}
}

// ofTenant mints a key for a run of a tenant.
func (b *bundle) ofTenant(tenant, run string, cents int64) ledger.Key {
	b.t.Helper()
	return b.issue(func(s *ledger.KeySpec) {
		s.KeyID, s.IssueID, s.Run, s.Tenant = "key_"+tenant+run, "issue_"+tenant+run, run, tenant
		s.ExpiresIn = 100 * 3600e9
		s.Terms = ledger.Terms{TotalCap: limit(cents)}
	})
}

func (b *bundle) setCap(change ledger.CapChange) ledger.Budget {
	b.t.Helper()
	change.Who, change.Note = "ada", "because"
	out, err := b.store.SetCap(b.ctx, change)
	require.NoError(b.t, err)
	require.Equal(b.t, change.Cap, out.Cap)
	return out
}

// tenantCap is a cap of the tenant acme.
func tenantCap(span string, dollar int64) ledger.CapChange {
	return ledger.CapChange{Scope: ledger.ScopeTenant, Tenant: "acme", Span: span, Cap: dollars(dollar)}
}

func tenantBounds(b *bundle) {
	b.setCap(tenantCap(ledger.SpanTotal, 15))
	one, two := b.ofTenant("acme", "one", 100), b.ofTenant("acme", "two", 100)
	other := b.ofTenant("umbrella", "one", 100)
	b.reserve(ask(one, "a", dollars(8)))
	d := b.denied(ask(two, "b", dollars(8)))
	require.Equal(b.t, ledger.CapContended, d.Reason)
	require.Equal(b.t, "tenant/total", d.Kind)
	b.settle("a", dollars(8))
	d = b.denied(ask(two, "b", dollars(8)))
	require.Equal(b.t, ledger.CapExhausted, d.Reason)
	require.Equal(b.t, dollars(8), d.Budget.Settled)
	b.reserve(ask(two, "c", dollars(7)))
	b.reserve(ask(other, "d", dollars(50)))
	b.holds(two, "tenant/total", counters{settled: dollars(8), inFlight: dollars(7)})
}

func tenantDay(b *bundle) {
	b.clock.Set(midnight().Add(-1))
	b.setCap(tenantCap(ledger.SpanDay, 10))
	k := b.ofTenant("acme", "run", 100)
	b.callIn(k, "monday", ledger.Settled, dollars(10))
	require.Equal(b.t, "tenant/day", b.denied(ask(k, "late", dollars(1))).Kind)
	b.clock.Set(midnight())
	b.reserve(ask(k, "tuesday", dollars(10)))
	b.holds(k, "tenant/day", counters{inFlight: dollars(10)})
}

func tenantLowered(b *bundle) {
	b.setCap(tenantCap(ledger.SpanTotal, 20))
	k := b.ofTenant("acme", "run", 100)
	b.callIn(k, "settled", ledger.Settled, dollars(8))
	b.reserve(ask(k, "in flight", dollars(7)))
	out := b.setCap(tenantCap(ledger.SpanTotal, 10))
	require.Equal(b.t, dollars(8), out.Settled)
	require.Zero(b.t, out.Remaining())
	require.Equal(b.t, ledger.CapContended, b.denied(ask(k, "more", dollars(1))).Reason, "what is in flight may still come back")
	b.settle("in flight", dollars(7))
	require.Equal(b.t, ledger.CapExhausted, b.denied(ask(k, "more", dollars(1))).Reason)
	b.setCap(tenantCap(ledger.SpanTotal, 16))
	b.reserve(ask(k, "more", dollars(1)))
}

func tenantLate(b *bundle) {
	k := b.ofTenant("acme", "run", 100)
	for i, state := range []ledger.State{ledger.Settled, ledger.Dispatched, ledger.Committed, ledger.Unknown, ledger.Released} {
		b.callIn(k, string(state), state, dollars(int64(i)+1))
	}
	b.callIn(b.ofTenant("umbrella", "run", 100), "theirs", ledger.Settled, dollars(50))
	want := counters{settled: dollars(1), inFlight: dollars(2), committed: dollars(3), unknown: dollars(4)}
	require.Equal(b.t, want, countersOf(b.setCap(tenantCap(ledger.SpanTotal, 12))))
	require.Equal(b.t, want, countersOf(b.setCap(tenantCap(ledger.SpanDay, 12))))
	b.holds(k, "tenant/total", want)
	b.holds(k, "tenant/day", want)
	require.Equal(b.t, ledger.CapContended, b.denied(ask(k, "more", dollars(3))).Reason)
	b.settle(string(ledger.Dispatched), dollars(1))
	b.reserve(ask(k, "more", dollars(3)))
}

// A call of yesterday is booked on yesterday's budget, which nobody has opened if
// the tenant got its first daily cap only today.
func tenantLateDay(b *bundle) {
	k := b.ofTenant("acme", "run", 100)
	b.callIn(k, "settled", ledger.Settled, dollars(1))
	b.callIn(k, "to settle", ledger.Dispatched, dollars(2))
	b.callIn(k, "to doubt", ledger.Dispatched, dollars(3))
	b.callIn(k, "to capture", ledger.Dispatched, dollars(4))
	b.commit("to capture", "obj_1")
	b.clock.Set(midnight())
	b.setCap(tenantCap(ledger.SpanDay, 5))
	b.settle("to settle", dollars(2))
	b.outcome("to doubt", ledger.OutcomeUnknown)
	b.sound()
	b.reserve(b.capture(k, "capture", "to capture", "obj_1", dollars(4)))
	b.settle("capture", dollars(4))
	b.settle("to doubt", dollars(3))
	b.sound()
	b.holds(k, "tenant/day", counters{settled: dollars(4)})
	require.Equal(b.t, "tenant/day", b.denied(ask(k, "more", dollars(2))).Kind)
}

func tenantRevoked(b *bundle) {
	one, two := b.ofTenant("acme", "one", 100), b.ofTenant("acme", "two", 100)
	other := b.ofTenant("umbrella", "one", 100)
	b.reserve(ask(one, "in flight", dollars(3)))
	out, err := b.store.RevokeTenant(b.ctx, "acme")
	require.NoError(b.t, err)
	require.Equal(b.t, []string{one.ID, two.ID}, out.KeyIDs)
	require.Equal(b.t, 1, out.InFlight)
	require.Equal(b.t, dollars(3), out.InFlightUSD)
	for _, k := range []ledger.Key{one, two} {
		require.Equal(b.t, ledger.KeyRevoked, b.denied(ask(k, "after "+k.ID, dollars(1))).Reason)
	}
	b.reserve(ask(other, "theirs", dollars(1)))
	_, err = b.store.RevokeTenant(b.ctx, "nobody")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func runCapSet(b *bundle) {
	k := b.capped(ledger.Terms{DailyCap: limit(50), RunCap: limit(10)})
	require.Equal(b.t, ledger.CapExhausted, b.denied(ask(k, "large", dollars(12))).Reason)
	out := b.setCap(ledger.CapChange{Scope: ledger.ScopeRun, Name: runLabel, Span: ledger.SpanTotal, Cap: dollars(20)})
	require.Equal(b.t, runLabel, out.Name)
	b.reserve(ask(k, "large", dollars(12)))
	require.Equal(b.t, dollars(20), b.budget(k, "run/total").Cap)
}

func runCapReissued(b *bundle) {
	s := spec()
	s.Terms = ledger.Terms{RunCap: limit(10)}
	k, _, err := b.store.Issue(b.ctx, s)
	require.NoError(b.t, err)
	b.setCap(ledger.CapChange{Scope: ledger.ScopeRun, Name: runLabel, Span: ledger.SpanTotal, Cap: dollars(20)})
	again, minted, err := b.store.Issue(b.ctx, s)
	require.NoError(b.t, err)
	require.False(b.t, minted)
	require.Equal(b.t, k.ID, again.ID)
	next := b.sameRun("next", ledger.Terms{RunCap: limit(10)})
	b.reserve(ask(next, "c", dollars(20)))
	other := spec()
	other.KeyID, other.IssueID, other.Phase, other.Terms = "key_9", "issue_9", "other", ledger.Terms{RunCap: limit(20)}
	_, _, err = b.store.Issue(b.ctx, other)
	require.ErrorIs(b.t, err, ledger.ErrPolicyConflict, "a run's cap is what its first key asked for, and what a person made of it")
}

func capOfNothing(b *bundle) {
	_, err := b.store.SetCap(b.ctx, ledger.CapChange{Scope: ledger.ScopeRun, Name: "nobody's", Span: ledger.SpanTotal, Cap: dollars(1)})
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func capAudited(b *bundle) {
	b.ofTenant("acme", "run", 100)
	b.setCap(tenantCap(ledger.SpanTotal, 15))
	b.setCap(tenantCap(ledger.SpanTotal, 25))
	rows, err := b.store.Audit(b.ctx, ledger.AuditFilter{Verdict: ledger.VerdictCapSet})
	require.NoError(b.t, err)
	require.Len(b.t, rows, 2)
	last := rows[1]
	require.Equal(b.t, []any{"acme", "tenant/total", ledger.ByPerson, "ada", "because"}, []any{last.Tenant, last.Code, last.By, last.Who, last.Note})
	require.Equal(b.t, []money.USD{dollars(15), dollars(25)}, []money.USD{last.Price, last.Amount}, "from one cap to the other")
}

func budgetsListed(b *bundle) {
	b.setCap(tenantCap(ledger.SpanTotal, 15))
	k := b.ofTenant("acme", "one", 100)
	b.ofTenant("umbrella", "two", 100)
	b.callIn(k, "c", ledger.Settled, dollars(4))
	for name, c := range map[string]struct {
		filter ledger.BudgetFilter
		want   []string
	}{
		"all":              {ledger.BudgetFilter{}, []string{"run/two", "run/one", "tenant/acme"}},
		"runs":             {ledger.BudgetFilter{Scope: ledger.ScopeRun}, []string{"run/two", "run/one"}},
		"tenants":          {ledger.BudgetFilter{Scope: ledger.ScopeTenant}, []string{"tenant/acme"}},
		"by name":          {ledger.BudgetFilter{Scope: ledger.ScopeRun, Name: "one"}, []string{"run/one"}},
		"all of a tenant":  {ledger.BudgetFilter{Tenant: "acme"}, []string{"run/one", "tenant/acme"}},
		"no more than one": {ledger.BudgetFilter{Limit: 1}, []string{"run/two"}},
	} {
		rows, err := b.store.Budgets(b.ctx, c.filter)
		require.NoError(b.t, err, name)
		got := []string{}
		for _, row := range rows {
			got = append(got, row.Scope+"/"+row.Name)
			if row.Name == "one" {
				require.Equal(b.t, "acme", row.Tenant)
				require.Equal(b.t, dollars(4), row.Settled)
			}
		}
		require.Equal(b.t, c.want, got, name)
	}
}
