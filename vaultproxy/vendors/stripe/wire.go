package stripe

import (
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Names of the stamp, in the metadata of what a call creates.
const (
	stampCall = "metadata[tollgate_call]"
	stampRun  = "metadata[tollgate_run]"
	stampItem = "metadata[tollgate_item]"
)

// Wire builds what is sent. A creation is stamped, so that the object tells
// which call, run and item made it, and can be found by that.
func (p *Profile) Wire(q vendors.Quote, stamp vendors.Stamp) vendors.Wire {
	w := vendors.Wire{
		Method: q.Request.Method,
		Target: q.Request.Path,
		Header: map[string]string{"Stripe-Version": APIVersion},
		Rate:   q.Rate,
	}
	if account := q.Request.Header[accountHeader]; account != "" {
		w.Header[accountHeader] = account
	}
	if len(q.Request.Query) > 0 {
		w.Target += "?" + q.Request.Query.Encode()
	}
	if q.Request.Read() {
		return w
	}
	body := q.Request.Body
	if op, _ := named(q.Operation); op.creates() {
		body = body.With(stampCall, stamp.CallID).With(stampRun, stamp.Run)
		if stamp.Item != "" {
			body = body.With(stampItem, stamp.Item)
		}
	}
	w.ContentType, w.Mode = "application/x-www-form-urlencoded", p.mode()
	w.Body = []byte(body.Encode())
	return w
}

// mode is the world that the secret opens, empty if it does not say.
// https://docs.stripe.com/keys#test-live-modes
func (p *Profile) mode() string {
	for _, mode := range []string{"live", "test"} {
		if strings.HasPrefix(p.secret, "sk_"+mode+"_") || strings.HasPrefix(p.secret, "rk_"+mode+"_") {
			return mode
		}
	}
	return ""
}
