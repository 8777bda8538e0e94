package vaultproxy

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// reply is an answer to the caller.
type reply struct {
	status int
	header map[string]string
	body   []byte
}

func (r *reply) set(name, value string) {
	if r.header == nil {
		r.header = map[string]string{}
	}
	r.header[name] = value
}

func (r *reply) write(w http.ResponseWriter) {
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) //nolint:gosec // an API's answer, no page; a caller that hung up asks again with the same idempotency key
}

func jsonReply(status int, body any) reply {
	encoded, err := json.Marshal(body)
	if err != nil {
		status, encoded = http.StatusInternalServerError, []byte(`{"code":"internal","message":"the answer could not be encoded"}`)
	}
	return reply{status: status, header: map[string]string{"Content-Type": "application/json"}, body: append(encoded, '\n')}
}

// passed are the vendor's headers that a caller gets to see. All others stay
// behind, above all any that pretends to be ours.
var passed = []string{
	"Content-Type", "Request-Id", "Idempotent-Replayed", "Original-Request", "Stripe-Version", "Stripe-Should-Retry", "Retry-After",
}

func vendorReply(a vendors.Answer) reply {
	r := reply{status: a.Status, header: make(map[string]string, len(passed)), body: a.Body}
	for _, name := range passed {
		if value := a.Header(name); value != "" {
			r.header[name] = value
		}
	}
	if r.header["Content-Type"] == "" {
		r.header["Content-Type"] = "application/json"
	}
	return r
}

// answerOf is the tenth step: the vendor's own answer where it is conclusive,
// else ours.
func answerOf(j judgement) reply {
	switch {
	case j.Credentials:
		return deny(VendorCredentials, "the vendor refused the proxy's own secret; have its operator check it").reply()
	case j.Outcome == ledger.OutcomeUnknown:
		return outcomeUnknown().reply()
	case j.result.err != nil:
		d := deny(VendorUnavailable, "the vendor could not be reached and nothing was sent; try again with the same idempotency key")
		d.retryAfter = time.Second
		return d.reply()
	case j.result.answer.Status == http.StatusTooManyRequests:
		d := deny(RateLimited, "the vendor asks to slow down; nothing was done; try again with the same idempotency key")
		d.retryAfter = retryAfter(j.result.answer)
		return d.reply()
	}
	return vendorReply(j.result.answer)
}

func retryAfter(a vendors.Answer) time.Duration {
	seconds, err := strconv.Atoi(a.Header("Retry-After"))
	if err != nil || seconds < 1 {
		return time.Second
	}
	return min(time.Duration(seconds)*time.Second, 5*time.Minute)
}

// inDialect turns an answer of our own into the shape in which the vendor's SDK
// decodes errors, where that shape has no place for our fields.
func (p *Proxy) inDialect(c *call, answer reply) reply {
	u := p.upstreams[c.spoken]
	if u == nil || answer.header["Tollgate-Denied"] == "" {
		return answer
	}
	denier, ok := u.vendor.(vendors.Denier)
	if !ok {
		return answer
	}
	var fields map[string]any
	if err := json.Unmarshal(answer.body, &fields); err != nil {
		return answer
	}
	spoken := jsonReply(answer.status, denier.Denial(answer.status, fields))
	spoken.header = answer.header
	return spoken
}

// firstSegment is the first segment of a request's target, as it came in.
func firstSegment(target string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	return segment
}
