package stripe

import (
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Parse reads a request into its canonical form: form bodies as Stripe's SDKs
// send them, and JSON objects, which are transcoded since v1 takes forms only.
func (*Profile) Parse(raw vendors.Raw) (vendors.Request, error) {
	r := vendors.Request{Method: raw.Method, Path: raw.Path}
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodDelete}, raw.Method) {
		return r, refuse(vendors.Ambiguous, "the method must be GET, POST or DELETE")
	}
	if !strings.HasPrefix(raw.Path, "/v1/") {
		return r, refuse(vendors.Unmetered, "only Stripe's v1 API is metered; the path must start with /v1/")
	}
	var err error
	if r.Header, err = readHeaders(raw.Header); err != nil {
		return r, err
	}
	if r.Query, err = vendors.ParseForm(raw.Query); err != nil {
		return r, err
	}
	if r.Body, err = parseBody(raw); err != nil {
		return r, err
	}
	if err := checkExpand(append(slices.Clone(r.Query), r.Body...)); err != nil {
		return r, err
	}
	if r.Read() {
		if len(raw.Body) > 0 {
			return r, refuse(vendors.Ambiguous, "a GET with a body has two readings; put the parameters into the query")
		}
		return r, nil
	}
	if len(r.Query) > 0 {
		return r, refuse(vendors.Ambiguous, "a write with a query has two places for its parameters; put them all into the body")
	}
	op, _, err := find(r)
	if err != nil {
		return r, err
	}
	return r, op.checkParams(r.Body)
}

func parseBody(raw vendors.Raw) (vendors.Params, error) {
	if len(raw.Body) == 0 {
		return nil, nil
	}
	kind, params, err := mime.ParseMediaType(raw.ContentType)
	if err != nil {
		return nil, refuse(vendors.Ambiguous, "the Content-Type is missing or malformed: send application/x-www-form-urlencoded or application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, refuse(vendors.Ambiguous, "the body's charset must be UTF-8")
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		return vendors.ParseForm(string(raw.Body))
	case "application/json":
		return vendors.ParseJSON(raw.Body)
	default:
		return nil, refuse(vendors.Ambiguous, "the body must be application/x-www-form-urlencoded or application/json")
	}
}

// readHeaders takes the one header that gives the same body another meaning and
// that a key's scope may allow, and refuses the others.
func readHeaders(header func(string) string) (map[string]string, error) {
	if v := header("Stripe-Version"); v != "" && v != APIVersion {
		return nil, refuse(vendors.Invalid, fmt.Sprintf(
			"Stripe-Version must be %s or absent: amounts and states are read as that version has them, so requests are sent with no other", APIVersion))
	}
	if header("Stripe-Context") != "" {
		return nil, refuse(vendors.ScopeDenied, "Stripe-Context would act on another account in a way that no scope covers; name the account by Stripe-Account")
	}
	account := header(accountHeader)
	switch {
	case account == "":
		return nil, nil
	case !isID(account, "acct_"):
		return nil, refuse(vendors.Ambiguous, "Stripe-Account is not the ID of an account, acct_…")
	}
	return map[string]string{accountHeader: account}, nil
}

// accountHeader names the connected account that a request acts on.
// https://docs.stripe.com/connect/authentication
const accountHeader = "Stripe-Account"

func refuse(code, message string) *vendors.Refusal {
	return &vendors.Refusal{Code: code, Message: message}
}
