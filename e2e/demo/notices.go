package demo

import (
	"context"
	"fmt"

	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
	"github.com/tollgate/tollgate/workflows"
)

// Notices is what was written to customers, by the three who know.
type Notices struct {
	Sent         int       `json:"sent"`
	Failed       int       `json:"failed"`
	Skipped      int       `json:"skipped"` // the list has no address
	NotAttempted int       `json:"not_attempted"`
	Unknown      int       `json:"unknown"`
	CapUSD       money.USD `json:"cap_usd"`
	CostUSD      money.USD `json:"cost_usd"`    // by the ledger
	HeldUSD      money.USD `json:"held_usd"`    // for what is unknown
	VendorSent   int       `json:"vendor_sent"` // by the vendor's own log
	Duplicates   int       `json:"duplicates"`  // to one customer beyond the first
}

const (
	receiptsFrom   = "Tollgate demo <billing@" + stack.ResendFromDomain + ">"
	receiptsBudget = "10"
)

// noticeArgs ask for receipts.
func noticeArgs() []string {
	return []string{"--receipts-from", receiptsFrom, "--receipts-budget-usd", receiptsBudget}
}

// bookedNotice is what the ledger keeps of a phase.
type bookedNotice struct {
	report client.RunReport
	calls  []client.Call
}

// bookedNotices reads what the ledger keeps of the phases of a run, by their labels.
func bookedNotices(ctx context.Context, control *client.Client, s workflows.Summary) (map[string]bookedNotice, error) {
	found := map[string]bookedNotice{}
	for _, phase := range []*workflows.NoticeSummary{s.Emails, s.Texts} {
		if phase == nil || phase.KeyID == "" {
			continue
		}
		report, calls, err := booked(ctx, control, phase.RunLabel)
		if err != nil {
			return nil, err
		}
		found[phase.RunLabel] = bookedNotice{report, calls}
	}
	return found, nil
}

// noticeProblems completes the result by what was written, and lists everything
// about it that must not be.
func noticeProblems(out *Result, s workflows.Summary, written map[string]bookedNotice, truth vendorsim.Truth) []string {
	if s.Emails == nil {
		return []string{"the run has no receipts"}
	}
	out.Emails = notices(s.Emails)
	out.Emails.VendorSent = truth.Emails
	objects := map[string]bool{}
	for _, e := range truth.Emailed {
		objects[e.ID] = true
	}
	for _, n := range truth.EmailsPerRecipient {
		out.Emails.Duplicates += max(0, n-1)
	}
	return phaseProblems("e-mails", s.Emails, *out.Emails, out.Charged, written[s.Emails.RunLabel], objects)
}

func notices(n *workflows.NoticeSummary) *Notices {
	return &Notices{
		Sent: n.Sent, Failed: n.Failed, Skipped: n.Skipped, NotAttempted: n.NotAttempted, Unknown: n.Unknown,
		CapUSD: n.CapUSD, CostUSD: n.CostUSD, HeldUSD: n.UnknownUSD,
	}
}

func phaseProblems(what string, s *workflows.NoticeSummary, n Notices, charged int, ledger bookedNotice, objects map[string]bool) []string {
	var found []string
	bad := func(is bool, format string, args ...any) {
		if is {
			found = append(found, what+": "+fmt.Sprintf(format, args...))
		}
	}
	bad(!s.KeyRevoked, "the vault key lives on")
	bad(!s.LedgerRead, "the ledger was not read")
	bad(n.Duplicates > 0, "%d customers were written to twice", n.Duplicates)
	sum := n.Sent + n.Failed + n.Skipped + n.NotAttempted + n.Unknown
	bad(sum != charged, "the outcomes add up to %d, not to the %d charged customers", sum, charged)
	bad(n.Sent > n.VendorSent || n.VendorSent > n.Sent+n.Unknown, "the run counts %d sent and %d unknown, the vendor %d", n.Sent, n.Unknown, n.VendorSent)
	bad(n.Sent == 0 || n.Skipped == 0, "%d were sent and %d skipped: this run proves nothing about them (use more customers)", n.Sent, n.Skipped)

	sent, unknown := 0, 0
	var cost money.USD
	for _, c := range ledger.calls {
		switch c.State {
		case "settled", "committed":
			sent++
			cost += max(c.SettledUSD, 0)
			if c.State == "committed" {
				cost += c.HoldUSD
			}
			bad(!objects[c.ObjectID], "the ledger has %s sent, the vendor knows nothing of it", c.ObjectID)
			delete(objects, c.ObjectID)
		case "unknown":
			unknown++
		}
	}
	bad(len(objects) > unknown, "the vendor sent %d that the ledger has not", len(objects))
	bad(sent != n.Sent, "the run counts %d sent, the ledger %d", n.Sent, sent)
	bad(unknown != n.Unknown, "the run counts %d unknown, the ledger %d", n.Unknown, unknown)
	bad(ledger.report.Calls.InFlight > 0, "%d calls are in flight", ledger.report.Calls.InFlight)
	bad(cost != ledger.report.Budget.SettledUSD+ledger.report.Budget.CommittedUSD, "the calls cost %s USD, the budget has %s", cost, ledger.report.Budget.SettledUSD)
	bad(n.CostUSD+n.HeldUSD > n.CapUSD, "%s USD are above the cap", n.CostUSD+n.HeldUSD)
	return found
}
