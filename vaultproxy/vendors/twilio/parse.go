package twilio

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Parse reads a request into its canonical form. Twilio takes forms only. The
// path comes out with the bound account in it, so that a call is the same call
// whether its caller knew the account or not.
func (p *Profile) Parse(raw vendors.Raw) (vendors.Request, error) {
	r := vendors.Request{Method: raw.Method, Path: raw.Path}
	if raw.Method != http.MethodGet && raw.Method != http.MethodPost && raw.Method != http.MethodDelete {
		return r, refuse(vendors.Ambiguous, "", "the method must be GET, POST or DELETE")
	}
	op, path, err := p.find(raw.Method, raw.Path)
	if err != nil {
		return r, err
	}
	r.Path = path
	if r.Read() {
		if len(raw.Body) > 0 {
			return r, refuse(vendors.Ambiguous, "", "a GET with a body has two readings; put the parameters into the query")
		}
		r.Query, err = parseNames(raw.Query, op)
		return r, err
	}
	if raw.Query != "" {
		return r, refuse(vendors.Ambiguous, "", "a write with a query has two places for its parameters; put them all into the body")
	}
	if err := checkForm(raw.ContentType); err != nil {
		return r, err
	}
	r.Body, err = parseNames(string(raw.Body), op)
	return r, err
}

func checkForm(contentType string) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return refuse(vendors.Ambiguous, "", "the body must be application/x-www-form-urlencoded")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuse(vendors.Ambiguous, "", "the body's charset must be UTF-8")
	}
	return nil
}

// parseNames says of a parameter that the profile refuses why it does.
func parseNames(text string, op operation) (vendors.Params, error) {
	params, err := vendors.ParseExact(text, op.names)
	var refusal *vendors.Refusal
	if errors.As(err, &refusal) && refusal.Code == vendors.Invalid {
		if known, ok := refusedNames()[refusal.Param]; ok {
			return nil, &known
		}
	}
	return params, err
}
