package vaultproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// reportFactor is how much longer a report over many rows may take than what a
// call waits for.
const reportFactor = 5

// boundedStore is a store whose callers wait for a bounded time, whatever the
// database does. Reads end with their context. A write that has begun does not,
// since its result has to be known: it is left behind and looked after.
type boundedStore struct {
	ledger.Store
	timeout time.Duration
	room    chan struct{}   // for writes under way, those left behind among them
	work    *sync.WaitGroup // of the proxy
	log     *slog.Logger
	late    func(ledger.Reserved)
}

// spareWrites are for the control plane and the reconciler, beside those of calls.
const spareWrites = 64

var (
	errTooLate  = errors.New("it did not answer in time")
	errBrokeOff = errors.New("it broke off by a panic")
)

func unavailable(err error) error { return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err) }

// read runs a read with a deadline.
func read[T any](ctx context.Context, limit time.Duration, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}

// write runs a write, and returns at the deadline even if the write does not. Late
// is then told what came of it.
func write[T any](ctx context.Context, s *boundedStore, limit time.Duration, do func(context.Context) (T, error), late func(T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var none T
	select {
	case s.room <- struct{}{}:
	case <-ctx.Done():
		return none, unavailable(errTooLate)
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	var over atomic.Bool // whoever sets it decides whether the caller gets the result
	s.work.Go(func() {
		defer func() { <-s.room }()
		r := result{err: unavailable(errBrokeOff)}
		func() {
			// Nobody further up can catch it here, and one operation must not end the process.
			defer func() {
				if recover() != nil {
					s.log.Error("the ledger broke off by a panic", "stack", string(debug.Stack()))
				}
			}()
			r.value, r.err = do(ctx)
		}()
		if over.CompareAndSwap(false, true) {
			done <- r
		} else if late != nil {
			late(r.value, r.err)
		}
	})
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		if over.CompareAndSwap(false, true) {
			return none, unavailable(errTooLate)
		}
		r := <-done
		return r.value, r.err
	}
}

// pair makes one value of two.
type pair[A, B any] struct {
	a A
	b B
}

func two[A, B any](p pair[A, B], err error) (A, B, error) { return p.a, p.b, err }

func paired[A, B any](a A, b B, err error) (pair[A, B], error) { return pair[A, B]{a, b}, err }

func (s *boundedStore) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	return write(ctx, s, s.timeout+r.Wait, func(ctx context.Context) (ledger.Reserved, error) { return s.Store.Reserve(ctx, r) },
		func(got ledger.Reserved, err error) {
			if err == nil {
				s.late(got) // its caller was told that nothing was sent
			}
		})
}

func (s *boundedStore) Resolve(ctx context.Context, r ledger.Resolution) (ledger.Call, bool, error) {
	return two(write(ctx, s, s.timeout, func(ctx context.Context) (pair[ledger.Call, bool], error) {
		return paired(s.Store.Resolve(ctx, r))
	}, nil))
}

func (s *boundedStore) Claim(ctx context.Context, seq int64, lease time.Duration) (ledger.Call, error) {
	return write(ctx, s, s.timeout, func(ctx context.Context) (ledger.Call, error) { return s.Store.Claim(ctx, seq, lease) }, nil)
}

func (s *boundedStore) Unclaim(ctx context.Context, seq int64, next time.Duration) error {
	return s.do(ctx, func(ctx context.Context) error { return s.Store.Unclaim(ctx, seq, next) })
}

func (s *boundedStore) Resend(ctx context.Context, seq int64, window time.Duration) (ledger.Call, error) {
	return write(ctx, s, s.timeout, func(ctx context.Context) (ledger.Call, error) { return s.Store.Resend(ctx, seq, window) }, nil)
}

func (s *boundedStore) Record(ctx context.Context, row ledger.AuditRow) error {
	return s.do(ctx, func(ctx context.Context) error { return s.Store.Record(ctx, row) })
}

func (s *boundedStore) do(ctx context.Context, do func(context.Context) error) error {
	_, err := write(ctx, s, s.timeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) }, nil)
	return err
}

func (s *boundedStore) Lead(ctx context.Context, lease time.Duration) (bool, error) {
	return write(ctx, s, s.timeout, func(ctx context.Context) (bool, error) { return s.Store.Lead(ctx, lease) }, nil)
}

func (s *boundedStore) Issue(ctx context.Context, spec ledger.KeySpec) (ledger.Key, bool, error) {
	return two(write(ctx, s, s.timeout, func(ctx context.Context) (pair[ledger.Key, bool], error) {
		return paired(s.Store.Issue(ctx, spec))
	}, nil))
}

func (s *boundedStore) RevokeKey(ctx context.Context, keyID string) (ledger.Revocation, error) {
	return write(ctx, s, s.timeout, func(ctx context.Context) (ledger.Revocation, error) { return s.Store.RevokeKey(ctx, keyID) }, nil)
}

func (s *boundedStore) CloseRun(ctx context.Context, tenant, run string) (ledger.Revocation, error) {
	return write(ctx, s, s.timeout, func(ctx context.Context) (ledger.Revocation, error) { return s.Store.CloseRun(ctx, tenant, run) }, nil)
}

func (s *boundedStore) RevokeTenant(ctx context.Context, tenant string) (ledger.Revocation, error) {
	return write(ctx, s, s.timeout, func(ctx context.Context) (ledger.Revocation, error) { return s.Store.RevokeTenant(ctx, tenant) }, nil)
}

func (s *boundedStore) SetCap(ctx context.Context, change ledger.CapChange) (ledger.Budget, error) {
	return write(ctx, s, s.timeout, func(ctx context.Context) (ledger.Budget, error) { return s.Store.SetCap(ctx, change) }, nil)
}

func (s *boundedStore) Key(ctx context.Context, keyID string) (ledger.Key, error) {
	return read(ctx, s.timeout, func(ctx context.Context) (ledger.Key, error) { return s.Store.Key(ctx, keyID) })
}

func (s *boundedStore) Keys(ctx context.Context, f ledger.KeyFilter) ([]ledger.Key, error) {
	return read(ctx, s.timeout, func(ctx context.Context) ([]ledger.Key, error) { return s.Store.Keys(ctx, f) })
}

func (s *boundedStore) KeyUse(ctx context.Context, keyID string) (ledger.KeyUse, error) {
	return read(ctx, s.timeout, func(ctx context.Context) (ledger.KeyUse, error) { return s.Store.KeyUse(ctx, keyID) })
}

func (s *boundedStore) Budgets(ctx context.Context, f ledger.BudgetFilter) ([]ledger.Budget, error) {
	return read(ctx, s.timeout*reportFactor, func(ctx context.Context) ([]ledger.Budget, error) { return s.Store.Budgets(ctx, f) })
}

func (s *boundedStore) Recall(ctx context.Context, key ledger.CallKey) (ledger.Call, error) {
	return read(ctx, s.timeout, func(ctx context.Context) (ledger.Call, error) { return s.Store.Recall(ctx, key) })
}

func (s *boundedStore) Find(ctx context.Context, callID string) (ledger.Call, error) {
	return read(ctx, s.timeout*reportFactor, func(ctx context.Context) (ledger.Call, error) { return s.Store.Find(ctx, callID) })
}

func (s *boundedStore) Booking(ctx context.Context, vendor, object string) (ledger.Call, error) {
	return read(ctx, s.timeout, func(ctx context.Context) (ledger.Call, error) { return s.Store.Booking(ctx, vendor, object) })
}

func (s *boundedStore) InFlight(ctx context.Context, vendor string, digest [32]byte, callID string) (bool, error) {
	return read(ctx, s.timeout, func(ctx context.Context) (bool, error) { return s.Store.InFlight(ctx, vendor, digest, callID) })
}

func (s *boundedStore) Due(ctx context.Context, limit int) ([]ledger.Call, error) {
	return read(ctx, s.timeout, func(ctx context.Context) ([]ledger.Call, error) { return s.Store.Due(ctx, limit) })
}

func (s *boundedStore) Now(ctx context.Context) (time.Time, error) {
	return read(ctx, s.timeout, s.Store.Now)
}

func (s *boundedStore) Audit(ctx context.Context, f ledger.AuditFilter) ([]ledger.AuditRow, error) {
	return read(ctx, s.timeout*reportFactor, func(ctx context.Context) ([]ledger.AuditRow, error) { return s.Store.Audit(ctx, f) })
}

func (s *boundedStore) Calls(ctx context.Context, f ledger.CallFilter) ([]ledger.Call, error) {
	return read(ctx, s.timeout*reportFactor, func(ctx context.Context) ([]ledger.Call, error) { return s.Store.Calls(ctx, f) })
}

func (s *boundedStore) RunReports(ctx context.Context, run string) ([]ledger.RunReport, error) {
	return read(ctx, s.timeout*reportFactor, func(ctx context.Context) ([]ledger.RunReport, error) { return s.Store.RunReports(ctx, run) })
}
