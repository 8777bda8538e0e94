package resend

import (
	"fmt"
	"mime"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// maxItems is the most e-mails that a batch has.
// https://resend.com/docs/api-reference/emails/send-batch-emails
const maxItems = 100

// Parse reads a request into its canonical form. Request.JSON is what will be
// sent, but for the stamp.
func (*Profile) Parse(raw vendors.Raw) (vendors.Request, error) {
	r := vendors.Request{Method: raw.Method, Path: raw.Path}
	op, err := operation(raw.Method, raw.Path)
	if err != nil {
		return r, err
	}
	if raw.Query != "" {
		return r, refuse(vendors.Ambiguous, "", "parameters in the query are not taken")
	}
	if op == read {
		if len(raw.Body) > 0 {
			return r, refuse(vendors.Ambiguous, "", "a GET with a body has two readings")
		}
		return r, nil
	}
	// Permissive batches are sent in part, and refused in part: what they cost shows
	// only afterwards.
	if mode := raw.Header("X-Batch-Validation"); mode != "" && mode != "strict" {
		return r, refuse(vendors.Unmetered, "", "only strict batch validation is metered: leave x-batch-validation out, or set it to strict")
	}
	if err := checkContentType(raw.ContentType); err != nil {
		return r, err
	}
	tree, err := vendors.ReadJSON(raw.Body)
	if err != nil {
		return r, err
	}
	emails, err := readEmails(tree, op == sendBatch)
	if err != nil {
		return r, err
	}
	r.JSON = encode(emails, op == sendBatch)
	return r, nil
}

func checkContentType(text string) error {
	kind, params, err := mime.ParseMediaType(text)
	if err != nil || kind != "application/json" {
		return refuse(vendors.Ambiguous, "", "the body must be JSON, with the Content-Type application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuse(vendors.Ambiguous, "", "the body's charset must be UTF-8")
	}
	return nil
}

func readEmails(tree any, batch bool) ([]email, error) {
	if !batch {
		one, err := readEmail(tree, "")
		return []email{one}, err
	}
	items, ok := tree.([]any)
	if !ok {
		return nil, refuse(vendors.Invalid, "", "a batch is a list of e-mails")
	}
	if len(items) == 0 || len(items) > maxItems {
		return nil, refuse(vendors.Invalid, "", "a batch has from 1 to %d e-mails", maxItems)
	}
	emails := make([]email, 0, len(items))
	for i, item := range items {
		at := fmt.Sprintf("[%d].", i)
		one, err := readEmail(item, at)
		if err != nil {
			return nil, err
		}
		if len(one.Attachments) > 0 {
			return nil, refuse(vendors.Invalid, at+"attachments", "Resend takes no attachments in a batch")
		}
		emails = append(emails, one)
	}
	return emails, nil
}

// refuse names the parameter at fault, where there is one.
func refuse(code, param, format string, args ...any) *vendors.Refusal {
	return &vendors.Refusal{Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}
