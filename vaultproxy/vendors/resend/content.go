package resend

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"strconv"
	"strings"
	"unicode"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	// maxTag bounds a tag's name and value, in characters.
	// https://resend.com/docs/api-reference/emails/send-email
	maxTag = 256
	// maxTags, maxHeaders and maxAttachments are the proxy's own bounds.
	maxTags        = 20
	maxHeaders     = 20
	maxAttachments = 10
	// maxAttached bounds all attachments of an e-mail together, in bytes. Resend
	// takes 40 MB; what comes through the proxy has to fit its body of 256 KiB.
	maxAttached = 128 << 10
	// stampPrefix is kept for Tollgate's own tags.
	stampPrefix = "tollgate"
)

// headers that may be set. Others name recipients, senders or the content, or are
// orders to a mail system behind Resend's.
var allowedHeaders = map[string]string{ //nolint:gochecknoglobals // a constant table
	"auto-submitted": "Auto-Submitted", "in-reply-to": "In-Reply-To", "list-id": "List-ID", "list-unsubscribe": "List-Unsubscribe",
	"list-unsubscribe-post": "List-Unsubscribe-Post", "precedence": "Precedence", "references": "References",
	"x-entity-ref-id": "X-Entity-Ref-ID",
}

// readEmail reads one e-mail. At is its place in a batch.
func readEmail(tree any, at string) (e email, err error) {
	m, err := readMembers(tree, at, known)
	if err != nil {
		return e, err
	}
	from, err := m.text("from")
	if err != nil {
		return e, err
	}
	if from == nil {
		return e, refuse(vendors.Invalid, at+"from", "from is missing")
	}
	sender, err := parseAddress(*from)
	if err != nil {
		return e, refuse(vendors.Ambiguous, at+"from", "from %s", err.Error())
	}
	e.From = sender.text()
	for _, field := range []struct {
		name string
		into *[]string
	}{{"to", &e.To}, {"cc", &e.Cc}, {"bcc", &e.Bcc}, {"reply_to", &e.ReplyTo}} {
		if *field.into, err = m.addresses(field.name); err != nil {
			return e, err
		}
	}
	if len(e.To) == 0 {
		return e, refuse(vendors.Invalid, at+"to", "to is missing")
	}
	if e.Subject, err = m.line("subject", maxLine); err != nil {
		return e, err
	}
	if err := e.readBody(m); err != nil {
		return e, err
	}
	if err := e.readHeaders(m); err != nil {
		return e, err
	}
	if err := e.readTags(m); err != nil {
		return e, err
	}
	err = e.readAttachments(m)
	return e, err
}

func (e *email) readBody(m members) (err error) {
	if e.HTML, err = m.text("html"); err != nil {
		return err
	}
	if e.Text, err = m.text("text"); err != nil {
		return err
	}
	if (e.HTML == nil || *e.HTML == "") && (e.Text == nil || *e.Text == "") {
		return refuse(vendors.Invalid, m.at+"html", "an e-mail needs html or text")
	}
	return nil
}

func (e *email) readHeaders(m members) error {
	value, there := m.values["headers"]
	if !there {
		return nil
	}
	values, ok := value.(map[string]any)
	if !ok || len(values) == 0 || len(values) > maxHeaders {
		return refuse(vendors.Invalid, m.at+"headers", "headers must be an object of 1 to %d texts, or be left out", maxHeaders)
	}
	e.Headers = make(map[string]string, len(values))
	for name, value := range values {
		canonical, allowed := allowedHeaders[strings.ToLower(name)]
		if !allowed {
			return refuse(vendors.ScopeDenied, m.at+"headers", "the header %.60q is not passed on; allowed are Auto-Submitted, In-Reply-To, List-ID, List-Unsubscribe, List-Unsubscribe-Post, Precedence, References and X-Entity-Ref-ID", name)
		}
		text, ok := value.(string)
		if !ok || text == "" || len(text) > maxLine || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return refuse(vendors.Invalid, m.at+"headers", "the header %s must be one line of printable ASCII", canonical)
		}
		e.Headers[canonical] = text
	}
	return nil
}

func (e *email) readTags(m members) error {
	items, err := m.list("tags", maxTags)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, item := range items {
		at := m.at + "tags[" + strconv.Itoa(i) + "]."
		fields, err := readMembers(item, at, []string{"name", "value"})
		if err != nil {
			return err
		}
		var t tag
		for name, into := range map[string]*string{"name": &t.Name, "value": &t.Value} {
			text, err := fields.text(name)
			if err != nil {
				return err
			}
			if text == nil || !isTagText(*text) {
				return refuse(vendors.Invalid, at+name, "a tag's name and value take 1 to %d ASCII letters, digits, underscores and dashes", maxTag)
			}
			*into = *text
		}
		folded := strings.ToLower(t.Name)
		if strings.HasPrefix(folded, stampPrefix) {
			return refuse(vendors.Invalid, at+"name", "tags whose names start with tollgate are Tollgate's own; choose another")
		}
		if seen[folded] {
			return refuse(vendors.Ambiguous, at+"name", "a tag is given twice")
		}
		seen[folded] = true
		e.Tags = append(e.Tags, t)
	}
	return nil
}

func isTagText(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isAlphanumeric(c) && c != '_' && c != '-' {
			return false
		}
	}
	return text != "" && len(text) <= maxTag
}

func (e *email) readAttachments(m members) error {
	items, err := m.list("attachments", maxAttachments)
	if err != nil {
		return err
	}
	total := 0
	for i, item := range items {
		at := m.at + "attachments[" + strconv.Itoa(i) + "]."
		if values, ok := item.(map[string]any); ok {
			if _, there := values["path"]; there {
				return refuse(vendors.Unmetered, at+"path", "attachments by URL are not passed on: what they hold may change, and Resend would fetch it; give the content")
			}
		}
		a, size, err := readAttachment(item, at)
		if err != nil {
			return err
		}
		if total += size; total > maxAttached {
			return refuse(vendors.Invalid, m.at+"attachments", "attachments may have %d KiB together", maxAttached>>10)
		}
		e.Attachments = append(e.Attachments, a)
	}
	return nil
}

func readAttachment(item any, at string) (a attachment, size int, err error) {
	fields, err := readMembers(item, at, []string{"filename", "content", "content_type", "content_id"})
	if err != nil {
		return a, 0, err
	}
	if a.Filename, err = fields.line("filename", 255); err != nil {
		return a, 0, err
	}
	if strings.ContainsAny(a.Filename, `/\"`) {
		return a, 0, refuse(vendors.Invalid, at+"filename", "a file's name has no slashes and no quotes")
	}
	content, ok := readContent(fields.values["content"])
	if !ok || len(content) == 0 {
		return a, 0, refuse(vendors.Invalid, at+"content", "content is needed: in standard Base64, or as a list of bytes")
	}
	a.Content = base64.StdEncoding.EncodeToString(content)
	if _, there := fields.values["content_type"]; there {
		if a.ContentType, err = fields.line("content_type", 255); err != nil {
			return a, 0, err
		}
		if _, _, err := mime.ParseMediaType(a.ContentType); err != nil || strings.ContainsFunc(a.ContentType, func(r rune) bool { return r > unicode.MaxASCII }) {
			return a, 0, refuse(vendors.Invalid, at+"content_type", "content_type is not a media type")
		}
	}
	if _, there := fields.values["content_id"]; there {
		if a.ContentID, err = fields.line("content_id", 127); err != nil {
			return a, 0, err
		}
		if strings.ContainsFunc(a.ContentID, func(r rune) bool { return r > unicode.MaxASCII || strings.ContainsRune(`<>" `, r) }) {
			return a, 0, refuse(vendors.Invalid, at+"content_id", "content_id takes ASCII without brackets, quotes and spaces")
		}
	}
	return a, len(content), nil
}

// readContent reads a file's bytes as Resend's SDKs write them: in Base64, or,
// the one for Go, as a list of numbers.
func readContent(value any) ([]byte, bool) {
	switch v := value.(type) {
	case string:
		content, err := base64.StdEncoding.Strict().DecodeString(v)
		// Line breaks are skipped by the decoder, and by not every other.
		return content, err == nil && !strings.ContainsAny(v, "\r\n")
	case []any:
		content := make([]byte, 0, len(v))
		for _, item := range v {
			number, ok := item.(json.Number)
			if !ok {
				return nil, false
			}
			one, err := strconv.ParseUint(number.String(), 10, 8)
			if err != nil {
				return nil, false
			}
			content = append(content, byte(one))
		}
		return content, true
	}
	return nil, false
}
