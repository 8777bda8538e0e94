package stripe

import (
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
func (*Profile) Wire(q vendors.Quote, stamp vendors.Stamp) vendors.Wire {
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
	w.ContentType = "application/x-www-form-urlencoded"
	w.Body = []byte(body.Encode())
	return w
}
