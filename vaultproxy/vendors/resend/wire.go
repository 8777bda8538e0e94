package resend

import (
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// stampCall is the tag that tells which call sent an e-mail. Tags come back in
// Resend's webhooks. A run's label is no tag: it has other characters than those
// that a tag takes.
const stampCall = "tollgate_call"

// Wire builds what is sent: the canonical JSON with the stamp in each e-mail.
func (*Profile) Wire(q vendors.Quote, stamp vendors.Stamp) vendors.Wire {
	w := vendors.Wire{Method: q.Request.Method, Target: q.Request.Path}
	if q.Request.Read() {
		return w
	}
	batch := q.Operation == sendBatch
	w.ContentType, w.Body = "application/json", q.Request.JSON
	if batch {
		w.Header = map[string]string{"X-Batch-Validation": "strict"} // what the price was worked out for
	}
	emails, err := decode(q.Request.JSON, batch)
	if err != nil || !isTagText(stamp.CallID) {
		return w
	}
	for i := range emails {
		emails[i].Tags = append(emails[i].Tags, tag{stampCall, stamp.CallID})
	}
	w.Body = encode(emails, batch)
	return w
}
