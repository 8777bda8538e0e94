package vaultproxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// reserve is the sixth step: one durable commit in which the key is live, every
// budget has room, the price is held and the send is recorded. Where only calls
// in flight stand in the way, it waits for them. It reports again if the call
// must be looked at anew.
func (p *Proxy) reserve(ctx context.Context, c *call) (again bool, _ *denial) {
	c.wire = c.upstream.vendor.Wire(c.quote, vendors.Stamp{CallID: c.callID, Run: c.grant.run, Item: c.item})
	sealed, err := p.seal.sealWire(c.callID, c.wire)
	if err != nil {
		return false, ledgerDown()
	}
	begun := time.Now()
	got, err := p.store.Reserve(ctx, ledger.Reservation{
		CallID: c.callID, Digest: c.digest, KeyID: c.grant.keyID, RunNo: c.grant.runNo, Vendor: c.grant.vendor, Operation: c.quote.Operation,
		Method: c.request.Method, Path: c.quote.Template, IdempotencyKey: c.idempotencyKey, Item: c.item,
		WorkflowID: c.workflowID, Price: c.quote.Price, Target: c.quote.Target, TakeOver: c.quote.TakeOver, Request: sealed,
		Wait: max(0, p.patience-c.waited), // over all rounds of this call
	})
	c.waited += time.Since(begun)
	var (
		exists *ledger.Exists
		no     *ledger.Denial
	)
	switch {
	case err == nil:
		c.row, c.remaining, c.hasRemaining = got.Call, got.Remaining, true
		return false, nil
	case errors.As(err, &exists), errors.Is(err, ledger.ErrBookingMoved):
		return true, nil
	case errors.As(err, &no):
		return false, c.capDenied(no)
	default:
		p.log.Error("reserve failed", "call_id", c.callID, "error", err)
		return false, ledgerDown()
	}
}

func (c *call) capDenied(no *ledger.Denial) *denial {
	var d *denial
	switch no.Reason {
	case ledger.CapExhausted:
		d = deny(CapExhausted, fmt.Sprintf("%s does not fit: the %s cap of %s has %s settled and %s held for good or in doubt",
			no.Price, no.Kind, no.Budget.Cap, no.Budget.Settled, no.Budget.Committed+no.Budget.Unknown))
		if no.Kind == ledger.BudgetPerCall {
			d.message = fmt.Sprintf("%s is above the per-call cap of %s", no.Price, no.Budget.Cap)
		}
	case ledger.CapContended:
		d = deny(CapContended, fmt.Sprintf("%s does not fit into the %s cap of %s while %s is in flight; some of it may come back",
			no.Price, no.Kind, no.Budget.Cap, no.Budget.InFlight))
		d.retryAfter = time.Second
	default:
		return keyDenied(no.Reason)
	}
	d.budget = no
	c.remaining, c.hasRemaining = no.Budget.Remaining(), no.Kind != ledger.BudgetPerCall
	return d
}
