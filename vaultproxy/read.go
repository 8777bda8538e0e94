package vaultproxy

import (
	"context"
	"net/http"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// read passes a call on that has no effect and no cost: no idempotency key, no
// hold, but a live key, the allowlist and an audit row all the same.
func (p *Proxy) read(ctx context.Context, c *call) (reply, *denial) {
	if d := c.allow(); d != nil {
		return reply{}, d
	}
	if d := p.meter(ctx, c); d != nil {
		return reply{}, d
	}
	if d := p.live(ctx, c.grant.keyID); d != nil {
		return reply{}, d
	}
	res := p.forward(ctx, c.upstream, c.upstream.vendor.Wire(c.quote, vendors.Stamp{}), "") // a read creates nothing to find again
	if res.err != nil {
		return reply{}, deny(VendorUnavailable, "the vendor did not answer; a read can be tried again at any time")
	}
	res.answer = conceal(c.upstream.vendor, vendors.Sent{Operation: c.quote.Operation}, res.answer)
	var answer reply
	switch res.answer.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return reply{}, deny(VendorCredentials, "the vendor refused the proxy's own secret; have its operator check it")
	case http.StatusTooManyRequests:
		d := deny(RateLimited, "the vendor asks to slow down; try again")
		d.retryAfter = retryAfter(res.answer)
		return reply{}, d
	default:
		answer = vendorReply(res.answer)
	}
	if scoper, ok := c.upstream.vendor.(vendors.Scoper); ok {
		if err := scoper.CheckRead(c.quote.Request, res.answer, c.grant.scope); err != nil {
			return reply{}, refused(err)
		}
	}
	c.verdict = ledger.VerdictRead
	p.record(c, answer.status)
	return answer, nil
}
