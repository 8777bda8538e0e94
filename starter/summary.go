package main

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/workflows"
)

// writeSummary shows how a run ended: every customer under one outcome, what was
// spent of the budget, and why it ended when it did.
func writeSummary(out io.Writer, s workflows.Summary) error {
	if _, err := fmt.Fprintf(out, "\n%s\n\n", s.WorkflowID); err != nil {
		return err
	}
	if err := writeTables(out, outcomeTable(s), spendTable(s)); err != nil {
		return err
	}
	if err := writeNotices(out, s); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n%s\n", ending(s), keyEnd(s))
	return err
}

func outcomeTable(s workflows.Summary) table.Writer {
	t := newTable("outcome", "customers", "meaning")
	alignRight(t, 2)
	for _, row := range []struct {
		outcome string
		count   int
		meaning string
	}{
		{"charged", s.Charged, "the vendor took the payment"},
		{"declined", s.Declined, "the vendor refused the payment"},
		{"cap denied", s.CapDenied, "the proxy refused: no room under a cap"},
		{"not attempted", s.NotAttempted, "the run had stopped before"},
		{"unknown", s.Unknown, "no proof of what the vendor did"},
		{"failed", s.Failed, "without effect, and not a decline"},
		{"rejected", s.Rejected, "needed an approval and got none"},
	} {
		if row.outcome == "rejected" && row.count == 0 {
			continue // most runs ask for no approval
		}
		t.AppendRow(table.Row{row.outcome, count(row.count), row.meaning})
	}
	t.AppendFooter(table.Row{"customers", count(s.Customers)})
	return t
}

func spendTable(s workflows.Summary) table.Writer {
	t := newTable("budget", "usd", "meaning")
	alignRight(t, 2)
	settled := "what the ledger booked"
	if !s.LedgerRead {
		settled = "the run's own sum; the ledger was silent"
	}
	t.AppendRow(table.Row{"cap", dollars(s.CapUSD), "the run never spends more"})
	t.AppendRow(table.Row{"settled", dollars(s.SettledUSD), settled})
	if s.CommittedUSD != 0 {
		t.AppendRow(table.Row{"committed", dollars(s.CommittedUSD), "certain, final amount still open"})
	}
	if s.UnknownUSD != 0 {
		t.AppendRow(table.Row{"unknown", dollars(s.UnknownUSD), "held until there is proof"})
	}
	t.AppendFooter(table.Row{"left", dollars(s.CapUSD - s.SettledUSD - s.CommittedUSD - s.UnknownUSD)})
	return t
}

// ending explains the stop reasons that a person is likely to meet; the others
// are named as they are.
func ending(s workflows.Summary) string {
	reason := s.StopReason
	switch {
	case reason == "" && s.Rejected > 0:
		return "Every customer was attempted, but for those who were rejected."
	case reason == "":
		return "Every customer was attempted."
	}
	why := map[string]string{
		activities.TypeCapExhausted:       "the budget had no room for the next charge",
		activities.TypeKeyRevoked:         "its vault key was revoked",
		activities.TypeKeyExpired:         "its vault key expired once more than --key-renewals allows",
		activities.TypeKeyUnknown:         "the proxy does not know its vault key; has the ledger been replaced?",
		activities.TypeWrongLedger:        "the worker's proxy keeps another ledger; start it on the run's own state folder",
		activities.TypeVendorCredentials:  "the vendor refused the proxy's secret",
		activities.TypeEndpointNotAllowed: "its vault key does not allow the call",
		activities.TypeProxyUnreachable:   "the vault proxy did not answer for as long as --outage-limit; finish the run with 'starter run --continue'",
		workflows.StopBatchLost:           "some charges were cut off, by a batch that was ended or took longer than --batch-timeout; finish the run with 'starter run --continue'",
		workflows.StopCanceled:            "it was canceled",
	}[reason]
	if why == "" {
		return "Stopped by " + reason + "."
	}
	return "Stopped by " + reason + ": " + why + "."
}

func keyEnd(s workflows.Summary) string {
	switch {
	case s.KeyID == "":
		return "It had no vault key."
	case s.KeyRevoked:
		return "Its vault key " + s.KeyID + " is revoked."
	}
	return "Its vault key " + s.KeyID + " could not be revoked and lives until it expires."
}
