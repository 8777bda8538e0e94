package activities

import (
	"context"
	"net/http"
	"strconv"

	twilio "github.com/twilio/twilio-go/client"
	messages "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/client"
)

// sendText sends one text message with twilio-go, pointed at the proxy. The SDK
// has no retries of its own.
func (a *Activities) sendText(in TextsInput) sendNotice {
	return func(ctx context.Context, item int, to customerlist.Contact) error {
		seen := &notice{}
		hc, err := a.twilioHTTP(ctx, in.Page, item, seen)
		if err != nil {
			return unexpected().applicationError("", 0)
		}
		carrier := &twilio.Client{Credentials: twilio.NewCredentials(client.TwilioPlaceholder, "unused"), HTTPClient: hc}
		carrier.SetAccountSid(client.TwilioPlaceholder)
		text := in.Page.Fill(in.Body, item, to.Customer)
		sent, err := messages.NewApiServiceWithClient(carrier).CreateMessage(&messages.CreateMessageParams{
			To:                  &to.Phone,
			From:                optional(in.Sender),
			MessagingServiceSid: optional(in.MessagingServiceSID),
			Body:                &text,
		})
		switch {
		case err != nil:
			return noticeError(seen, err)
		case sent.Sid == nil || *sent.Sid == "":
			return unexpected().applicationError("a message without a sid", 0)
		case sent.Status != nil && (*sent.Status == "failed" || *sent.Status == "canceled"):
			return rule{errorType: TypeInvalidRequest, text: "the vendor took the message and could not send it"}.applicationError("", 0)
		}
		return nil
	}
}

func (a *Activities) twilioHTTP(ctx context.Context, page NoticePage, item int, seen *notice) (*http.Client, error) {
	points, err := client.NewTwilio(client.TwilioConfig{
		DataURL: a.dataURL, Transport: noticeObserver{next: a.transport, seen: seen}, Timeout: noticeAttempt,
	})
	if err != nil {
		return nil, err
	}
	return points.HTTPClient(ctx, client.TwilioCall{
		VaultKey:       page.VaultKey,
		IdempotencyKey: NoticeKey(page.RootWorkflowID, item, PhaseTexts),
		Item:           strconv.Itoa(item),
		WorkflowID:     page.RootWorkflowID,
	}), nil
}
