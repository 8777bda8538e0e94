package sqlstore

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

// Where the last commit had siblings or more operations, their callers may soon
// be back, and the next one waits for as many beside those that have queued up
// since: a commit costs the same for one as for many. It does not wait for longer
// than it would save, and a caller that is alone never waits.
const (
	siblings    = 4
	commitDelay = 300 * time.Microsecond
)

// request is an operation on its way to a commit.
type request struct {
	op    Op
	done  chan error
	taken atomic.Bool // by the commit loop, or by a caller that gave up before that
}

// write runs an operation in the next commit and returns once that is durable.
// A caller whose context ends before the operation was begun takes it back;
// after that it waits for the result, since it must know it.
func (s *Store) write(ctx context.Context, needs Needs, run func(*Batch) error) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	o := &request{op: Op{Needs: needs, Run: run}, done: make(chan error, 1)}
	if !s.inbox.put(o) {
		return unavailable(errClosed)
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.taken.CompareAndSwap(false, true) {
			return unavailable(ctx.Err())
		}
		return <-o.done
	}
}

var errClosed = errors.New("it is closed")

func unavailable(err error) error { return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err) }

func (s *Store) commitLoop() {
	var batch []*request
	for {
		wanted := 1
		if len(batch) >= siblings && s.maxBatch > 1 {
			wanted = len(batch) + s.inbox.len()
		}
		if batch = s.inbox.take(batch[:0], wanted, s.maxBatch, commitDelay); len(batch) == 0 {
			return
		}
		s.commit(batch)
	}
}

func (s *Store) commit(batch []*request) {
	live := batch[:0]
	ops := make([]*Op, 0, len(batch))
	for _, o := range batch {
		if o.taken.CompareAndSwap(false, true) {
			live, ops = append(live, o), append(ops, &o.op)
		}
	}
	if len(live) == 0 {
		return
	}
	err := s.transact(ops, false)
	switch {
	case err == nil:
		for _, o := range live {
			o.done <- nil
		}
	case len(live) == 1 && !errors.Is(err, errMovedOn), errors.Is(err, ErrCommit), errors.Is(err, ErrDown):
		for _, o := range live {
			o.done <- unavailable(err)
		}
	default:
		// One operation spoilt the batch: alone, it spoils only itself.
		var down error
		for i, o := range live {
			err := down
			if err == nil {
				err = s.transact(ops[i:i+1:i+1], true)
			}
			if errors.Is(err, ErrDown) {
				down = err // there is no point in having each of the others find out
			}
			if err != nil {
				err = unavailable(err)
			}
			o.done <- err
		}
	}
}

// transact runs operations in one transaction, after those that a lost commit
// left behind. What a commit reserved whose result gets lost is looked at in the
// next one: nobody was told, so nothing is sent for it, but its rows may be
// there and must not count as in flight for ever.
func (s *Store) transact(ops []*Op, alone bool) error {
	suspects := s.takeSuspects()
	if len(suspects) > 0 {
		settle := &Op{Needs: needsOf(suspects), Run: func(b *Batch) error { return b.settleSuspects(suspects) }}
		ops = append([]*Op{settle}, ops...)
	}
	var last *Batch
	err := s.backend.Transact(ops, alone, func(cfg BatchConfig) *Batch {
		last = s.newBatch(cfg)
		return last
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.commits.Add(1)
		last.committed()
		return nil
	}
	s.suspects = append(s.suspects, suspects...) // nothing is known of them yet
	if errors.Is(err, ErrCommit) {
		s.suspects = append(s.suspects, last.reserved...)
	}
	return err
}

// takeSuspects hands the suspects to one transaction; another that runs beside it
// has none to look at.
func (s *Store) takeSuspects() []suspect {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.suspects
	s.suspects = nil
	return taken
}

// ErrDown marks a database that cannot be worked with at all: there is no point
// in trying the operations of the batch one by one.
var ErrDown = errors.New("the database does not answer")
