package vendorsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"time"
)

// emailView is an e-mail as it is read back.
type emailView struct {
	Object    string   `json:"object"`
	ID        string   `json:"id"`
	From      string   `json:"from"`
	To        []string `json:"to"`
	Cc        []string `json:"cc"`
	Bcc       []string `json:"bcc"`
	ReplyTo   []string `json:"reply_to"`
	Subject   string   `json:"subject"`
	HTML      string   `json:"html"`
	Text      string   `json:"text"`
	CreatedAt string   `json:"created_at"`
	LastEvent string   `json:"last_event"`

	tags map[string]string
}

// simEmail is an e-mail as it is sent.
type simEmail struct {
	From        string            `json:"from"`
	To          oneOrMany         `json:"to"`
	Cc          oneOrMany         `json:"cc"`
	Bcc         oneOrMany         `json:"bcc"`
	ReplyTo     oneOrMany         `json:"reply_to"`
	Subject     string            `json:"subject"`
	HTML        string            `json:"html"`
	Text        string            `json:"text"`
	Headers     map[string]string `json:"headers"`
	Tags        []simTag          `json:"tags"`
	Attachments []simAttachment   `json:"attachments"`
}

type simTag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type simAttachment struct {
	Filename    string          `json:"filename"`
	Content     json.RawMessage `json:"content"` // Base64, or a list of bytes
	ContentType string          `json:"content_type"`
	ContentID   string          `json:"content_id"`
}

// oneOrMany is a text or a list of texts.
type oneOrMany []string

// UnmarshalJSON implements json.Unmarshaler.
func (o *oneOrMany) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*o = make([]string, 1)
		return json.Unmarshal(raw, &(*o)[0])
	}
	return json.Unmarshal(raw, (*[]string)(o))
}

// readSimEmails reads and checks what is to be sent. A batch is sent whole or not at all.
func readSimEmails(body []byte, batch bool) ([]emailView, *resendError) {
	var many []simEmail
	if batch {
		if err := strictJSON(body, &many); err != nil {
			return nil, resendInvalid("the body is not a list of e-mails: %v", err)
		}
		if len(many) == 0 || len(many) > maxBatch {
			return nil, resendInvalid("a batch has 1 to %d e-mails", maxBatch)
		}
	} else {
		many = make([]simEmail, 1)
		if err := strictJSON(body, &many[0]); err != nil {
			return nil, resendInvalid("the body is not an e-mail: %v", err)
		}
	}
	views := make([]emailView, 0, len(many))
	for _, e := range many {
		if batch && len(e.Attachments) > 0 {
			return nil, resendInvalid("attachments are not supported in a batch")
		}
		view, refusal := e.check()
		if refusal != nil {
			return nil, refusal
		}
		views = append(views, view)
	}
	return views, nil
}

// strictJSON takes no parameter that is not modelled.
func strictJSON(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

func (e simEmail) check() (emailView, *resendError) {
	for _, field := range []struct{ name, value string }{{"from", e.From}, {"to", strings.Join(e.To, "")}, {"subject", e.Subject}, {"html", e.HTML + e.Text}} {
		if field.value == "" {
			return emailView{}, resendMissing(field.name)
		}
	}
	for _, list := range [][]string{{e.From}, e.To, e.Cc, e.Bcc, e.ReplyTo} {
		if len(list) > 50 { // resend.com/docs/api-reference/emails/send-email
			return emailView{}, resendInvalid("an e-mail has at most 50 addresses in a list")
		}
		for _, text := range list {
			if _, err := mail.ParseAddress(text); err != nil {
				return emailView{}, resendInvalid("an address is invalid: write it like email@example.com or Name <email@example.com>")
			}
		}
	}
	tags := map[string]string{}
	for _, t := range e.Tags {
		if !isWord(t.Name) || !isWord(t.Value) || len(t.Name) > 256 || len(t.Value) > 256 {
			return emailView{}, resendInvalid("tags take ASCII letters, numbers, underscores and dashes")
		}
		tags[t.Name] = t.Value
	}
	return emailView{
		Object: "email", From: e.From, To: e.To, Cc: e.Cc, Bcc: e.Bcc, ReplyTo: e.ReplyTo, Subject: e.Subject,
		HTML: e.HTML, Text: e.Text, LastEvent: "delivered", tags: tags,
	}, nil
}

// send delivers e-mails and answers with their IDs.
func (s *resend) send(c *resendCall, emails []emailView) outcome {
	type made struct {
		ID string `json:"id"`
	}
	ids := make([]made, 0, len(emails))
	for i, e := range emails {
		e.ID, e.CreatedAt = s.ids.uuid(), c.now.UTC().Format(time.RFC3339)
		s.mu.Lock()
		s.emails[e.ID] = e
		s.mu.Unlock()
		truth := EmailTruth{
			ID: e.ID, From: e.From, To: e.To, Cc: e.Cc, Bcc: e.Bcc, Subject: e.Subject, Tags: e.tags,
			IdempotencyKey: c.key, Created: c.now.Unix(),
		}
		if c.operation == "POST /emails/batch" {
			truth.Item = strconv.Itoa(i)
		}
		s.sim.journal.emailed(truth)
		ids = append(ids, made{e.ID})
	}
	if c.operation == "POST /emails/batch" {
		return outcome{status: http.StatusOK, view: map[string]any{"data": ids}}
	}
	return outcome{status: http.StatusOK, view: ids[0]}
}
