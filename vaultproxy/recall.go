package vaultproxy

import (
	"context"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// recall is the third step: has this call been made before? Then it is answered
// from the ledger, even if the key is by now revoked or expired or its caps are
// full. Those gate new effects; who retries a charge that was made must not be
// told that it was not.
func (p *Proxy) recall(ctx context.Context, c *call) (answer reply, done bool, d *denial) {
	row, err := p.store.Recall(ctx, ledger.CallKey{
		RunNo: c.grant.runNo, Vendor: c.grant.vendor, IdempotencyKey: c.idempotencyKey,
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return reply{}, false, nil
	}
	if err != nil {
		return reply{}, false, ledgerDown()
	}
	if row.Damaged != "" {
		return reply{}, false, outcomeUnknown()
	}
	if row.Digest != c.digest {
		return reply{}, false, deny(IdempotencyMismatch,
			"this idempotency key was used for another request; use a new key for a new request")
	}
	if row.State == ledger.Unknown {
		if row, d = p.proveForCaller(ctx, c, row); d != nil {
			return reply{}, false, d
		}
	}
	switch {
	case row.Answered:
		answer, d = p.replay(c, row)
		return answer, true, d
	case row.State == ledger.Dispatched:
		return reply{}, false, inFlight()
	case row.State == ledger.Settled:
		return reply{}, false, unanswered()
	case closed(row):
		return reply{}, false, deny(OutcomeUnknown,
			"this call is released, but no answer is stored that could be repeated; read it from the ledger by its call ID, and use a new key for a new attempt")
	}
	// It may be sent again, and then under the same idempotency key: with another
	// item in its stamp it would be another request.
	c.item = row.Item
	return reply{}, false, nil
}

// closed reports whether a released call without an answer stays as it is: it
// moved an object that was there before it, and somebody else has said what
// became of that.
func closed(row ledger.Call) bool {
	return row.State == ledger.Released && row.Object != "" && !row.FirstSentAt.IsZero()
}

// proveForCaller tries to find out what became of an unknown call, now that
// somebody asks.
func (p *Proxy) proveForCaller(ctx context.Context, c *call, row ledger.Call) (ledger.Call, *denial) {
	row, err := p.prove(ctx, c.upstream, row.Seq, ledger.ByCaller)
	switch {
	case errors.Is(err, ledger.ErrClaimed):
		return row, inFlight()
	case errors.Is(err, ledger.ErrUnavailable):
		return row, ledgerDown()
	case row.State == ledger.Unknown:
		d := outcomeUnknown()
		// The longer the vendor leaves it open, the rarer it is asked: a fan-out in
		// doubt must not use up what the vendor allows of reads.
		d.retryAfter = min(backOff(row.Checks), maxRetryAfter)
		return row, d
	}
	return row, nil
}

// maxRetryAfter bounds what a caller in doubt is told to wait.
const maxRetryAfter = 30 * time.Second

// outcomeUnknown answers a call whose outcome cannot be told yet.
func outcomeUnknown() *denial {
	d := deny(OutcomeUnknown,
		"the vendor may have acted and its answer is not known; try again with the same idempotency key, never with a new one")
	d.retryAfter = time.Second
	return d
}

// unanswered is a call that is known to be settled while its answer is not kept.
func unanswered() *denial {
	return deny(OutcomeUnknown, "this call is settled, but its answer is not stored; read it from the ledger by its call ID")
}

func inFlight() *denial {
	d := deny(IdempotencyInFlight, "a call with this idempotency key is still in flight; try again with the same key")
	d.retryAfter = time.Second
	return d
}

// replay answers with what is stored. Nothing is sent and nothing is counted.
func (p *Proxy) replay(c *call, row ledger.Call) (reply, *denial) {
	answer, err := p.seal.openAnswer(row.ID, row.AnswerStatus, row.Answer)
	if err != nil {
		p.log.Error("stored answer unreadable", "call_id", row.ID, "error", err)
		return reply{}, unanswered()
	}
	answer.set("Tollgate-Replayed", "true")
	answer.set("Idempotent-Replayed", "true")
	c.row, c.verdict, c.reason = row, ledger.VerdictReplayed, row.Reason
	c.quote.Operation, c.quote.Template, c.object = row.Operation, row.Path, row.Object
	p.record(c, answer.status)
	return answer, nil
}
