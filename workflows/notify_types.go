package workflows

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// ReceiptsInput asks for an e-mail to each charged customer whose address is in
// the list.
type ReceiptsInput struct {
	From string `json:"from"` // such as "Acme <billing@acme.example>"
	// Subject may hold {amount}, {plan}, {period} and {reference}; empty: a default.
	Subject   string    `json:"subject,omitempty"`
	BudgetUSD money.USD `json:"budget_usd"` // micro-USD, apart from the charges' budget
	// PerEmailCapUSD refuses single e-mails above it, micro-USD; zero: no such cap.
	PerEmailCapUSD money.USD `json:"per_email_cap_usd,omitempty"`
	// Concurrency is how many calls are made at once, 1 to MaxNoticeConcurrency; 8.
	Concurrency int `json:"concurrency,omitempty"`
}

// TextsInput asks for a text message to each charged customer whose phone is in
// the list. Exactly one of From and MessagingServiceSID is set.
type TextsInput struct {
	From                string `json:"from,omitempty"`                  // a number in E.164, such as +12015550100
	MessagingServiceSID string `json:"messaging_service_sid,omitempty"` // MG and 32 hexadecimal digits
	// Body may hold {amount}, {plan}, {period} and {reference}; empty: a default.
	Body      string    `json:"body,omitempty"`
	BudgetUSD money.USD `json:"budget_usd"` // micro-USD, apart from the charges' budget
	// PerTextCapUSD refuses single texts above it, micro-USD; zero: no such cap.
	PerTextCapUSD money.USD `json:"per_text_cap_usd,omitempty"`
	// Concurrency is how many calls are made at once, 1 to MaxNoticeConcurrency; 8.
	Concurrency int `json:"concurrency,omitempty"`
}

const (
	defaultSubject           = "Your receipt for {plan} {period}: {amount}"
	defaultBody              = "Your payment of {amount} for {plan} {period} was received."
	defaultNoticeConcurrency = 8
	// maxTemplate bounds subjects and bodies, in bytes: both stand in the history.
	maxTemplate = 600
	maxSender   = 320 // bytes
)

// MaxNoticeConcurrency bounds the calls of one phase at once.
const MaxNoticeConcurrency = 100

// NoticeSummary is how a phase that writes to customers ended. Sent, Failed,
// Skipped, NotAttempted and Unknown add up to the charged customers, unless the
// ledger proved a charge only after the run had counted it as unknown.
type NoticeSummary struct {
	RunLabel   string `json:"run_label"` // the ledger's name of the phase
	KeyID      string `json:"key_id,omitempty"`
	KeyRevoked bool   `json:"key_revoked"` // false: there was no key, or revoking failed and it lives until it expires

	Sent         int `json:"sent"`          // the vendor took it; whether it is delivered is another matter
	Failed       int `json:"failed"`        // refused, and certainly without effect
	Skipped      int `json:"skipped"`       // the list has no address
	NotAttempted int `json:"not_attempted"` // the phase had stopped before, or never began
	Unknown      int `json:"unknown"`       // it may or may not have been sent; never sent a second time

	CapUSD       money.USD `json:"cap_usd"`
	CostUSD      money.USD `json:"cost_usd"`                // booked by the ledger, final or not: settled and committed
	CommittedUSD money.USD `json:"committed_usd,omitempty"` // the part of it whose final price the vendor has not told
	UnknownUSD   money.USD `json:"unknown_usd,omitempty"`   // held until there is proof
	LedgerRead   bool      `json:"ledger_read"`             // false: the amounts could not be read

	StopReason string `json:"stop_reason,omitempty"` // empty: every charged customer was tried

	FailedItems  Ranges `json:"failed_items,omitempty"`
	UnknownItems Ranges `json:"unknown_items,omitempty"`
	Truncated    bool   `json:"truncated,omitempty"` // there were more ranges than fit; the ledger's audit has them all
}

// NoticeRunLabel is the name under which the ledger keeps a phase. It is not the
// run's own: all keys of one label draw on one budget.
func NoticeRunLabel(runLabel, phase string) string { return runLabel + "/" + phase }

// NoticeWorkflowID is the ID of the n-th batch of a phase, counted from zero.
func NoticeWorkflowID(root, phase string, n int) string {
	return fmt.Sprintf("%s/%s/%d", root, phase, n)
}

func (in ReceiptsInput) withDefaults() ReceiptsInput {
	if in.Subject == "" {
		in.Subject = defaultSubject
	}
	if in.Concurrency == 0 {
		in.Concurrency = defaultNoticeConcurrency
	}
	return in
}

func (in TextsInput) withDefaults() TextsInput {
	if in.Body == "" {
		in.Body = defaultBody
	}
	if in.Concurrency == 0 {
		in.Concurrency = defaultNoticeConcurrency
	}
	return in
}

// Validate reports the first thing that no receipt could be sent with.
func (in ReceiptsInput) Validate() error {
	full := in.withDefaults()
	if !isSender(in.From) {
		return fmt.Errorf("sender of receipts %.80q must be an e-mail address, such as Acme <billing@acme.example>", in.From)
	}
	if err := checkTemplate("subject of receipts", full.Subject); err != nil {
		return err
	}
	return checkNotice("receipts", in.BudgetUSD, in.PerEmailCapUSD, full.Concurrency)
}

// Validate reports the first thing that no text could be sent with.
func (in TextsInput) Validate() error {
	full := in.withDefaults()
	switch {
	case (in.From == "") == (in.MessagingServiceSID == ""):
		return errors.New("texts need either a sender's number or a messaging service, and not both")
	case in.From != "" && !isE164(in.From):
		return fmt.Errorf("sender of texts %.40q must be a number in E.164, such as +12015550100", in.From)
	case in.MessagingServiceSID != "" && !isMessagingService(in.MessagingServiceSID):
		return fmt.Errorf("messaging service %.40q must be MG and 32 hexadecimal digits", in.MessagingServiceSID)
	}
	if err := checkTemplate("body of texts", full.Body); err != nil {
		return err
	}
	return checkNotice("texts", in.BudgetUSD, in.PerTextCapUSD, full.Concurrency)
}

func checkNotice(what string, budget, perCall money.USD, concurrency int) error {
	switch {
	case budget <= 0:
		return fmt.Errorf("budget of %s %s must be more than zero dollars", what, budget)
	case perCall < 0:
		return fmt.Errorf("cap of a single one of the %s %s must not be negative", what, perCall)
	case concurrency < 1 || concurrency > MaxNoticeConcurrency:
		return fmt.Errorf("concurrency of %s %d must be from 1 to %d", what, concurrency, MaxNoticeConcurrency)
	}
	return nil
}

func checkTemplate(what, text string) error {
	if len(text) > maxTemplate {
		return fmt.Errorf("%s has %d bytes, at most %d are taken", what, len(text), maxTemplate)
	}
	rest := text
	for _, name := range []string{"{amount}", "{plan}", "{period}", "{reference}"} {
		rest = strings.ReplaceAll(rest, name, "")
	}
	for _, c := range rest {
		switch {
		case c == '{' || c == '}':
			return fmt.Errorf("%s may have {amount}, {plan}, {period} and {reference}, and no other braces", what)
		case c < ' ' || c == 0x7f:
			return fmt.Errorf("%s must be one line without control characters", what)
		}
	}
	return nil
}

// isSender takes an address as it is, or after a name and in angle brackets. It
// finds slips; the proxy and the vendor judge the rest.
func isSender(from string) bool {
	address := from
	if name, inside, named := strings.Cut(from, "<"); named {
		var closed bool
		if address, closed = strings.CutSuffix(inside, ">"); !closed || strings.ContainsAny(name, `@,;()"\`) {
			return false
		}
	}
	local, domain, at := strings.Cut(address, "@")
	plain := strings.Count(address, "@") == 1 && !strings.ContainsAny(address, " <>,;\"")
	return at && plain && local != "" && strings.Contains(strings.Trim(domain, "."), ".") && len(from) <= maxSender &&
		!strings.ContainsFunc(from, func(c rune) bool { return c < ' ' || c == 0x7f })
}

func isE164(number string) bool {
	digits, plus := strings.CutPrefix(number, "+")
	return plus && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

func isMessagingService(sid string) bool {
	digits, prefixed := strings.CutPrefix(sid, "MG")
	return prefixed && len(digits) == 32 && strings.Trim(digits, "0123456789abcdef") == ""
}

// validateNotices checks the phases that are asked for.
func (in BillingInput) validateNotices() error {
	if in.Receipts != nil {
		if err := in.Receipts.Validate(); err != nil {
			return err
		}
	}
	if in.Texts != nil {
		return in.Texts.Validate()
	}
	return nil
}
