package vaultproxy

import (
	"context"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	// resendWindow is counted from the first send: Stripe forgets idempotency
	// keys after 24 hours at the earliest, and a resend after that is a new charge.
	// https://docs.stripe.com/api/idempotent_requests
	resendWindow = 23 * time.Hour
	// fenceMargin is added to the latest moment at which a send can have left and
	// been waited for, before "nothing found" counts: a request that we gave up on
	// may still stand in a queue on the vendor's side. It costs nothing but a hold
	// that lasts longer.
	fenceMargin = 2 * time.Minute
)

// prove finds out what became of an unknown call. It looks up first. What it
// does not find it sends again, under the same idempotency key and for a caller
// who asks; or, once no earlier send can arrive any more, takes for not done.
// The call it returns is as it stands afterwards.
func (p *Proxy) prove(ctx context.Context, u *upstream, seq int64, by string) (ledger.Call, error) {
	row, err := p.store.Claim(ctx, seq, p.lease())
	if err != nil || row.State != ledger.Unknown {
		return row, err
	}
	wire, err := p.storedRequest(row)
	if err != nil {
		return row, p.setAside(ctx, row, err)
	}
	s := sentOf(row, wire)
	// Asked before the look-up: what it did not find may have arrived after it looked.
	fenced := p.fenced(ctx, row)
	finding, err := p.lookUp(ctx, u, s, row.Digest)
	audit := ledger.AuditRow{By: by}
	switch {
	case err != nil:
		p.log.Warn("look-up failed", "call_id", row.ID, "error", err)
		return row, p.store.Unclaim(ctx, row.Seq, p.lookAgain(u, row))
	case finding.Found:
		return p.book(ctx, u, row, judgement{finding.Verdict, result{answer: finding.Answer}}, audit)
	case finding.Absent && fenced:
		return p.book(ctx, u, row, judgement{Verdict: vendors.Verdict{Outcome: ledger.OutcomeNoEffect, Reason: "not_done"}}, audit)
	case finding.Absent && (by == ledger.ByReconciler || repeats(row)):
		// Nobody asks for it, or asking again is of no use: wait for the fence.
		return row, p.store.Unclaim(ctx, row.Seq, p.lookAgain(u, row))
	case u.vendor.IdempotencyHeader() == "":
		// The vendor would do again what it has done: nothing but a look-up may tell.
		return row, p.store.Unclaim(ctx, row.Seq, p.lookAgain(u, row))
	}
	return p.resend(ctx, u, row, s, audit)
}

// lookUp is bounded, so that a look-up and a resend together end before the
// lease does: a finding from an older lease must not be booked.
func (p *Proxy) lookUp(ctx context.Context, u *upstream, s vendors.Sent, digest [32]byte) (vendors.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*p.timeout)
	defer cancel()
	return u.vendor.Lookup(ctx, s, finder{p.getter(u, s.Wire.Header), p.store, u.vendor.Name(), s.CallID, digest})
}

// repeats reports whether the vendor has answered a resend with the failure that
// it keeps under the idempotency key. One more would be told the same, and would
// put the fence off by its own time: a caller that asks often enough would never
// get past it.
func repeats(row ledger.Call) bool {
	return row.Reason == storedFailure && row.Unproven > 1
}

// resend sends the very same bytes under the very same idempotency key: the
// vendor answers with what the first send came to, or does it now.
func (p *Proxy) resend(ctx context.Context, u *upstream, row ledger.Call, s vendors.Sent, audit ledger.AuditRow) (ledger.Call, error) {
	recorded, err := p.store.Resend(ctx, row.Seq, resendWindow)
	var no *ledger.Denial
	switch {
	case errors.As(err, &no), errors.Is(err, ledger.ErrWindowClosed):
		// Revoked, expired or too old: it may only be looked up from now on.
		return row, p.store.Unclaim(ctx, row.Seq, backOff(row.Checks))
	case err != nil:
		return row, err
	}
	j := judge(u.vendor, s, p.send(ctx, u, recorded, s.Wire))
	return p.book(ctx, u, recorded, j, audit)
}

// finder is what a look-up of one call may ask.
type finder struct {
	vendors.Getter
	store  ledger.Store
	vendor string
	callID string
	digest [32]byte
}

var _ vendors.Books = finder{}

// Taken reports whether another call holds or has settled an object.
func (f finder) Taken(ctx context.Context, object string) (bool, error) {
	row, err := f.store.Booking(ctx, f.vendor, object)
	if errors.Is(err, ledger.ErrNotFound) {
		return false, nil
	}
	return err == nil && row.ID != f.callID, err
}

// InFlight reports whether another call with the same request is on its way.
func (f finder) InFlight(ctx context.Context) (bool, error) {
	return f.store.InFlight(ctx, f.vendor, f.digest, f.callID)
}

// book stores what a proof came to.
func (p *Proxy) book(ctx context.Context, u *upstream, row ledger.Call, j judgement, audit ledger.AuditRow) (ledger.Call, error) {
	answer := reply{}
	if j.Final() {
		answer = vendorReply(j.result.answer)
	}
	r := p.resolution(row, j, answer, audit)
	r.NextCheck = p.lookAgain(u, row)
	r.Audit.Status = 0 // nobody was answered by this
	if row.Answered {
		r.Answered, r.Answer = false, nil
	}
	now, moved, err := p.resolve(ctx, r)
	if errors.Is(err, ledger.ErrObjectTaken) {
		// Of two calls that look alike, both may have found the same object: one has it
		// now, the other one looks for its own next time.
		p.log.Warn("a vendor object is claimed by two calls", "call_id", row.ID, "object", j.Object)
		return row, p.store.Unclaim(ctx, row.Seq, backOff(row.Checks))
	}
	if err != nil {
		return row, err
	}
	p.metrics.booked(now, moved)
	p.log.Info("proof", "call_id", row.ID, "run", row.Run, "item", row.Item, "by", audit.By, "verdict", now.State,
		"code", now.Reason, "sends", now.Sends, "object", now.Object, "amount_usd", now.Amount.String())
	return now, nil
}

// fenced reports whether no send of the call can arrive any more.
func (p *Proxy) fenced(ctx context.Context, row ledger.Call) bool {
	wait, err := p.untilFenced(ctx, row)
	return err == nil && wait <= 0
}

// untilFenced is how long it takes until that is so.
func (p *Proxy) untilFenced(ctx context.Context, row ledger.Call) (time.Duration, error) {
	now, err := p.store.Now(ctx)
	return p.fence() - now.Sub(row.LastSentAt), err
}

func (p *Proxy) fence() time.Duration { return sendWithin + p.timeout + fenceMargin }

// lookAgain is when the reconciler comes back to a call that may soon be told
// apart: once the fence is over at the latest, however often it was looked at, if
// that may tell something.
func (p *Proxy) lookAgain(u *upstream, row ledger.Call) time.Duration {
	if pacer, ok := u.vendor.(vendors.Pacer); ok {
		return pacer.Pace(row.Checks)
	}
	return min(backOff(row.Checks), p.fence())
}

// lease is longer than a look-up and a resend together can take: lookUp is bounded.
func (p *Proxy) lease() time.Duration { return 4*p.timeout + 10*time.Second }

// backOff is when to look again, after so many tries.
func backOff(checks int) time.Duration {
	return min(time.Second<<min(max(checks, 1), 12), 15*time.Minute)
}

func sentOf(row ledger.Call, wire vendors.Wire) vendors.Sent {
	return vendors.Sent{
		CallID: row.ID, Operation: row.Operation, Target: row.Target, Wire: wire, Hold: row.Hold, FirstSentAt: row.FirstSentAt,
	}
}
