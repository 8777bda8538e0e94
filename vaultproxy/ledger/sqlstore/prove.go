package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// Claim takes the sole right to prove a call.
func (s *Store) Claim(ctx context.Context, seq int64, lease time.Duration) (ledger.Call, error) {
	return s.onCall(ctx, seq, func(b *Batch, c *Call) (error, error) {
		if (c.State != ledger.Unknown && c.State != ledger.Committed) || c.ClaimedUntil.After(b.now) {
			return ledger.ErrClaimed, nil
		}
		c.ClaimedUntil, c.Checks = b.now.Add(lease), c.Checks+1
		b.touch(c)
		return nil, nil
	})
}

// Unclaim gives the right back.
func (s *Store) Unclaim(ctx context.Context, seq int64, next time.Duration) error {
	_, err := s.onCall(ctx, seq, func(b *Batch, c *Call) (error, error) {
		if c.State == ledger.Unknown || c.State == ledger.Committed {
			c.ClaimedUntil, c.NextCheckAt = time.Time{}, b.now.Add(next)
			b.touch(c)
		}
		return nil, nil
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return nil
	}
	return err
}

// Resend records one more send of an unknown call, if its key, its run and its
// age still allow one.
func (s *Store) Resend(ctx context.Context, seq int64, window time.Duration) (ledger.Call, error) {
	return s.onCall(ctx, seq, func(b *Batch, c *Call) (error, error) {
		if c.State != ledger.Unknown {
			return &ledger.Exists{Call: c.Call}, nil
		}
		k, err := b.key(c.KeyID)
		if err != nil {
			return nil, err
		}
		if d := b.dead(k); d != nil {
			return d, nil
		}
		switch {
		case b.now.Sub(c.FirstSentAt) >= window, len(c.Request) == 0:
			return ledger.ErrWindowClosed, nil
		case !c.ClaimedUntil.After(b.now):
			return ledger.ErrClaimed, nil // the lease is over: another may have begun to prove it
		}
		c.Sends, c.Unproven = c.Sends+1, c.Unproven+1
		c.PriorSentAt, c.LastSentAt = c.LastSentAt, b.now
		b.touch(c)
		return nil, nil
	})
}

// onCall changes one call under its run's lock.
func (s *Store) onCall(ctx context.Context, seq int64, change func(*Batch, *Call) (decision, err error)) (ledger.Call, error) {
	var (
		out      ledger.Call
		decision error
	)
	err := s.write(ctx, Needs{Locks: []int64{seq}}, func(b *Batch) error {
		out = ledger.Call{}
		c, err := b.lockedCall(seq)
		if errors.Is(err, ledger.ErrNotFound) {
			decision = err
			return nil
		}
		if err != nil {
			return err
		}
		if decision, err = change(b, c); err != nil {
			return err
		}
		out = c.Call
		return nil
	})
	if err != nil {
		return ledger.Call{}, err
	}
	return out, decision
}

// Due lists calls whose proof is due: half of the room is for each of the two
// states, and what one of them leaves is for the other.
func (s *Store) Due(ctx context.Context, limit int) ([]ledger.Call, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	due := func(state ledger.State) ([]ledger.Call, error) {
		return s.selectCalls(ctx, `WHERE c.state = $1 AND c.next_check_at > 0 AND c.next_check_at <= $2 AND c.claimed_until <= $2
			ORDER BY c.next_check_at LIMIT $3`, string(state), now.UnixMicro(), limit)
	}
	unknown, err := due(ledger.Unknown)
	if err != nil {
		return nil, err
	}
	committed, err := due(ledger.Committed)
	if err != nil {
		return nil, err
	}
	unknown = unknown[:min(len(unknown), max((limit+1)/2, limit-len(committed)))]
	return append(unknown, committed[:min(len(committed), limit-len(unknown))]...), nil
}

// leadership is the name of the reconciler's lease.
const leadership = "reconciler"

// Lead takes or keeps the reconciler's lease.
func (s *Store) Lead(ctx context.Context, lease time.Duration) (leads bool, err error) {
	if !s.backend.Shared() {
		return true, nil
	}
	err = s.write(ctx, Needs{}, func(b *Batch) error {
		n, err := b.tx.Exec(`INSERT INTO leases (name, epoch, until) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, until = excluded.until
			WHERE leases.epoch = excluded.epoch OR leases.until <= $4`,
			leadership, b.epoch, b.now.Add(lease).UnixMicro(), b.now.UnixMicro())
		leads = n > 0
		return err
	})
	return leads && err == nil, err
}
