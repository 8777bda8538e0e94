package activities

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/resend/resend-go/v3"

	"github.com/tollgate/tollgate/activities/customerlist"
)

// receiptText is the body of a receipt.
const receiptText = `Your payment of {amount} for {plan} {period} was received.

Reference: {reference}
`

// sendReceipt sends one receipt with resend-go, pointed at the proxy. The SDK has
// no retries of its own.
func (a *Activities) sendReceipt(in ReceiptsInput) sendNotice {
	return func(ctx context.Context, item int, to customerlist.Contact) error {
		page, seen := in.Page, &notice{}
		api, err := a.resend(page, item, seen)
		if err != nil {
			return unexpected().applicationError("", 0)
		}
		sent, err := api.Emails.SendWithOptions(ctx, &resend.SendEmailRequest{
			From:    in.Sender,
			To:      []string{to.Email},
			Subject: page.Fill(in.Subject, item, to.Customer),
			Text:    page.Fill(receiptText, item, to.Customer),
		}, &resend.SendEmailOptions{IdempotencyKey: NoticeKey(page.RootWorkflowID, item, PhaseReceipts)})
		switch {
		case err != nil:
			return noticeError(seen, err)
		case sent.Id == "":
			return unexpected().applicationError("an e-mail without an id", 0)
		}
		return nil
	}
}

func (a *Activities) resend(page NoticePage, item int, seen *notice) (*resend.Client, error) {
	// The SDK resolves its paths against this, so that it must end in a slash.
	base, err := url.Parse(a.dataURL + "/resend/")
	if err != nil {
		return nil, err
	}
	// The SDK takes no further headers: the transport adds them.
	transport := noticeObserver{next: a.transport, seen: seen, header: map[string]string{
		headerItem: strconv.Itoa(item), headerWorkflowID: page.RootWorkflowID,
	}}
	api := resend.NewCustomClient(&http.Client{Transport: transport, CheckRedirect: noRedirect}, page.VaultKey)
	api.BaseURL = base
	return api, nil
}
