package activities

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	twilio "github.com/twilio/twilio-go/client"
	messages "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/tollgate/tollgate/activities/customerlist"
)

// twilioAccount stands in the path for the account that the proxy is bound to:
// who holds a vault key need not know it.
const twilioAccount = "AC00000000000000000000000000000000"

// textSender sends text messages with twilio-go, pointed at the proxy.
type textSender struct {
	activities *Activities
	in         TextsInput
}

func (s textSender) send(ctx context.Context, item int, to customerlist.Contact) error {
	page := s.in.Page
	header := page.noticeHeader(item, PhaseTexts)
	ctx, seen := observeNotice(ctx, header)
	text := page.Fill(s.in.Body, item, to.Customer)
	api := messages.NewApiServiceWithClient(&twilioClient{
		do:       func(req *http.Request) (*http.Response, error) { return s.activities.notices.Do(req.WithContext(ctx)) },
		base:     s.activities.dataURL + "/twilio",
		vaultKey: page.VaultKey,
	})
	sent, err := api.CreateMessage(&messages.CreateMessageParams{
		To:                  &to.Phone,
		From:                optional(s.in.Sender),
		MessagingServiceSid: optional(s.in.MessagingServiceSID),
		Body:                &text,
	})
	if err != nil {
		return noticeError(seen, err)
	}
	if sent.Sid == nil || *sent.Sid == "" {
		return unexpected().applicationError("a message without a SID", 0)
	}
	if sent.Status != nil && (*sent.Status == "failed" || *sent.Status == "canceled") {
		return rule{errorType: TypeInvalidRequest, text: "the vendor took the message and could not send it"}.applicationError("", 0)
	}
	return nil
}

// twilioClient carries one call of twilio-go. The SDK's own carrier neither knows
// a context nor takes a password with an underscore, which each vault key has.
type twilioClient struct {
	do       func(*http.Request) (*http.Response, error)
	base     string
	vaultKey string
}

var _ twilio.BaseClient = (*twilioClient)(nil)

// AccountSid is what the SDK writes into paths.
func (c *twilioClient) AccountSid() string { return twilioAccount }

// SetTimeout does nothing: the call's context ends it.
func (c *twilioClient) SetTimeout(time.Duration) {}

// SetOauth does nothing: a vault key is no OAuth token.
func (c *twilioClient) SetOauth(twilio.OAuth) {}

// OAuth is none.
func (c *twilioClient) OAuth() twilio.OAuth { return nil }

// SendRequest sends the SDK's request to the proxy in place of the vendor's host.
func (c *twilioClient) SendRequest(method, rawURL string, data url.Values, headers map[string]any, _ ...byte) (*http.Response, error) {
	target, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, c.base+target.EscapedPath(), strings.NewReader(data.Encode())) //nolint:noctx // do gives it the call's context
	if err != nil {
		return nil, err
	}
	// A body that can be rewound is one that the transport may send twice.
	req.GetBody = nil
	for name, value := range headers {
		if text, ok := value.(string); ok {
			req.Header.Set(name, text)
		}
	}
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(twilioAccount, c.vaultKey)
	res, err := c.do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		_ = res.Body.Close() // what it says has been noted
		return nil, errRefused
	}
	return res, nil
}
