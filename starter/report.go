package main

import (
	"context"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/tollgate/tollgate/vaultproxy/client"
)

func (p *program) reportCommand() *cobra.Command {
	var t target
	var c control
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "report (WORKFLOW_ID | --plan PLAN --period YYYY-MM | --run-label LABEL)",
		Short:   "Show what a run spent, as the ledger has it",
		Example: "  starter report billing-pro-2026-11",
		Args:    oneArgumentAtMost,
		RunE: func(cmd *cobra.Command, args []string) error {
			label, err := p.runLabel(&t, args)
			if err != nil {
				return err
			}
			vault, address, err := p.vault(c)
			if err != nil {
				return err
			}
			report := runReport{}
			report.RunReport, err = vault.RunReport(cmd.Context(), label)
			if neverUsed(err) {
				return fmt.Errorf("the ledger has no run %s: 'starter keys' shows the runs that it knows", label)
			}
			if err == nil && t.label == "" {
				report.Phases, err = phaseReports(cmd.Context(), vault, label)
			}
			if err != nil {
				return controlFailure(address, err)
			}
			if asJSON {
				return writeJSON(p.stdout, report)
			}
			for _, one := range append([]client.RunReport{report.RunReport}, report.Phases...) {
				if err := writeReport(p.stdout, one); err != nil {
					return err
				}
			}
			return nil
		},
	}
	t.bindLabel(cmd.Flags())
	c.bind(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the report as JSON")
	return cmd
}

// runReport is a run, and what a billing run keeps under labels of their own.
type runReport struct {
	client.RunReport
	Phases []client.RunReport `json:"phases,omitempty"`
}

func phaseReports(ctx context.Context, vault *client.Client, run string) ([]client.RunReport, error) {
	var found []client.RunReport
	for _, label := range noticeLabels(run) {
		report, err := vault.RunReport(ctx, label)
		if neverUsed(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, report)
	}
	return found, nil
}

func writeReport(out io.Writer, r client.RunReport) error {
	state := "open"
	if r.Closed {
		state = "closed"
	}
	if _, err := fmt.Fprintf(out, "\n%s (%s)\n", r.AgentRunLabel, state); err != nil {
		return err
	}
	if r.FirstCallAt != nil && r.LastCallAt != nil {
		if _, err := fmt.Fprintf(out, "first call %s, last %s later\n", stamp(*r.FirstCallAt), elapsed(*r.FirstCallAt, *r.LastCallAt)); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	tables := []table.Writer{budgetTable(r.Budget), callTable(r)}
	if len(r.Denied) > 0 {
		denied := newTable("denied", "calls")
		alignRight(denied, 2)
		for _, d := range r.Denied {
			denied.AppendRow(table.Row{d.Code, count(d.Count)})
		}
		tables = append(tables, denied)
	}
	if len(r.Vendors) > 0 {
		vendors := newTable("vendor", "calls", "settled", "held")
		alignRight(vendors, 2, 3, 4)
		for _, v := range r.Vendors {
			vendors.AppendRow(table.Row{v.Vendor, count(v.Calls), dollars(v.SettledUSD), dollars(v.HeldUSD)})
		}
		tables = append(tables, vendors)
	}
	return writeTables(out, tables...)
}

func budgetTable(b client.Budget) table.Writer {
	t := newTable("budget", "usd", "meaning")
	alignRight(t, 2)
	t.AppendRow(table.Row{"cap", dollars(b.CapUSD), "the run never spends more"})
	t.AppendRow(table.Row{"settled", dollars(b.SettledUSD), "paid"})
	t.AppendRow(table.Row{"reserved", dollars(b.ReservedUSD), "held for calls in flight"})
	t.AppendRow(table.Row{"committed", dollars(b.CommittedUSD), "certain, final amount still open"})
	t.AppendRow(table.Row{"unknown", dollars(b.UnknownUSD), "held until there is proof"})
	if b.OverrunUSD != 0 {
		t.AppendRow(table.Row{"overrun", dollars(b.OverrunUSD), "cost more than was held for it"})
	}
	t.AppendRow(table.Row{"left", dollars(b.RemainingUSD)})
	return t
}

func callTable(r client.RunReport) table.Writer {
	t := newTable("calls", "count", "meaning")
	alignRight(t, 2)
	for _, row := range []struct {
		state   string
		count   int
		meaning string
	}{
		{"settled", r.Calls.Settled, "the vendor acted and the amount is final"},
		{"committed", r.Calls.Committed, "the vendor acted, the amount may still change"},
		{"released", r.Calls.Released, fmt.Sprintf("no effect, the hold was given back; %s declined", count(r.Declined))},
		{"unknown", r.Calls.Unknown, "no proof yet of what the vendor did"},
		{"in flight", r.Calls.InFlight, ""},
		{"replayed", r.Replays, "answered from the ledger, not sent"},
		{"resent", r.Resends, "after a refusal, or to prove an outcome"},
	} {
		t.AppendRow(table.Row{row.state, count(row.count), row.meaning})
	}
	return t
}
