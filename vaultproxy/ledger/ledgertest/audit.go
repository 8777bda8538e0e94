package ledgertest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func auditTests() []test {
	return []test{
		{"EveryMoveLeavesOneAuditRow", auditMoves},
		{"AMoveThatChangesNothingLeavesNone", auditNoMove},
		{"WhatADenialRecordsIsKept", auditRecord},
		{"AuditRowsAreFilteredAndPaged", auditFilter},
	}
}

func (b *bundle) record(a ledger.AuditRow) {
	b.t.Helper()
	require.NoError(b.t, b.store.Record(b.ctx, a))
}

func (b *bundle) audit(f ledger.AuditFilter) []ledger.AuditRow {
	b.t.Helper()
	rows, err := b.store.Audit(b.ctx, f)
	require.NoError(b.t, err)
	return rows
}

func auditMoves(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "c", dollars(5)))
	b.outcome("c", ledger.OutcomeUnknown)
	b.clock.Advance(time.Second)
	b.resolve(ledger.Resolution{
		Seq: b.seq("c"), Outcome: ledger.OutcomeSettled, Amount: dollars(4), Reason: "succeeded", Object: "ch_1",
		Audit: ledger.AuditRow{By: ledger.ByReconciler, Status: 200, Duration: 70 * time.Millisecond},
	})
	_, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)

	rows := b.audit(ledger.AuditFilter{})
	verdicts := []string{}
	for _, row := range rows {
		verdicts = append(verdicts, row.Verdict)
	}
	require.Equal(b.t, []string{"issued", "unknown", "settled", "revoked"}, verdicts)
	require.Equal(b.t, ledger.AuditRow{
		Seq: rows[0].Seq, At: b.clock.Now().Add(-time.Second), Verdict: ledger.VerdictIssued, By: ledger.ByAdmin,
		Run: runLabel, KeyID: k.ID, Vendor: vendorName,
	}, rows[0])
	require.Equal(b.t, ledger.AuditRow{
		Seq: rows[2].Seq, At: b.clock.Now(), Verdict: "settled", Code: "succeeded", By: ledger.ByReconciler, Run: runLabel,
		KeyID: k.ID, CallID: "c", Item: "17", WorkflowID: "wf", Vendor: vendorName, Method: "POST", Path: "/v1/charges",
		IdempotencyKey: "idem_c", Status: 200, Price: dollars(5), Amount: dollars(4), Object: "ch_1",
		Duration: 70 * time.Millisecond,
	}, rows[2])
}

func auditNoMove(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Settled, dollars(5))
	before := len(b.audit(ledger.AuditFilter{}))
	_, moved, err := b.store.Resolve(b.ctx, ledger.Resolution{Seq: b.seq("c"), Outcome: ledger.OutcomeReleased})
	require.NoError(b.t, err)
	require.False(b.t, moved)
	b.exists(ask(k, "c", dollars(5)))
	_ = b.denied(ask(k, "d", dollars(96)))
	require.Len(b.t, b.audit(ledger.AuditFilter{}), before)
}

func auditRecord(b *bundle) {
	row := ledger.AuditRow{
		Verdict: ledger.VerdictDenied, Code: "endpoint_not_allowed", By: ledger.ByCaller, Tenant: "acme", Run: "r", KeyID: "k",
		CallID: "c", Item: "1", WorkflowID: "w", Vendor: "stripe", Method: "DELETE", Path: "/v1/customers/{id}",
		IdempotencyKey: "i", Status: 403, Price: dollars(1), Amount: dollars(2), Object: "o", Duration: time.Millisecond,
	}
	b.record(row)
	rows := b.audit(ledger.AuditFilter{})
	require.Len(b.t, rows, 1)
	row.Seq, row.At = rows[0].Seq, b.clock.Now()
	require.Equal(b.t, row, rows[0])
}

func auditFilter(b *bundle) {
	start := b.clock.Now()
	for _, row := range []ledger.AuditRow{
		{Code: "a", Verdict: "denied", Run: "r1", Tenant: "t1", KeyID: "k1", Vendor: "v1"},
		{Code: "b", Verdict: "read", Run: "r1", Tenant: "t2", KeyID: "k2", Vendor: "v1"},
		{Code: "c", Verdict: "denied", Run: "r2", Tenant: "t1", KeyID: "k2", Vendor: "v2"},
	} {
		b.record(row)
		b.clock.Advance(time.Second)
	}
	second := b.audit(ledger.AuditFilter{})[1].Seq
	for name, c := range map[string]struct {
		filter ledger.AuditFilter
		want   string
	}{
		"no filter":     {ledger.AuditFilter{}, "abc"},
		"by run":        {ledger.AuditFilter{Run: "r1"}, "ab"},
		"by tenant":     {ledger.AuditFilter{Tenant: "t1"}, "ac"},
		"by key":        {ledger.AuditFilter{KeyID: "k2"}, "bc"},
		"by vendor":     {ledger.AuditFilter{Vendor: "v2"}, "c"},
		"by verdict":    {ledger.AuditFilter{Verdict: "denied"}, "ac"},
		"from a time":   {ledger.AuditFilter{Since: start.Add(time.Second)}, "bc"},
		"before a time": {ledger.AuditFilter{Until: start.Add(2 * time.Second)}, "ab"},
		"after a row":   {ledger.AuditFilter{After: second}, "c"},
		"a page":        {ledger.AuditFilter{Limit: 1}, "a"},
		"two at once":   {ledger.AuditFilter{Verdict: "denied", Run: "r2"}, "c"},
	} {
		var codes strings.Builder
		for _, row := range b.audit(c.filter) {
			codes.WriteString(row.Code)
		}
		require.Equal(b.t, c.want, codes.String(), name)
	}
}
