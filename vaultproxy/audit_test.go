package vaultproxy_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

func TestAudit_HasOneRowForEachCallAndDenial(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	made := b.post(key.VaultKey, intents, "item-1", charge, "Tollgate-Item", "1", "Tollgate-Workflow-Id", "wf")
	b.post(key.VaultKey, intents, "item-1", charge)
	b.post(key.VaultKey, intents, "item-2", charge)
	b.post(key.VaultKey, "/stripe/v1/subscriptions", "item-3", "")
	b.get(key.VaultKey, intents+"/"+made.text("id"))
	revoke(b, key)
	b.post(key.VaultKey, intents, "item-4", charge)

	page, err := b.control.Audit(t.Context(), client.AuditQuery{Run: b.run()})
	require.NoError(t, err)
	type line struct {
		verdict, code, by string
		status            int
	}
	var got []line
	for _, row := range page.Rows {
		got = append(got, line{row.Verdict, row.Code, row.By, row.Status})
		require.Equal(t, key.KeyID, row.KeyID)
	}
	require.Equal(t, []line{
		{"issued", "", "admin", 0},
		{"settled", "succeeded", "caller", 200},
		{"replayed", "succeeded", "caller", 200},
		{"denied", "cap_exhausted", "caller", 429},
		{"denied", "unmetered_operation", "caller", 403},
		{"read", "", "caller", 200},
		{"revoked", "", "admin", 0},
		{"denied", "key_revoked", "caller", 401},
	}, got)
	row := page.Rows[1]
	require.Equal(t, made.header.Get("Tollgate-Call-Id"), row.CallID)
	require.Equal(t, "1", row.Item)
	require.Equal(t, "wf", row.WorkflowID)
	require.Equal(t, "/v1/payment_intents", row.Path)
	require.Equal(t, "item-1", row.IdempotencyKey)
	require.Equal(t, made.text("id"), row.ObjectID)
	require.Equal(t, money.Dollar, row.PriceUSD)
	require.Equal(t, money.Dollar, row.AmountUSD)
	require.Equal(t, money.Dollar, page.Rows[3].PriceUSD)
	require.Zero(t, page.Rows[3].AmountUSD)
}

func TestAudit_IsReadInPagesAndFiltered(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	for i := range 5 {
		require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, fmt.Sprintf("item-%d", i), charge).status)
		b.clock.advance(time.Minute)
	}
	var all []client.AuditRow
	cursor := ""
	for pages := 0; pages == 0 || cursor != ""; pages++ {
		require.Less(t, pages, 4)
		page, err := b.control.Audit(t.Context(), client.AuditQuery{Run: b.run(), Limit: 2, Cursor: cursor})
		require.NoError(t, err)
		all, cursor = append(all, page.Rows...), page.NextCursor
	}
	require.Len(t, all, 6)

	page, err := b.control.Audit(t.Context(), client.AuditQuery{Verdict: "settled", Since: all[2].At, Until: all[4].At})
	require.NoError(t, err)
	require.Equal(t, all[2:4], page.Rows)

	for _, bad := range []string{"?limit=0", "?limit=1001", "?limit=x", "?cursor=x", "?cursor=-1", "?since=yesterday", "?format=xml"} {
		got := b.admin(http.MethodGet, "/vault/audit"+bad, "")
		require.Equal(t, http.StatusBadRequest, got.status, bad)
	}
}

func TestAudit_IsWrittenForProgramsAndForSpreadsheets(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "=1+1", charge, "Tollgate-Item", "a,b").status)

	got := b.admin(http.MethodGet, "/vault/audit?format=ndjson&limit=1", "")
	require.Equal(t, "application/x-ndjson", got.header.Get("Content-Type"))
	require.NotEmpty(t, got.header.Get("Tollgate-Next-Cursor"))
	got = b.admin(http.MethodGet, "/vault/audit?format=ndjson", "")
	lines := strings.Split(strings.TrimSpace(got.raw), "\n")
	require.Len(t, lines, 2)
	var row client.AuditRow
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &row))
	require.Equal(t, "=1+1", row.IdempotencyKey)

	got = b.admin(http.MethodGet, "/vault/audit?format=csv", "")
	require.Equal(t, "text/csv; charset=utf-8", got.header.Get("Content-Type"))
	records, err := csv.NewReader(strings.NewReader(got.raw)).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 3)
	cell := map[string]string{}
	for i, name := range records[0] {
		cell[name] = records[2][i]
	}
	require.Equal(t, "'=1+1", cell["idempotency_key"], "no spreadsheet takes it for a formula")
	require.Equal(t, "a,b", cell["item"])
	require.Equal(t, "1.00", cell["amount_usd"])
}

func TestCalls_AreListedByStateAndByKey(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	b.sim.NextFaults(vendorsim.AnswerLost)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-2", charge, "Tollgate-Item", "2").code())

	page, err := b.control.Calls(t.Context(), client.CallQuery{State: "unknown"})
	require.NoError(t, err)
	require.Len(t, page.Calls, 1)
	got := page.Calls[0]
	require.Equal(t, "item-2", got.IdempotencyKey)
	require.Equal(t, "2", got.Item)
	require.Equal(t, "answer_lost", got.Reason)
	require.Equal(t, "payment_intents.create", got.Operation)
	require.Equal(t, money.Dollar, got.HoldUSD)
	require.Zero(t, got.SettledUSD)
	require.Nil(t, got.FinalAt)
	page, err = b.control.Calls(t.Context(), client.CallQuery{Run: b.run(), Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "item-1", page.Calls[0].IdempotencyKey)
	page, err = b.control.Calls(t.Context(), client.CallQuery{Run: b.run(), Limit: 1, Cursor: page.NextCursor})
	require.NoError(t, err)
	require.Equal(t, "item-2", page.Calls[0].IdempotencyKey)
}

func TestReport_SumsUpARun(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(3 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	declined := strings.Replace(charge, "pm_card_visa", "pm_card_chargeDeclined", 1)
	require.Equal(t, http.StatusPaymentRequired, b.post(key.VaultKey, intents, "item-2", declined).status)
	b.sim.NextFaults(vendorsim.ClosedAfterRead)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-3", charge).code())
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-3", charge).status)
	b.create(key, "item-4", "amount=100&currency=usd")
	require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "item-5", charge).code())
	require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "item-6", charge).code())

	got := b.report()
	require.Equal(t, b.run(), got.AgentRunLabel)
	require.Equal(t, client.CallCounts{Settled: 2, Released: 1, Committed: 1}, got.Calls)
	require.Equal(t, 1, got.Declined)
	require.Equal(t, 2, got.Replays, "item-1 again, and what the proof of item-3 came to")
	require.Equal(t, 1, got.Resends)
	require.Equal(t, []client.Denials{{Code: "cap_exhausted", Count: 2}}, got.Denied)
	require.Equal(t, []client.Spend{{Vendor: "stripe", Calls: 4, SettledUSD: 2 * money.Dollar, HeldUSD: money.Dollar}}, got.Vendors)
	require.Equal(t, 2*money.Dollar, got.Budget.SettledUSD)
	require.NotNil(t, got.FirstCallAt)
	require.False(t, got.Closed)
}
