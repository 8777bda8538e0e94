package ledgertest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func listTests() []test {
	return []test{
		{"CallsAreListedInOrderOfReservation", listCalls},
		{"KeysAreListedNewestFirst", listKeys},
		{"ARunReportAddsUpTheRun", listReport},
		{"WhatIsNotThereIsNotFound", listNotFound},
		{"L13_TheStoreTellsItsClock", listNow},
		{"L13_TimesReadAsTheyWereTold", listTimes},
	}
}

func ids(calls []ledger.Call) []string {
	out := []string{}
	for _, c := range calls {
		out = append(out, c.ID)
	}
	return out
}

func listCalls(b *bundle) {
	k := b.issue(nil)
	theirs := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Tenant, s.Run = "key_2", "issue_2", "acme", "other" })
	b.callIn(k, "a", ledger.Settled, dollars(1))
	b.callIn(k, "b", ledger.Unknown, dollars(1))
	b.callIn(theirs, "c", ledger.Settled, dollars(1))
	b.callIn(k, "d", ledger.Settled, dollars(1))
	second := b.recall("b").Seq
	for name, c := range map[string]struct {
		filter ledger.CallFilter
		want   []string
	}{
		"no filter":              {ledger.CallFilter{}, []string{"a", "b", "c", "d"}},
		"by run":                 {ledger.CallFilter{Run: runLabel}, []string{"a", "b", "d"}},
		"by tenant":              {ledger.CallFilter{Tenant: "acme"}, []string{"c"}},
		"by state":               {ledger.CallFilter{State: ledger.Settled}, []string{"a", "c", "d"}},
		"by idempotency key":     {ledger.CallFilter{IdempotencyKey: "idem_d"}, []string{"d"}},
		"a page":                 {ledger.CallFilter{Limit: 2}, []string{"a", "b"}},
		"the next page":          {ledger.CallFilter{After: second, Limit: 2}, []string{"c", "d"}},
		"all conditions at once": {ledger.CallFilter{Run: runLabel, State: ledger.Settled, After: second}, []string{"d"}},
	} {
		calls, err := b.store.Calls(b.ctx, c.filter)
		require.NoError(b.t, err, name)
		require.Equal(b.t, c.want, ids(calls), name)
	}
	calls, err := b.store.Calls(b.ctx, ledger.CallFilter{State: ledger.Unknown})
	require.NoError(b.t, err)
	want := b.recall("b")
	want.Request = nil // lists leave sealed parts out
	require.Equal(b.t, []ledger.Call{want}, calls)
}

func listKeys(b *bundle) {
	first := b.issue(nil)
	b.clock.Advance(time.Second)
	second := b.sameRun("second", ledger.Terms{TotalCap: limit(1)})
	b.clock.Advance(time.Second)
	third := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Tenant = "key_3", "issue_3", "acme" })
	for name, c := range map[string]struct {
		filter ledger.KeyFilter
		want   []ledger.Key
	}{
		"no filter": {ledger.KeyFilter{}, []ledger.Key{third, second, first}},
		"by run":    {ledger.KeyFilter{Run: runLabel}, []ledger.Key{third, second, first}},
		"by tenant": {ledger.KeyFilter{Tenant: "acme"}, []ledger.Key{third}},
		"a page":    {ledger.KeyFilter{Limit: 2}, []ledger.Key{third, second}},
		"nothing":   {ledger.KeyFilter{Run: "no such run"}, []ledger.Key{}},
	} {
		keys, err := b.store.Keys(b.ctx, c.filter)
		require.NoError(b.t, err, name)
		require.Equal(b.t, c.want, keys, name)
	}
}

func listReport(b *bundle) {
	k := b.issue(nil)
	texts := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Vendor = "key_2", "issue_2", "twilio" })
	elsewhere := b.issue(func(s *ledger.KeySpec) { s.KeyID, s.IssueID, s.Run = "key_3", "issue_3", "another run" })
	b.callIn(elsewhere, "elsewhere", ledger.Settled, dollars(50))
	started := b.clock.Now()
	b.callIn(k, "settled", ledger.Settled, dollars(10))
	b.callIn(k, "committed", ledger.Committed, dollars(2))
	b.callIn(k, "in flight", ledger.Dispatched, dollars(3))
	b.callIn(texts, "text", ledger.Settled, dollars(1))
	b.reserve(ask(k, "declined", dollars(5)))
	b.resolve(ledger.Resolution{Seq: b.seq("declined"), Outcome: ledger.OutcomeReleased, Declined: true, Answered: true})
	b.callIn(k, "in doubt", ledger.Unknown, dollars(4))
	b.clock.Advance(time.Minute)
	b.claimAndResend("in doubt")
	for range 2 {
		b.record(ledger.AuditRow{Verdict: ledger.VerdictDenied, Code: "cap_exhausted", Run: runLabel})
	}
	b.record(ledger.AuditRow{Verdict: ledger.VerdictDenied, Code: "endpoint_not_allowed", Run: runLabel})
	b.record(ledger.AuditRow{Verdict: ledger.VerdictDenied, Code: "cap_exhausted", Run: "another run"})
	b.record(ledger.AuditRow{Verdict: ledger.VerdictReplayed, Run: runLabel})

	reports, err := b.store.RunReports(b.ctx, runLabel)
	require.NoError(b.t, err)
	require.Equal(b.t, []ledger.RunReport{{
		Run: runLabel, FirstCall: started, LastAt: b.clock.Now(),
		Budget: ledger.Budget{
			Scope: "run", Name: runLabel, Window: ledger.WindowTotal, Cap: dollars(100),
			Settled: dollars(11), InFlight: dollars(3), Committed: dollars(2), Unknown: dollars(4),
		},
		Counts:   ledger.Counts{InFlight: 1, Settled: 2, Committed: 1, Released: 1, Unknown: 1},
		Declined: 1, Replays: 1, Resends: 1,
		Denied: map[string]int{"cap_exhausted": 2, "endpoint_not_allowed": 1},
		Vendors: map[string]ledger.VendorSpend{
			"stripe": {Calls: 5, Settled: dollars(10), Held: dollars(9)},
			"twilio": {Calls: 1, Settled: dollars(1)},
		},
	}}, reports)
	all, err := b.store.RunReports(b.ctx, "")
	require.NoError(b.t, err)
	require.Len(b.t, all, 2)
	require.Equal(b.t, "another run", all[0].Run, "newest first")
}

func listNotFound(b *bundle) {
	_, err := b.store.Find(b.ctx, "nobody's")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
	_, err = b.store.Booking(b.ctx, vendorName, "nothing")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
	_, err = b.store.Key(b.ctx, "key_nobody")
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
	require.False(b.t, undecided(err))
	reports, err := b.store.RunReports(b.ctx, "no such run")
	require.NoError(b.t, err)
	require.Empty(b.t, reports)
	require.NotEmpty(b.t, b.store.LedgerID())
}

func listNow(b *bundle) {
	now, err := b.store.Now(b.ctx)
	require.NoError(b.t, err)
	require.Equal(b.t, b.clock.Now(), now)
}

func listTimes(b *bundle) {
	b.clock.Advance(123_456_789 * time.Nanosecond) // finer than any store keeps
	k := b.issue(nil)
	read, err := b.store.Key(b.ctx, k.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, k, read)
	require.Equal(b.t, b.reserve(ask(k, "c", dollars(1))).Call, b.recall("c"))
	require.Equal(b.t, b.settle("c", dollars(1)), b.recall("c"))
	first, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	again, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, first, again)
}
