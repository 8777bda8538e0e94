package audit_test

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/audit"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

var row = client.AuditRow{
	Seq: 7, At: time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC), Verdict: "settled", Code: "succeeded", By: "caller",
	AgentRunLabel: "temporal/default/billing-pro-2026-11", KeyID: "k1", CallID: "call_1", Item: "3", WorkflowID: "w1",
	Vendor: "stripe", Method: "POST", Path: "/v1/payment_intents", IdempotencyKey: "w1-3", Status: 200,
	PriceUSD: 49 * money.Dollar, AmountUSD: 49*money.Dollar + 5*money.Micro, ObjectID: "pi_1", DurationMS: 12, Who: "Jürgen", Note: "looked",
}

func readCSV(t *testing.T, body []byte) []map[string]string {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(string(body))).ReadAll()
	require.NoError(t, err)
	require.NotEmpty(t, records)
	var rows []map[string]string
	for _, record := range records[1:] {
		named := map[string]string{}
		for i, cell := range record {
			named[records[0][i]] = cell
		}
		rows = append(rows, named)
	}
	return rows
}

func TestEncode_WritesCSVForSpreadsheets(t *testing.T) {
	t.Parallel()
	body, kind, err := audit.Encode("csv", []client.AuditRow{row})
	require.NoError(t, err)
	require.Equal(t, "text/csv; charset=utf-8", kind)
	require.Equal(t, []map[string]string{{
		"seq": "7", "at": "2026-11-23T12:00:00.000000005Z", "verdict": "settled", "code": "succeeded", "by": "caller",
		"agent_run_label": "temporal/default/billing-pro-2026-11", "key_id": "k1", "call_id": "call_1", "item": "3", "workflow_id": "w1",
		"vendor": "stripe", "method": "POST", "path": "/v1/payment_intents", "idempotency_key": "w1-3", "status": "200",
		"price_usd": "49.00", "amount_usd": "49.000005", "object_id": "pi_1", "duration_ms": "12", "who": "Jürgen", "note": "looked",
	}}, readCSV(t, body))
}

func TestEncode_HasAColumnForEveryFieldOfTheJSON(t *testing.T) {
	t.Parallel()
	body, _, err := audit.Encode("csv", []client.AuditRow{row})
	require.NoError(t, err)
	encoded, err := json.Marshal(row)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(encoded, &fields))
	for name := range fields {
		require.Contains(t, readCSV(t, body)[0], name)
	}
}

func TestEncode_WritesNoFormulasThatACallerMadeUp(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`=HYPERLINK("http://x","y")`, "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "\n=1"} {
		hostile := row
		hostile.Item, hostile.WorkflowID, hostile.IdempotencyKey, hostile.AgentRunLabel, hostile.ObjectID, hostile.Code = text, text, text, text, text, text
		body, _, err := audit.Encode("csv", []client.AuditRow{hostile})
		require.NoError(t, err)
		got := readCSV(t, body)[0]
		for _, column := range []string{"item", "workflow_id", "idempotency_key", "agent_run_label", "object_id", "code"} {
			require.Equal(t, "'"+strings.ReplaceAll(text, "\r\n", "\n"), got[column], column)
		}
	}
}

func TestEncode_KeepsTextWithSeparatorsInItsCell(t *testing.T) {
	t.Parallel()
	hostile := row
	hostile.Item = `a,"b"` + "\n" + `8,forged,settled`
	body, _, err := audit.Encode("csv", []client.AuditRow{hostile})
	require.NoError(t, err)
	rows := readCSV(t, body)
	require.Len(t, rows, 1)
	require.Equal(t, hostile.Item, rows[0]["item"])
}

func TestEncode_LeavesNumbersNumbers(t *testing.T) {
	t.Parallel()
	corrected := row
	corrected.AmountUSD = -money.Dollar
	body, _, err := audit.Encode("csv", []client.AuditRow{corrected})
	require.NoError(t, err)
	require.Equal(t, "-1.00", readCSV(t, body)[0]["amount_usd"])
}

func TestEncode_WritesOneJSONObjectALine(t *testing.T) {
	t.Parallel()
	hostile := row
	hostile.Item = "a\nb"
	body, kind, err := audit.Encode("ndjson", []client.AuditRow{row, hostile})
	require.NoError(t, err)
	require.Equal(t, "application/x-ndjson", kind)
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	require.Len(t, lines, 2)
	for i, want := range []client.AuditRow{row, hostile} {
		var got client.AuditRow
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &got))
		require.Equal(t, want, got)
	}
}

func TestEncode_OfNothingIsStillValid(t *testing.T) {
	t.Parallel()
	body, _, err := audit.Encode("csv", nil)
	require.NoError(t, err)
	require.Empty(t, readCSV(t, body), "the header alone")
	body, _, err = audit.Encode("ndjson", nil)
	require.NoError(t, err)
	require.Empty(t, body)
}

func TestEncode_RefusesOtherFormats(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"", "json", "CSV", "xml"} {
		_, _, err := audit.Encode(format, nil)
		require.EqualError(t, err, "format must be json, ndjson or csv")
	}
}
