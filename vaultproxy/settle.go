package vaultproxy

import (
	"context"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// firstCheck is when the reconciler first looks at an unknown call: a caller
// that retries soon gets there before it.
const firstCheck = 2 * time.Second

// settle is the ninth step: the verdict is booked durably, and only then is the
// caller answered.
func (p *Proxy) settle(ctx context.Context, c *call, j judgement) reply {
	answer := answerOf(j)
	r := p.resolution(c.row, j, answer, c.audit(ledger.ByCaller))
	if pacer, ok := c.upstream.vendor.(vendors.Pacer); ok && j.Outcome == ledger.OutcomeCommitted {
		r.NextCheck = pacer.Pace(0)
	}
	row, moved, err := p.resolve(ctx, r)
	switch {
	case errors.Is(err, ledger.ErrObjectTaken):
		p.log.Error("a vendor object is claimed by two calls", "call_id", c.callID, "object", j.Object)
		r.Outcome, r.Object, r.Reason, r.Answered = ledger.OutcomeUnknown, "", "object_taken", false
		p.settleLater(r)
		c.verdict, c.reason = string(ledger.Unknown), r.Reason
		return outcomeUnknown().reply()
	case err != nil:
		// The vendor acted and the store cannot say so: the verdict is kept until it can.
		p.log.Error("verdict not stored yet", "call_id", c.callID, "error", err)
		p.settleLater(r)
		c.verdict, c.reason = string(ledger.Unknown), "not_stored"
		return outcomeUnknown().reply()
	}
	p.metrics.booked(row, moved)
	c.row, c.verdict, c.reason, c.object, c.amount = row, string(row.State), row.Reason, row.Object, row.Amount
	return answer
}

// resolve books an outcome, and tells whether that moved the call. A decline holds
// on to its object, since others may still pay it. Where another call has the
// object on the books already, that one holds it, and the decline is without any
// effect that costs.
func (p *Proxy) resolve(ctx context.Context, r ledger.Resolution) (ledger.Call, bool, error) {
	row, moved, err := p.store.Resolve(ctx, r)
	if errors.Is(err, ledger.ErrObjectTaken) && r.Declined && r.Outcome == ledger.OutcomeCommitted {
		r.Outcome, r.Object = ledger.OutcomeReleased, ""
		row, moved, err = p.store.Resolve(ctx, r)
	}
	return row, moved, err
}

// resolution turns a judgement into what is booked. An answer is kept for
// replay only if it is the call's final one.
func (p *Proxy) resolution(seen ledger.Call, j judgement, answer reply, audit ledger.AuditRow) ledger.Resolution {
	r := ledger.Resolution{
		Seq: seen.Seq, Seen: &seen, Outcome: j.Outcome, Amount: j.Amount, Reason: j.Reason, Object: j.Object, Declined: j.Declined,
		Frees: j.Frees, NextCheck: firstCheck, Audit: audit,
	}
	r.Audit.Status = answer.status
	if j.Final() {
		r.Answered, r.AnswerStatus, r.Answer = true, answer.status, p.seal.sealAnswer(seen.ID, answer)
	}
	return r
}

// notSent gives back what was held by a reservation that came too late: its
// caller was told that nothing was sent, and nothing is.
func (p *Proxy) notSent(got ledger.Reserved) {
	p.log.Warn("a reservation came too late and is given back", "call_id", got.Call.ID, "run", got.Call.Run)
	p.settleLater(ledger.Resolution{
		Seq: got.Call.Seq, Seen: &got.Call, Outcome: ledger.OutcomeRefused, Reason: "not_sent", NextCheck: firstCheck,
		Audit: ledger.AuditRow{By: ledger.ByCaller},
	})
}

// settleLater stores a verdict in the background, as often as it takes.
func (p *Proxy) settleLater(r ledger.Resolution) {
	p.work.Go(func() {
		for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
			ctx, cancel := context.WithTimeout(p.bg, p.timeout)
			row, moved, err := p.resolve(ctx, r)
			cancel()
			p.metrics.booked(row, moved)
			if err == nil || errors.Is(err, ledger.ErrNotFound) {
				return
			}
			if errors.Is(err, ledger.ErrObjectTaken) {
				r.Outcome, r.Object, r.Answered = ledger.OutcomeUnknown, "", false
			}
			select {
			case <-time.After(wait):
			case <-p.bg.Done():
				return // the row stays dispatched; the next start makes it unknown and proves it
			}
		}
	})
}
