package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// Claim takes the sole right to prove a call.
func (s *Store) Claim(ctx context.Context, callID string, lease time.Duration) (ledger.Call, error) {
	var (
		out      ledger.Call
		decision error
	)
	err := s.write(ctx, func(b *batch) error {
		out, decision = ledger.Call{}, nil
		res, err := b.s.stmts.claim.ExecContext(b.ctx, b.now.Add(lease).UnixMicro(), callID, b.now.UnixMicro())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		c, found, err := b.find(callID)
		switch {
		case err != nil:
			return err
		case !found:
			decision = ledger.ErrNotFound
		case n == 0:
			decision = ledger.ErrClaimed
		}
		out = c
		return nil
	})
	if err != nil {
		return ledger.Call{}, err
	}
	return out, decision
}

// Unclaim gives the right back.
func (s *Store) Unclaim(ctx context.Context, callID string, next time.Duration) error {
	return s.write(ctx, func(b *batch) error {
		_, err := b.s.stmts.unclaim.ExecContext(b.ctx, b.now.Add(next).UnixMicro(), callID)
		return err
	})
}

// Resend records one more send of an unknown call, if its key, its run and its
// age still allow one.
func (s *Store) Resend(ctx context.Context, callID string, window time.Duration) (ledger.Call, error) {
	var (
		out      ledger.Call
		decision error
	)
	err := s.write(ctx, func(b *batch) error {
		out, decision = ledger.Call{}, nil
		c, found, err := b.find(callID)
		if err != nil {
			return err
		}
		if !found {
			decision = ledger.ErrNotFound
			return nil
		}
		if c.State != ledger.Unknown {
			decision = &ledger.Exists{Call: c}
			return nil
		}
		if _, decision, err = b.liveKey(c.KeyID); decision != nil || err != nil {
			return err
		}
		if b.now.Sub(c.FirstSentAt) >= window || len(c.Request) == 0 {
			decision = ledger.ErrWindowClosed
			return nil
		}
		res, err := b.s.stmts.resend.ExecContext(b.ctx, b.now.UnixMicro(), callID, b.now.UnixMicro())
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			decision = ledger.ErrClaimed // the lease is over: another may have begun to prove it
			return nil
		}
		c.Sends, c.Unproven = c.Sends+1, c.Unproven+1
		c.PriorSentAt, c.LastSentAt = c.LastSentAt, b.now
		out = c
		return nil
	})
	if err != nil {
		return ledger.Call{}, err
	}
	return out, decision
}

// Due lists calls whose proof is due.
func (s *Store) Due(ctx context.Context, limit int) ([]ledger.Call, error) {
	now := s.now().UnixMicro()
	rows, err := s.read.QueryContext(ctx, `SELECT `+callColumns+fromCalls+`
		WHERE c.state IN ('unknown', 'committed') AND c.next_check_at <= ? AND c.claimed_until <= ?
		ORDER BY c.next_check_at LIMIT ?`, now, now, limit)
	if err != nil {
		return nil, unavailable(err)
	}
	calls, err := scanCalls(rows, false)
	if err != nil {
		return nil, unavailable(err)
	}
	return calls, nil
}

// find reads a call inside the transaction.
func (b *batch) find(callID string) (ledger.Call, bool, error) {
	c, err := scanCall(b.s.stmts.callByID.QueryRowContext(b.ctx, callID), true)
	if errors.Is(err, ledger.ErrNotFound) {
		return c, false, nil
	}
	return c, err == nil, err
}
