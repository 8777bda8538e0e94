package vaultproxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	reconcileBatch    = 64
	reconcileParallel = 8
)

// reconcile proves what nobody asks for again, and follows committed calls to
// their end. It causes nothing new: it looks up, and sends again only what
// cannot be looked up.
func (p *Proxy) reconcile(interval time.Duration) {
	for {
		jitter := rand.N(interval/2 + 1) //nolint:forbidigo // spreads replicas' load; nothing depends on it
		select {
		case <-time.After(interval + jitter):
		case <-p.bg.Done():
			return
		}
		if err := p.Reconcile(p.bg); err != nil && p.bg.Err() == nil {
			p.log.Warn("reconciler could not work with the ledger", "error", err)
		}
	}
}

// Reconcile goes once over the calls whose proof is due, if no other replica is
// at it.
func (p *Proxy) Reconcile(ctx context.Context) (err error) {
	result := "followed"
	defer func() {
		if err != nil {
			result = "failed"
		}
		p.metrics.round(result)
	}()
	if leads, err := p.lead(ctx); err != nil || !leads {
		return err
	}
	result = "led"
	due, err := p.store.Due(ctx, reconcileBatch)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(reconcileParallel)
	for _, row := range due {
		// A round may take longer than the lease. Two that reconcile would do no harm,
		// since each call is claimed, but would ask the vendor twice as often.
		if leads, err := p.lead(ctx); err != nil || !leads {
			return errors.Join(err, g.Wait())
		}
		g.Go(func() error {
			if err := p.reconcileOne(ctx, row); err != nil && ctx.Err() == nil && !errors.Is(err, ledger.ErrClaimed) {
				p.log.Warn("proof failed", "call_id", row.ID, "error", err)
			}
			return nil
		})
	}
	return g.Wait()
}

// lead takes or keeps the sole right to reconcile, for longer than a proof takes.
func (p *Proxy) lead(ctx context.Context) (bool, error) {
	leads, err := p.store.Lead(ctx, p.lease())
	p.leads.Store(leads && err == nil)
	return leads, err
}

func (p *Proxy) reconcileOne(ctx context.Context, row ledger.Call) (err error) {
	defer func() {
		if recover() != nil { // one row that nobody can digest must not stop the proof of all others
			p.log.Error("a proof broke off by a panic", "call_id", row.ID, "stack", string(debug.Stack()))
			err = p.store.Unclaim(ctx, row.Seq, backOff(row.Checks+5))
		}
	}()
	u := p.upstreams[row.Vendor]
	if u == nil {
		return p.store.Unclaim(ctx, row.Seq, backOff(row.Checks+10))
	}
	if row.State == ledger.Unknown {
		_, err := p.prove(ctx, u, row.Seq, ledger.ByReconciler)
		return err
	}
	return p.follow(ctx, u, row.Seq)
}

// follow reads a committed call's object until it is final.
func (p *Proxy) follow(ctx context.Context, u *upstream, seq int64) error {
	row, err := p.store.Claim(ctx, seq, p.lease())
	if err != nil || row.State != ledger.Committed {
		return err
	}
	if row.Damaged != "" {
		_, err := p.storedRequest(row)
		return p.setAside(ctx, row, err)
	}
	again := backOff(row.Checks + 2)
	if pacer, ok := u.vendor.(vendors.Pacer); ok {
		again = pacer.Pace(row.Checks)
	}
	// Without its request the profile takes the call for one that may still go on.
	wire, err := p.storedRequest(row)
	if err != nil && p.unreadable.first(row.Seq) {
		p.log.Warn("the request of a committed call is not readable", "call_id", row.ID, "error", err)
	}
	finding, err := u.vendor.Follow(ctx, sentOf(row, wire), row.Object, p.getter(u))
	if err != nil {
		return errors.Join(err, p.store.Unclaim(ctx, row.Seq, again))
	}
	// A decline ends only a call that had tried: one that was refused merely holds
	// its object, which others may still pay.
	open := finding.Verdict.Outcome == ledger.OutcomeCommitted || (finding.Verdict.Declined && !row.Answered)
	if !finding.Found || open {
		return p.store.Unclaim(ctx, row.Seq, again)
	}
	_, err = p.book(ctx, u, row, judgement{finding.Verdict, result{answer: finding.Answer}}, ledger.AuditRow{By: ledger.ByReconciler})
	return err
}
