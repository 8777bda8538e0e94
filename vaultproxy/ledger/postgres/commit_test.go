package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
)

func TestCommit_L3_WhoseAnswerIsLostIsReadAgain(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fate{
		"it had arrived":     answerLost,
		"it had not arrived": neverSent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := ledgers.URL(t)
			w := newWire(t, url)
			b := setup(t, url, 1, postgres.Config{URL: w.url})
			k := b.issue(spec(100))
			for n := range 5 {
				done := w.treat(f)
				c := b.reserve(b.stores[0], ask(k, numbered("c", n), dollars(1)))
				<-done
				require.Equal(t, ledger.Dispatched, b.recall(b.stores[0], c, k).State)
				done = w.treat(f)
				require.NoError(t, settle(b.ctx, b.stores[0], c))
				<-done
				require.Equal(t, ledger.Settled, b.recall(b.stores[0], c, k).State)
			}
			require.Equal(t, dollars(5), b.budget(k, "run/total").Settled)
			done := w.treat(f)
			_, err := b.stores[0].RevokeKey(b.ctx, k.ID)
			require.NoError(t, err)
			<-done
			_, err = b.stores[0].Reserve(b.ctx, ask(k, "after", dollars(1)))
			require.Equal(t, ledger.KeyRevoked, denialOf(err))
			calls, err := b.stores[0].Calls(b.ctx, ledger.CallFilter{})
			require.NoError(t, err)
			require.Len(t, calls, 5)
		})
	}
}

func TestCommit_L3_ThatArrivesAfterItsCallerWasTurnedAwayLeavesTheCallInDoubt(t *testing.T) {
	t.Parallel()
	url := ledgers.URL(t)
	w := newWire(t, url)
	b := setup(t, url, 1, postgres.Config{URL: w.url, Timeout: postgres.DefaultTimeout})
	s := b.stores[0]
	k := b.issue(spec(100))
	asked := spec(100)
	asked.KeyID, asked.IssueID, asked.Run = "key_2", "issue_2", "another run"
	elsewhere := b.issue(asked)
	conn := b.connect()

	done := w.treat(heldUp)
	r := ask(k, "c", dollars(1))
	_, err := s.Reserve(b.ctx, r)
	require.ErrorIs(t, err, ledger.ErrUnavailable)
	<-done

	// Nobody goes on before it is known what came of that commit.
	next := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			_, err := s.Reserve(b.ctx, ask(elsewhere, numbered("d", n), dollars(1)))
			if !errors.Is(err, ledger.ErrUnavailable) {
				next <- err
				return
			}
		}
	}()
	becomes(t, "the next commit waits for it", func() bool {
		return query[int](t, conn, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	})
	close(w.late)
	require.NoError(t, <-next)
	var e *ledger.Exists
	_, err = s.Reserve(b.ctx, r)
	require.ErrorAs(t, err, &e)
	require.Equal(t, ledger.Unknown, e.Call.State)
	require.Equal(t, "commit_in_doubt", e.Call.Reason)
	require.Equal(t, dollars(1), b.budget(k, "run/total").Unknown)
}

// A server that crashed may have given the number of the transaction to another.
func TestCommit_L3_WhoseAnswerIsLostWithEveryConnectionIsNotAssumed(t *testing.T) {
	t.Parallel()
	url := ledgers.URL(t)
	w := newWire(t, url)
	b := setup(t, url, 1, postgres.Config{URL: w.url})
	s := b.stores[0]
	k := b.issue(spec(100))
	done := w.treat(allLost)
	r := ask(k, "c", dollars(1))
	_, err := s.Reserve(b.ctx, r)
	require.ErrorIs(t, err, ledger.ErrUnavailable)
	<-done
	var e *ledger.Exists
	becomes(t, "the call is found in the ledger", func() bool {
		_, err := s.Reserve(b.ctx, r)
		require.Error(t, err)
		return errors.As(err, &e)
	})
	require.Equal(t, ledger.Unknown, e.Call.State)
	require.Equal(t, "commit_in_doubt", e.Call.Reason)
	b.reserve(s, ask(k, "d", dollars(1)))
}

// load reserves and settles on all replicas until it is told to stop. It notes
// what was acknowledged; whatever else is said has to be that the ledger is
// unavailable.
type load struct {
	b        *bundle
	key      ledger.Key
	stop     chan struct{}
	work     sync.WaitGroup
	reserved sync.Map // call ID -> ledger.Call
	settled  sync.Map
	count    atomic.Int64
	refused  atomic.Int64
	wrong    chan error
}

func (b *bundle) load(k ledger.Key) *load {
	l := &load{b: b, key: k, stop: make(chan struct{}), wrong: make(chan error, 1000)}
	for i := range 12 {
		l.work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				l.one(b.stores[i%len(b.stores)], fmt.Sprintf("c_%d_%d", i, n))
			}
		})
	}
	return l
}

func (l *load) one(s ledger.Store, id string) {
	out, err := s.Reserve(l.b.ctx, ask(l.key, id, dollars(1)))
	if l.failed(err) {
		return
	}
	l.reserved.Store(id, out.Call)
	l.count.Add(1)
	if l.failed(settle(l.b.ctx, s, out.Call)) {
		return
	}
	l.settled.Store(id, out.Call)
}

func (l *load) failed(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, ledger.ErrUnavailable):
		l.refused.Add(1)
	default:
		select {
		case l.wrong <- err:
		default:
		}
	}
	return true
}

// more waits until so many further reservations were acknowledged.
func (l *load) more(n int64) {
	l.b.t.Helper()
	from := l.count.Load()
	becomes(l.b.t, "the ledger is back", func() bool { return l.count.Load() >= from+n })
}

// end stops and holds the ledger to everything that was acknowledged.
func (l *load) end() {
	t := l.b.t
	t.Helper()
	close(l.stop)
	l.work.Wait()
	select {
	case err := <-l.wrong:
		require.NoError(t, err)
	default:
	}
	s := l.b.stores[0]
	calls, err := s.Calls(l.b.ctx, ledger.CallFilter{Run: l.key.Run})
	require.NoError(t, err)
	byID := map[string]ledger.Call{}
	for _, c := range calls {
		byID[c.ID] = c
	}
	for id := range l.reserved.Range {
		c, ok := byID[id.(string)]
		require.True(t, ok, "%s was acknowledged and is gone", id)
		if _, ok := l.settled.Load(id); ok {
			require.Equal(t, ledger.Settled, c.State, id)
		}
	}
	for _, s := range l.b.stores {
		l.b.sound(s)
	}
	t.Logf("%d acknowledged, %d refused, %d rows", l.count.Load(), l.refused.Load(), len(calls))
}

func TestCommit_L14_SessionsThatAreCutUnderLoadLoseNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 2, postgres.Config{})
	l := b.load(b.issue(spec(1_000_000)))
	conn := b.connect()
	for range 25 {
		l.more(20)
		query[int](t, conn, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'tollgate'`)
	}
	l.more(20)
	l.end()
}
