package demo

import (
	"context"
	"fmt"
	"strconv"
	"time"

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
	receiptsFrom = "Tollgate demo <billing@" + stack.ResendFromDomain + ">"
	textsFrom    = "+12015550199"
	// priceTime bounds the wait for prices that the stand-in tells later.
	priceTime = 10 * time.Minute
)

// noticeArgs ask for receipts and texts, with a budget of each that is enough for
// all: 2 cents a customer. The longer the list, the more are sent at once.
func noticeArgs(customers int) []string {
	budget := strconv.Itoa(max(100, customers/50)) // dollars
	window := strconv.Itoa(min(64, max(32, customers/500)))
	return []string{
		"--notice-window", window,
		"--receipts-from", receiptsFrom, "--receipts-budget-usd", budget,
		"--texts-from", textsFrom, "--texts-budget-usd", budget,
	}
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
		if err := awaitPrices(ctx, control, phase.RunLabel); err != nil {
			return nil, err
		}
		report, calls, err := booked(ctx, control, phase.RunLabel)
		if err != nil {
			return nil, err
		}
		found[phase.RunLabel] = bookedNotice{report, calls}
	}
	return found, nil
}

// awaitPrices waits until the ledger has the final price of every call that had an
// effect: Twilio tells it some time after the message was taken.
func awaitPrices(ctx context.Context, control *client.Client, label string) error {
	ctx, cancel := context.WithTimeout(ctx, priceTime)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		report, err := control.RunReport(ctx, label)
		if err != nil || report.Calls.Committed == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d calls of %s have no final price: %w", report.Calls.Committed, label, ctx.Err())
		}
	}
}

// noticeProblems completes the result by what was written, and lists everything
// about it that must not be.
func noticeProblems(out *Result, s workflows.Summary, written map[string]bookedNotice, truth vendorsim.Truth) []string {
	return append(emailProblems(out, s.Emails, written, truth), textProblems(out, s.Texts, written, truth)...)
}

func emailProblems(out *Result, s *workflows.NoticeSummary, written map[string]bookedNotice, truth vendorsim.Truth) []string {
	if s == nil {
		return unasked("e-mails", truth.Emails)
	}
	out.Emails = notices(s)
	out.Emails.VendorSent, out.Emails.Duplicates = truth.Emails, beyondFirst(truth.EmailsPerRecipient)
	made := map[string]bool{}
	for _, e := range truth.Emailed {
		made[e.ID] = true
	}
	found := phaseProblems("e-mails", s, *out.Emails, out.Charged, written[s.RunLabel], made)
	if out.Emails.Unknown > 0 {
		found = append(found, fmt.Sprintf("e-mails: %d are left unknown, and Resend knows its idempotency keys", out.Emails.Unknown))
	}
	return found
}

func textProblems(out *Result, s *workflows.NoticeSummary, written map[string]bookedNotice, truth vendorsim.Truth) []string {
	if s == nil {
		return unasked("texts", truth.Twilio.Texts)
	}
	made, perNumber := map[string]bool{}, map[string]int{}
	for _, m := range truth.Twilio.Sent {
		made[m.SID] = true
		perNumber[m.To]++
	}
	ledger := written[s.RunLabel]
	out.Texts = notices(s)
	out.Texts.VendorSent, out.Texts.Duplicates = truth.Twilio.Texts, beyondFirst(perNumber)
	// The summary is older than the last of the prices.
	out.Texts.CostUSD, out.Texts.HeldUSD = ledger.report.Budget.SettledUSD, ledger.report.Budget.UnknownUSD
	found := phaseProblems("texts", s, *out.Texts, out.Charged, ledger, made)
	if lost := truth.Twilio.Lost(); out.Texts.Unknown != lost {
		found = append(found, fmt.Sprintf("texts: %d are left unknown, the vendor lost %d requests", out.Texts.Unknown, lost))
	}
	if truth.Twilio.TextsMicroUSD != int64(out.Texts.CostUSD) {
		found = append(found, fmt.Sprintf("texts: the ledger settled %s USD, the vendor asks for %s USD", out.Texts.CostUSD, money.USD(truth.Twilio.TextsMicroUSD)))
	}
	return found
}

// unasked: what nobody asked for must not have been sent.
func unasked(what string, sent int) []string {
	if sent == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: the vendor sent %d, and the run was asked for none", what, sent)}
}

func beyondFirst(counts map[string]int) int {
	more := 0
	for _, n := range counts {
		more += max(0, n-1)
	}
	return more
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
	bad(n.Sent != n.VendorSent, "the run counts %d sent, the vendor %d", n.Sent, n.VendorSent)
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
	bad(len(objects) > 0, "the vendor sent %d that the ledger has not", len(objects))
	bad(sent != n.Sent, "the run counts %d sent, the ledger %d", n.Sent, sent)
	bad(unknown != n.Unknown, "the run counts %d unknown, the ledger %d", n.Unknown, unknown)
	bad(ledger.report.Calls.InFlight > 0, "%d calls are in flight", ledger.report.Calls.InFlight)
	bad(cost != ledger.report.Budget.SettledUSD+ledger.report.Budget.CommittedUSD, "the calls cost %s USD, the budget has %s", cost, ledger.report.Budget.SettledUSD)
	bad(n.CostUSD+n.HeldUSD > n.CapUSD, "%s USD are above the cap", n.CostUSD+n.HeldUSD)
	return found
}
