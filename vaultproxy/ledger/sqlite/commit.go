package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// maxBatch bounds the operations of one commit, so that the first of them does
// not wait for ever on the last.
const maxBatch = 1024

// Where the last commit had siblings or more operations, the next one waits this
// long for further ones: a commit costs the same for one as for many. A caller
// that is alone never waits.
const (
	siblings    = 4
	commitDelay = 300 * time.Microsecond
)

// op is one caller's part of a commit. run must be repeatable: a batch that
// fails is rolled back and its operations are run again one by one.
type op struct {
	run   func(*batch) error
	done  chan error
	taken atomic.Bool // by the commit loop, or by a caller that gave up before that
}

// errCommit marks a commit whose result is not known.
var errCommit = errors.New("commit")

// write runs an operation in the next commit and returns once that is durable.
// A caller whose context ends before the operation was begun takes it back;
// after that it waits for the result, since it must know it.
func (s *Store) write(ctx context.Context, run func(*batch) error) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	o := &op{run: run, done: make(chan error, 1)}
	select {
	case s.ops <- o:
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case <-s.quit:
		return unavailable(errors.New("it is closed"))
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.taken.CompareAndSwap(false, true) {
			return unavailable(ctx.Err())
		}
		return <-o.done
	case <-s.stopped:
		select {
		case err := <-o.done:
			return err
		default:
			return unavailable(errors.New("it is closed"))
		}
	}
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err) }

func (s *Store) commitLoop() {
	defer close(s.stopped)
	batch := make([]*op, 0, maxBatch)
	for {
		crowded := len(batch) >= siblings
		batch = batch[:0]
		select {
		case o := <-s.ops:
			if crowded {
				select {
				case <-time.After(commitDelay):
				case <-s.quit:
				}
			}
			batch = s.gather(append(batch, o))
		case <-s.quit:
			if batch = s.gather(batch); len(batch) == 0 {
				return
			}
		}
		s.commit(batch)
	}
}

// gather takes what has queued up, without waiting for more: the time of the
// last commit is what fills the next one.
func (s *Store) gather(batch []*op) []*op {
	for len(batch) < maxBatch {
		select {
		case o := <-s.ops:
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

func (s *Store) commit(ops []*op) {
	live := ops[:0]
	for _, o := range ops {
		if o.taken.CompareAndSwap(false, true) {
			live = append(live, o)
		}
	}
	if len(live) == 0 {
		return
	}
	err := s.transact(live)
	switch {
	case err == nil:
		for _, o := range live {
			o.done <- nil
		}
	case len(live) == 1 || errors.Is(err, errCommit):
		for _, o := range live {
			o.done <- unavailable(err)
		}
	default:
		// One operation spoilt the batch: alone, it spoils only itself.
		for _, o := range live {
			if err := s.transact([]*op{o}); err != nil {
				o.done <- unavailable(err)
				continue
			}
			o.done <- nil
		}
	}
}

// transact runs the operations in one transaction. It uses no caller's context:
// a caller that leaves must not undo the others' commit.
func (s *Store) transact(ops []*op) (err error) {
	ctx := context.Background()
	if _, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	b := newBatch(ctx, s)
	defer func() {
		if err != nil {
			// If COMMIT did go through, there is nothing to roll back and this fails harmlessly.
			_, _ = s.conn.ExecContext(ctx, "ROLLBACK")
		}
	}()
	if err := b.settleSuspects(s.suspects); err != nil {
		return err
	}
	for _, o := range ops {
		if err := o.run(b); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	if _, err := s.conn.ExecContext(ctx, "COMMIT"); err != nil {
		// Nobody was told that these were reserved, so nothing is sent for them;
		// but their rows may be there, and must not count as in flight for ever.
		s.suspects = append(s.suspects, b.reserved...)
		return errors.Join(errCommit, err)
	}
	s.suspects = nil
	return nil
}
