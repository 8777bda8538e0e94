package sqlstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// Config is what a Store is made of.
type Config struct {
	Backend Backend
	// MaxBatch bounds the operations of one commit; zero: as many as have queued
	// up. One makes every operation a transaction of its own, for comparison.
	MaxBatch int
	// Writers is how many transactions run at the same time; zero: one, which is
	// what group commit wants.
	Writers int
}

// Store is a ledger.Store over a backend.
type Store struct {
	shared

	maxBatch int
	inbox    *inbox
	quit     chan struct{}
	stopped  chan struct{}
	closing  sync.Once
	closeErr error
	commits  atomic.Int64

	mu       sync.Mutex
	suspects []suspect // calls of a commit whose result is not known
}

var _ ledger.Store = (*Store)(nil)

// pollEvery is how often those who wait for room try again without being told,
// should a message from another process get lost.
const pollEvery = time.Second

// New starts the commit loop over a backend that is open.
func New(cfg Config) (*Store, error) {
	if cfg.Backend == nil || cfg.MaxBatch < 0 || cfg.Writers < 0 {
		return nil, errors.New("a store needs a backend")
	}
	if cfg.Writers > 1 && !cfg.Backend.Shared() {
		return nil, errors.New("a ledger that is not shared has one writer")
	}
	s := &Store{
		maxBatch: maxBatch,
		inbox:    newInbox(), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
	s.shared = shared{queue: &queue{}, operations: &operations{}, backend: cfg.Backend, marks: cfg.Backend.Shared()}
	if cfg.MaxBatch > 0 {
		s.maxBatch = cfg.MaxBatch
	}
	var loops sync.WaitGroup
	for range max(1, cfg.Writers) {
		loops.Go(s.commitLoop)
	}
	if cfg.Backend.Shared() {
		loops.Go(s.pollForRoom)
	}
	go func() {
		loops.Wait()
		close(s.stopped)
	}()
	return s, nil
}

func (s *Store) pollForRoom() {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.queue.wakeAll()
		case <-s.quit:
			return
		}
	}
}

// Freed tells those who wait for room in a budget that another process made some.
func (s *Store) Freed(id BudgetID) { s.queue.wake(id) }

// Waiting is how many reservations wait for room.
func (s *Store) Waiting() int { return s.queue.waiting() }

// Queued is how many operations wait for the next commit.
func (s *Store) Queued() int { return s.inbox.len() }

// Commits is how many transactions have become durable.
func (s *Store) Commits() int64 { return s.commits.Load() }

// Write runs an operation of a backend's own in the next commit.
func (s *Store) Write(ctx context.Context, run func(*Batch) error) error {
	return s.write(ctx, Needs{}, run)
}

// Orphan turns into unknown what processes had in flight that are gone.
func (s *Store) Orphan(ctx context.Context, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	adopt := func(seqs []int64) error {
		return s.write(ctx, Needs{Locks: seqs}, func(b *Batch) error { return b.orphans(seqs) })
	}
	err := adopt(seqs)
	if err == nil || len(seqs) == 1 || errors.Is(err, ErrDown) {
		return err
	}
	for _, seq := range seqs {
		if err := adopt([]int64{seq}); errors.Is(err, ErrDown) {
			return err
		} // one that cannot be moved keeps its hold, and does not keep the others from being proved
	}
	return nil
}

// Tx is the batch's transaction. Whatever is written by it goes past what the
// batch knows, which is forgotten at its end.
func (b *Batch) Tx() Tx {
	b.unseen = true
	return b.tx
}

// LedgerID names this ledger.
func (s *Store) LedgerID() string { return s.backend.LedgerID() }

// Bind ties the ledger to a master key.
func (s *Store) Bind(ctx context.Context, fingerprint string) error {
	var bound string
	err := s.write(ctx, Needs{}, func(b *Batch) error {
		if _, err := b.tx.Exec(`UPDATE ledger SET master_key = $1 WHERE master_key = ''`, fingerprint); err != nil {
			return err
		}
		return b.tx.QueryRow(`SELECT master_key FROM ledger`).Scan(&bound)
	})
	if err == nil && bound != fingerprint {
		err = ledger.ErrOtherKey
	}
	return err
}

// Now is the ledger's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now, err := s.backend.Now(ctx)
	if err != nil {
		return now, unavailable(err)
	}
	return now, nil
}

// Close finishes what is queued and gives the database up.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.quit)
		s.inbox.close()
		<-s.stopped
		s.closeErr = s.backend.Close()
	})
	return s.closeErr
}
