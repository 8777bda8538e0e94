package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// notices is what a person asked for on the command line to be written to those
// who were charged.
type notices struct {
	receiptsFrom, receiptsSubject, receiptsBudget, perReceiptCap string
	textsFrom, textsService, textsBody, textsBudget, perTextCap  string
	window                                                       int
}

func (n *notices) bind(set *pflag.FlagSet) {
	set.StringVar(&n.receiptsFrom, "receipts-from", "", "e-mail a receipt to who was charged, from this address, such as 'Acme <billing@acme.example>'")
	set.StringVar(&n.receiptsSubject, "receipts-subject", "", "subject of the receipts; {amount}, {plan}, {period} and {reference} are filled in")
	set.StringVar(&n.receiptsBudget, "receipts-budget-usd", "", "what the receipts may cost at most, in dollars; not out of --budget-usd")
	set.StringVar(&n.perReceiptCap, "per-receipt-cap-usd", "", "refuse single receipts above this many dollars")
	set.StringVar(&n.textsFrom, "texts-from", "", "text who was charged, from this number, such as +12015550100")
	set.StringVar(&n.textsService, "texts-messaging-service", "", "or from the numbers of this messaging service, MG…")
	set.StringVar(&n.textsBody, "texts-body", "", "body of the texts; filled in like --receipts-subject")
	set.StringVar(&n.textsBudget, "texts-budget-usd", "", "what the texts may cost at most, in dollars; not out of --budget-usd")
	set.StringVar(&n.perTextCap, "per-text-cap-usd", "", "refuse single texts above this many dollars")
	set.IntVar(&n.window, "notice-window", 8, "receipts, and as many texts, sent at once")
}

// into adds what was asked for to a run's input.
func (n *notices) into(in *workflows.BillingInput) error {
	if n.receiptsFrom != "" {
		in.Receipts = &workflows.ReceiptsInput{From: n.receiptsFrom, Subject: n.receiptsSubject, Concurrency: n.window}
		if err := amounts("--receipts-budget-usd", n.receiptsBudget, &in.Receipts.BudgetUSD,
			"--per-receipt-cap-usd", n.perReceiptCap, &in.Receipts.PerEmailCapUSD); err != nil {
			return err
		}
	} else if n.receiptsSubject+n.receiptsBudget+n.perReceiptCap != "" {
		return usage("who sends the receipts? give --receipts-from, or leave out the other flags about receipts")
	}
	if n.textsFrom+n.textsService != "" {
		in.Texts = &workflows.TextsInput{From: n.textsFrom, MessagingServiceSID: n.textsService, Body: n.textsBody, Concurrency: n.window}
		return amounts("--texts-budget-usd", n.textsBudget, &in.Texts.BudgetUSD, "--per-text-cap-usd", n.perTextCap, &in.Texts.PerTextCapUSD)
	}
	if n.textsBody+n.textsBudget+n.perTextCap != "" {
		return usage("who sends the texts? give --texts-from or --texts-messaging-service, or leave out the other flags about texts")
	}
	return nil
}

func amounts(budgetFlag, budget string, budgetUSD *money.USD, capFlag, perCall string, capUSD *money.USD) (err error) {
	if budget == "" {
		return usage("how much may they cost? give " + budgetFlag + ", such as " + budgetFlag + " 5")
	}
	if *budgetUSD, err = amount(budgetFlag, budget); err != nil || perCall == "" {
		return err
	}
	*capUSD, err = amount(capFlag, perCall)
	return err
}

// writeNotices shows how the phases ended that write to customers.
func writeNotices(out io.Writer, s workflows.Summary) error {
	for _, phase := range []struct {
		name   string
		ending *workflows.NoticeSummary
	}{{"receipts", s.Emails}, {"texts", s.Texts}} {
		if phase.ending == nil {
			continue
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
		if err := writeTables(out, noticeTable(phase.name, phase.ending)); err != nil {
			return err
		}
	}
	return nil
}

func noticeTable(name string, s *workflows.NoticeSummary) table.Writer {
	t := newTable(name, "count", "meaning")
	alignRight(t, 2)
	t.AppendRow(table.Row{"sent", count(s.Sent), "the vendor took it"})
	t.AppendRow(table.Row{"failed", count(s.Failed), "refused; the charge stays as it is"})
	t.AppendRow(table.Row{"skipped", count(s.Skipped), "the list has no address"})
	stopped := "the sending had stopped before"
	if s.StopReason != "" {
		stopped = "stopped by " + s.StopReason
	}
	t.AppendRow(table.Row{"not attempted", count(s.NotAttempted), stopped})
	t.AppendRow(table.Row{"unknown", count(s.Unknown), "may have been sent; not sent again"})
	cost := "of " + dollars(s.CapUSD)
	switch {
	case !s.LedgerRead:
		cost = "not known: the ledger was silent"
	case s.UnknownUSD != 0:
		cost += ", " + dollars(s.UnknownUSD) + " more held until there is proof"
	}
	t.AppendFooter(table.Row{"cost", dollars(s.CostUSD), cost})
	return t
}

// noticeAttention says why somebody should look at the notices of a run.
func noticeAttention(s workflows.Summary) []string {
	var why []string
	for _, phase := range []struct {
		name   string
		ending *workflows.NoticeSummary
	}{{"receipts", s.Emails}, {"texts", s.Texts}} {
		n := phase.ending
		if n == nil {
			continue
		}
		if n.StopReason != "" && n.StopReason != s.StopReason {
			why = append(why, fmt.Sprintf("its %s were stopped by %s", phase.name, n.StopReason))
		}
		if n.Failed > 0 {
			why = append(why, fmt.Sprintf("%s of its %s failed", count(n.Failed), phase.name))
		}
		if n.Unknown > 0 {
			why = append(why, fmt.Sprintf("%s of its %s are of unknown outcome", count(n.Unknown), phase.name))
		}
		if n.KeyID != "" && !n.KeyRevoked {
			why = append(why, fmt.Sprintf("the vault key %s of its %s could not be revoked", n.KeyID, phase.name))
		}
	}
	return why
}

// noticesToLookAt is the label of the first phase in which single notices went
// wrong; empty if none did. A run's own log does not have them.
func noticesToLookAt(s workflows.Summary) string {
	for _, n := range []*workflows.NoticeSummary{s.Emails, s.Texts} {
		if n != nil && n.Failed+n.Unknown > 0 {
			return n.RunLabel
		}
	}
	return ""
}

// noticeLabels are the labels of a billing run's phases.
func noticeLabels(run string) []string {
	return []string{
		workflows.NoticeRunLabel(run, activities.PhaseReceipts),
		workflows.NoticeRunLabel(run, activities.PhaseTexts),
	}
}

// neverUsed reports whether the ledger has no run of a label: the run has not got
// as far as that phase, or has none.
func neverUsed(err error) bool {
	var answered *client.Error
	return errors.As(err, &answered) && answered.Status == http.StatusNotFound && answered.Code != ""
}
