package vaultproxy

import (
	"context"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// meter is the fifth step: the price, before anything is sent.
func (p *Proxy) meter(ctx context.Context, c *call) *denial {
	quote, err := c.upstream.vendor.Meter(ctx, c.request, &view{p: p, c: c})
	if err == nil {
		c.quote = quote
		return nil
	}
	var d *denial
	if errors.As(err, &d) {
		return d
	}
	if errors.Is(err, ledger.ErrUnavailable) {
		return ledgerDown()
	}
	return refused(err)
}

// view is what a vendor profile may ask while it meters one call.
type view struct {
	p *Proxy
	c *call
}

// Booking tells who holds an object's amount.
func (v *view) Booking(ctx context.Context, object string) (vendors.Booking, bool, error) {
	row, err := v.p.store.Booking(ctx, v.c.grant.vendor, object)
	if errors.Is(err, ledger.ErrNotFound) {
		return vendors.Booking{}, false, nil
	}
	if err != nil {
		return vendors.Booking{}, false, err
	}
	b := vendors.Booking{
		Seq:       row.Seq,
		SameRun:   row.Run == v.c.grant.run && row.Tenant == v.c.grant.tenant,
		Committed: row.State == ledger.Committed,
		Hold:      row.Hold,
	}
	// Without its request a hold counts as it is, and its rate is not known.
	if wire, err := v.p.storedRequest(row); err == nil {
		b.Rate, b.Header = wire.Rate, wire.Header
	}
	return b, true, nil
}

// Scope is that of the call's key.
func (v *view) Scope() ledger.Scope { return v.c.grant.scope }

// Now is the time by the ledger's clock.
func (v *view) Now(ctx context.Context) (time.Time, error) { return v.p.store.Now(ctx) }

// Get looks something up at the vendor, for a key that may still do so.
func (v *view) Get(ctx context.Context, path string, query vendors.Params) (vendors.Answer, error) {
	if d := v.p.live(ctx, v.c.grant.keyID); d != nil {
		return vendors.Answer{}, d
	}
	return v.p.getter(v.c.upstream, v.c.request.Header).Get(ctx, path, query)
}
