package activities

import (
	"context"
	"net/url"

	"github.com/resend/resend-go/v3"

	"github.com/tollgate/tollgate/activities/customerlist"
)

// receiptText is the body of a receipt.
const receiptText = `Your payment of {amount} for {plan} {period} was received.

Reference: {reference}
`

// receiptSender e-mails receipts with resend-go, pointed at the proxy. The SDK
// has no retries of its own.
type receiptSender struct {
	emails resend.EmailsSvc
	in     ReceiptsInput
}

func (s receiptSender) send(ctx context.Context, item int, to customerlist.Contact) error {
	page := s.in.Page
	header := page.noticeHeader(item, PhaseReceipts)
	ctx, seen := observeNotice(ctx, header)
	sent, err := s.emails.SendWithOptions(ctx, &resend.SendEmailRequest{
		From:    s.in.Sender,
		To:      []string{to.Email},
		Subject: page.Fill(s.in.Subject, item, to.Customer),
		Text:    page.Fill(receiptText, item, to.Customer),
	}, &resend.SendEmailOptions{IdempotencyKey: header[headerIdempotencyKey]})
	if err != nil {
		return noticeError(seen, err)
	}
	if sent.Id == "" {
		return unexpected().applicationError("an e-mail without an ID", 0)
	}
	return nil
}

func (a *Activities) resendEmails(vaultKey string) resend.EmailsSvc {
	client := resend.NewCustomClient(a.notices, vaultKey)
	// The SDK resolves its paths against this, so that it must end in a slash.
	base, err := url.Parse(a.dataURL + "/resend/")
	if err == nil { // New has checked it
		client.BaseURL = base
	}
	return client.Emails
}
