// Package audit writes the ledger's audit rows for people and their tools:
// NDJSON for programs, CSV for spreadsheets.
package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
)

// Encode writes rows as "ndjson" or "csv" and returns the text and its media type.
func Encode(format string, rows []client.AuditRow) (body []byte, mediaType string, err error) {
	var b bytes.Buffer
	switch format {
	case "ndjson":
		enc := json.NewEncoder(&b)
		for _, row := range rows {
			if err := enc.Encode(row); err != nil {
				return nil, "", err
			}
		}
		return b.Bytes(), "application/x-ndjson", nil
	case "csv":
		if err := writeCSV(&b, rows); err != nil {
			return nil, "", err
		}
		return b.Bytes(), "text/csv; charset=utf-8", nil
	default:
		return nil, "", errors.New("format must be json, ndjson or csv")
	}
}

func writeCSV(b *bytes.Buffer, rows []client.AuditRow) error {
	w := csv.NewWriter(b)
	if err := w.Write([]string{
		"seq", "at", "verdict", "code", "by", "agent_run_label", "key_id", "call_id", "item", "workflow_id", "vendor",
		"method", "path", "idempotency_key", "status", "price_usd", "amount_usd", "object_id", "duration_ms", "who", "note",
	}); err != nil {
		return err
	}
	for _, r := range rows {
		record := []string{
			strconv.FormatInt(r.Seq, 10), r.At.Format(time.RFC3339Nano), inert(r.Verdict), inert(r.Code), inert(r.By),
			inert(r.AgentRunLabel), inert(r.KeyID), inert(r.CallID), inert(r.Item), inert(r.WorkflowID), inert(r.Vendor),
			inert(r.Method), inert(r.Path), inert(r.IdempotencyKey), strconv.Itoa(r.Status),
			r.PriceUSD.String(), r.AmountUSD.String(), inert(r.ObjectID), strconv.FormatInt(r.DurationMS, 10),
			inert(r.Who), inert(r.Note),
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// inert keeps a spreadsheet from taking a caller's text for a formula. Numbers
// are not passed through it: a negative one is no formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
