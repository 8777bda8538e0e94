package resend

import (
	"bytes"
	"encoding/json"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// email is one e-mail as it is sent, and all that the profile understands of one.
type email struct {
	From        string            `json:"from"`
	To          []string          `json:"to"`
	Cc          []string          `json:"cc,omitempty"`
	Bcc         []string          `json:"bcc,omitempty"`
	ReplyTo     []string          `json:"reply_to,omitempty"`
	Subject     string            `json:"subject"`
	HTML        *string           `json:"html,omitempty"`
	Text        *string           `json:"text,omitempty"` // an empty one has a meaning: no plain text is made out of the HTML
	Headers     map[string]string `json:"headers,omitempty"`
	Tags        []tag             `json:"tags,omitempty"`
	Attachments []attachment      `json:"attachments,omitempty"`
}

type tag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type attachment struct {
	Filename    string `json:"filename"`
	Content     string `json:"content"` // Base64
	ContentType string `json:"content_type,omitempty"`
	ContentID   string `json:"content_id,omitempty"`
}

// recipients counts all who get the e-mail, each as often as they are named.
func (e email) recipients() int64 { return int64(len(e.To) + len(e.Cc) + len(e.Bcc)) }

// encode writes the canonical JSON: members in the order of the struct, nothing
// that was not understood.
func encode(emails []email, batch bool) []byte {
	var value any = emails
	if !batch {
		value = emails[0]
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it is no part of a page, and would make the body larger
	_ = enc.Encode(value)    // texts, lists and maps of texts can always be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decode reads back what encode wrote.
func decode(body []byte, batch bool) ([]email, error) {
	if batch {
		var emails []email
		err := json.Unmarshal(body, &emails)
		return emails, err
	}
	var one email
	err := json.Unmarshal(body, &one)
	return []email{one}, err
}

// Operations, as they stand in the ledger.
const (
	read      = "emails.read"
	sendOne   = "emails.send"
	sendBatch = "emails.batch"
)

// operation tells what a request does; *vendors.Refusal if it is not metered.
func operation(method, path string) (string, error) {
	switch {
	case method == "POST" && path == "/emails":
		return sendOne, nil
	case method == "POST" && path == "/emails/batch":
		return sendBatch, nil
	case method == "GET" && isEmailPath(path):
		return read, nil
	}
	return "", &vendors.Refusal{
		Code:    vendors.Unmetered,
		Message: "Tollgate does not meter this Resend operation, so it is not passed on; metered are POST /emails and POST /emails/batch, read is GET /emails/{id}",
	}
}

// isEmailPath reports whether a path names one e-mail by its UUID.
func isEmailPath(path string) bool {
	const prefix = "/emails/"
	if len(path) != len(prefix)+36 || path[:len(prefix)] != prefix {
		return false
	}
	return isUUID(path[len(prefix):])
}

func isUUID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if ('0' > c || c > '9') && ('a' > c || c > 'f') && ('A' > c || c > 'F') {
			return false
		}
	}
	return true
}
