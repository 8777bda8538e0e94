package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tollgate/tollgate/activities/customerlist"
)

// Phases of a run that write to customers. Each has a vault key of its own.
const (
	PhaseReceipts = "receipts" // e-mails by Resend
	PhaseTexts    = "texts"    // text messages by Twilio
)

// How the notice of one item stands, as a letter of NoticeResult.Outcomes.
const (
	NoticeNone     = '-' // no notice is due: the item was not charged
	NoticeSent     = 's' // the vendor took it
	NoticeFailed   = 'f' // certainly without effect
	NoticeSkipped  = 'n' // the list has no address
	NoticeInDoubt  = 'u' // it may have been sent: the ledger has to be read
	NoticeNotTried = '.' // not attempted, or refused by the proxy for a reason that stops the rest too
)

// StopCanceled is the Stop of a page whose run was cancelled.
const StopCanceled = "Canceled"

// MaxNoticePage bounds the items of one page: their letters are the activity's
// result and its heartbeat.
const MaxNoticePage = 1000

// NoticePage is a range of a pinned list whose charged customers are written to.
type NoticePage struct {
	VaultKey       string              `json:"vault_key"`        // of the phase
	RootWorkflowID string              `json:"root_workflow_id"` // of the run
	RunLabel       string              `json:"run_label"`        // of the charges
	ChargeKeyID    string              `json:"charge_key_id"`    // the ledger that knows it has the charges
	Customers      customerlist.Source `json:"customers"`
	Pinned         customerlist.Pinned `json:"pinned"`
	From           int                 `json:"from"` // item index
	To             int                 `json:"to"`   // item index, not included
	Plan           string              `json:"plan"`
	Period         string              `json:"period"`
	Concurrency    int                 `json:"concurrency"` // calls at once
	// Patience bounds the attempts at one notice; a page whose proxy does not come
	// back meanwhile fails, and is tried again where it stood.
	Patience time.Duration `json:"patience"`
}

// NoticeResult has one letter for each item of the page, in their order.
type NoticeResult struct {
	Outcomes string `json:"outcomes"`
	Stop     string `json:"stop,omitempty"` // why no further notice shall be tried: an error type, or StopCanceled
}

// ReceiptsInput is a page of receipts.
type ReceiptsInput struct {
	Page    NoticePage `json:"page"`
	Sender  string     `json:"sender"`  // as in "Acme <billing@acme.example>"
	Subject string     `json:"subject"` // with the placeholders of Fill
}

// TextsInput is a page of text messages. Exactly one of the senders is set.
type TextsInput struct {
	Page                NoticePage `json:"page"`
	Sender              string     `json:"sender,omitempty"`                // a number in E.164
	MessagingServiceSID string     `json:"messaging_service_sid,omitempty"` // or the service that chooses one
	Body                string     `json:"body"`                            // with the placeholders of Fill
}

// NoticeKey names the one effect that an item's notice may have. Like the
// charge's key, it holds no run ID.
func NoticeKey(rootWorkflowID string, item int, phase string) string {
	return IdempotencyKey(rootWorkflowID, item) + "-" + strings.TrimSuffix(phase, "s")
}

// SendReceipts e-mails a receipt to each customer of the page whom the ledger
// shows as charged.
//
// It may be run any number of times for a page: the idempotency keys let one
// attempt have an effect. It changes nothing about a charge.
func (a *Activities) SendReceipts(ctx context.Context, in ReceiptsInput) (NoticeResult, error) {
	return a.notify(ctx, in.Page, PhaseReceipts, a.sendReceipt(in))
}

// SendTexts is SendReceipts for text messages.
func (a *Activities) SendTexts(ctx context.Context, in TextsInput) (NoticeResult, error) {
	return a.notify(ctx, in.Page, PhaseTexts, a.sendText(in))
}

// sendNotice sends one notice. What it sends depends on nothing but the input and
// the list: another text under the same key would be another request.
type sendNotice func(ctx context.Context, item int, to customerlist.Contact) error

// addressFor is where notices of a phase go; empty: the customer cannot be reached.
func addressFor(phase string, c customerlist.Contact) string {
	if phase == PhaseTexts {
		return c.Phone
	}
	return c.Email
}

// Fill puts what a notice is about in the place of {amount}, {plan}, {period} and
// {reference}, the charge's idempotency key.
func (p NoticePage) Fill(template string, item int, to customerlist.Customer) string {
	return strings.NewReplacer(
		"{amount}", fmt.Sprintf("$%d.%02d", to.AmountCents/100, to.AmountCents%100),
		"{plan}", p.Plan,
		"{period}", p.Period,
		"{reference}", IdempotencyKey(p.RootWorkflowID, item),
	).Replace(template)
}

func (p NoticePage) check() error {
	if p.From < 0 || p.From > p.To || p.To > p.Pinned.Count || p.To-p.From > MaxNoticePage || p.Concurrency < 1 || p.Patience <= 0 {
		return rule{errorType: TypeInvalidRequest, text: "these items are no page of the list"}.applicationError("", 0)
	}
	return nil
}
