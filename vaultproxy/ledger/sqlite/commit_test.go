package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

var errInjected = errors.New("injected")

// loopBundle is a store whose commit loop can be held up, so that a test says
// which operations share a commit.
type loopBundle struct {
	*Store
	t   *testing.T
	key ledger.Key
}

func setupLoop(t *testing.T) *loopBundle {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "ledger.db")})
	require.NoError(t, err)
	b := &loopBundle{Store: s, t: t}
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	limit := 100 * money.Dollar
	b.key, _, err = s.Issue(t.Context(), ledger.KeySpec{
		KeyID: "key_1", IssueID: "issue_1", Run: "run", Vendor: "stripe", Digest: "d", ExpiresIn: time.Hour,
		Terms: ledger.Terms{TotalCap: &limit},
	})
	require.NoError(t, err)
	return b
}

// hold keeps the commit loop busy until the returned function is called.
// Whatever is queued meanwhile goes into one commit.
func (b *loopBundle) hold() (release func()) {
	b.t.Helper()
	_, entered, release := b.queueBlock()
	<-entered
	return release
}

// queueBlock queues an operation that stands still inside its transaction. A
// test that fails lets it go, so that the store can be closed.
func (b *loopBundle) queueBlock() (blocked <-chan error, entered <-chan struct{}, release func()) {
	in, gate := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	b.t.Cleanup(release)
	enter := sync.OnceFunc(func() { close(in) })
	done := make(chan error, 1)
	go func() {
		done <- b.Write(context.Background(), func(*sqlstore.Batch) error {
			enter()
			<-gate
			return nil
		})
	}()
	return done, in, release
}

// queue has an operation stand in the queue of a loop that is held.
func (b *loopBundle) queue(run func(*sqlstore.Batch) error) <-chan error {
	return b.queued(func() error { return b.Write(context.Background(), run) })
}

func (b *loopBundle) queued(call func() error) <-chan error {
	done, before := make(chan error, 1), b.Queued()
	go func() { done <- call() }()
	b.untilQueued(before + 1)
	return done
}

func (b *loopBundle) ask(id string, price money.USD) ledger.Reservation {
	return ledger.Reservation{
		CallID: id, IdempotencyKey: id, KeyID: b.key.ID, Vendor: "stripe", Price: price, Request: []byte("sealed"),
	}
}

// queueReserve queues a reservation.
func (b *loopBundle) queueReserve(id string, price money.USD) <-chan error {
	return b.queued(func() error {
		_, err := b.Reserve(context.Background(), b.ask(id, price))
		return err
	})
}

func (b *loopBundle) recall(id string) (ledger.Call, error) {
	return b.Recall(b.t.Context(), ledger.CallKey{RunNo: b.key.RunNo, Vendor: "stripe", IdempotencyKey: id})
}

func (b *loopBundle) state(id string) ledger.State {
	b.t.Helper()
	c, err := b.recall(id)
	require.NoError(b.t, err)
	return c.State
}

func (b *loopBundle) absent(id string) {
	b.t.Helper()
	_, err := b.recall(id)
	require.ErrorIs(b.t, err, ledger.ErrNotFound)
}

func (b *loopBundle) sound(want ledger.Budget) {
	b.t.Helper()
	lines, err := b.Verify(b.t.Context())
	require.NoError(b.t, err)
	require.Empty(b.t, lines)
	use, err := b.KeyUse(b.t.Context(), b.key.ID)
	require.NoError(b.t, err)
	got := use.Budgets[0]
	require.Equal(b.t, []money.USD{want.Settled, want.InFlight, want.Unknown}, []money.USD{got.Settled, got.InFlight, got.Unknown})
}

func TestCommit_L14_AnOperationThatFailsSpoilsOnlyItself(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	before := b.queueReserve("before", money.Dollar)
	spoilt := b.queue(func(batch *sqlstore.Batch) error {
		if _, err := batch.Tx().Exec(`UPDATE runs SET label = 'spoilt'`); err != nil {
			return err
		}
		return errInjected
	})
	after := b.queueReserve("after", money.Dollar)
	release()

	require.NoError(t, <-before)
	err := <-spoilt
	require.ErrorIs(t, err, ledger.ErrUnavailable)
	require.ErrorIs(t, err, errInjected)
	require.NoError(t, <-after)
	require.Equal(t, ledger.Dispatched, b.state("before"))
	require.Equal(t, ledger.Dispatched, b.state("after"))
	k, err := b.Key(t.Context(), b.key.ID)
	require.NoError(t, err)
	require.Equal(t, "run", k.Run)
	b.sound(ledger.Budget{InFlight: 2 * money.Dollar})
}

func TestCommit_L14_ABudgetThatCannotBeWrittenSpoilsOnlyWhoBrokeIt(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	good := b.queueReserve("good", money.Dollar)
	// The file's CHECK stands behind the code's own arithmetic.
	bad := b.queue(func(batch *sqlstore.Batch) error {
		_, err := batch.Tx().Exec(`UPDATE budgets SET settled = $1`, int64(101*money.Dollar))
		return err
	})
	release()
	require.NoError(t, <-good)
	require.ErrorIs(t, <-bad, ledger.ErrUnavailable)
	b.sound(ledger.Budget{InFlight: money.Dollar})
}

func TestCommit_L14_NobodyIsAnsweredBeforeTheCommit(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	reserved := b.queueReserve("c", money.Dollar)
	last, entered, finish := b.queueBlock()
	b.untilQueued(2)
	release()
	<-entered // the reservation was run, and its transaction is open
	require.Empty(t, reserved)
	b.absent("c")
	finish()
	require.NoError(t, <-reserved)
	require.NoError(t, <-last)
	require.Equal(t, ledger.Dispatched, b.state("c"))
}

func TestOpen_L14_ACommitIsOnTheDiskWhenItReturns(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	var journal string
	var synchronous int
	require.NoError(t, b.Write(t.Context(), func(batch *sqlstore.Batch) error {
		return errors.Join(batch.Tx().QueryRow("PRAGMA journal_mode").Scan(&journal), batch.Tx().QueryRow("PRAGMA synchronous").Scan(&synchronous))
	}))
	require.Equal(t, "wal", journal)
	require.Equal(t, 2, synchronous, "FULL")
}

func TestCommit_L1_ReservationsOfOneCommitSeeOneAnother(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	first := b.queueReserve("first", 60*money.Dollar)
	second := b.queueReserve("second", 60*money.Dollar)
	again := b.queueReserve("first", 60*money.Dollar)
	release()
	require.NoError(t, <-first)
	var d *ledger.Denial
	require.ErrorAs(t, <-second, &d)
	require.Equal(t, ledger.CapContended, d.Reason)
	var e *ledger.Exists
	require.ErrorAs(t, <-again, &e)
	b.sound(ledger.Budget{InFlight: 60 * money.Dollar})
}

func TestCommit_L9_ARevocationIsSeenByWhatFollowsItInTheSameCommit(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]func(*loopBundle, context.Context) error{
		"of the key": func(b *loopBundle, ctx context.Context) error { _, err := b.RevokeKey(ctx, b.key.ID); return err },
		"of the run": func(b *loopBundle, ctx context.Context) error { _, err := b.CloseRun(ctx, "", "run"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupLoop(t)
			release := b.hold()
			before := b.queueReserve("before", money.Dollar)
			revoked := make(chan error, 1)
			go func() { revoked <- revoke(b, context.Background()) }()
			b.untilQueued(2)
			after := b.queueReserve("after", money.Dollar)
			release()
			require.NoError(t, <-before)
			require.NoError(t, <-revoked)
			var d *ledger.Denial
			require.ErrorAs(t, <-after, &d)
			require.Equal(t, ledger.KeyRevoked, d.Reason)
		})
	}
}

func TestCommit_L14_HoldsAsManyReservationsAsHaveQueuedUp(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	const n = 64 + 32 + 16 + 8 + 4 + 2 + 1 + 64 // each number of rows that there is a statement for, one of them twice
	got := make(chan ledger.Call, n)
	for i := range n {
		go func() {
			id := fmt.Sprint(i)
			held, err := b.Reserve(context.Background(), b.ask(id, money.USD(i)))
			if err != nil {
				t.Error(err)
			}
			got <- held.Call
		}()
	}
	b.untilQueued(n)
	release()
	seqs := map[int64]struct{}{}
	for range n {
		held := <-got
		stored, err := b.recall(held.ID)
		require.NoError(t, err)
		require.Equal(t, held.ID, fmt.Sprint(int64(stored.Hold)))
		require.Equal(t, held, stored)
		seqs[stored.Seq] = struct{}{}
	}
	require.Len(t, seqs, n)
	b.sound(ledger.Budget{InFlight: n * (n - 1) / 2})
}

// untilQueued waits until n operations stand in the queue of a loop that is held.
func (b *loopBundle) untilQueued(n int) {
	for b.Queued() < n {
		runtime.Gosched()
	}
}

func TestWrite_L14_ACallerThatGaveUpIsNotRun(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	ctx, giveUp := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := b.Reserve(ctx, b.ask("given up", money.Dollar))
		left <- err
	}()
	b.untilQueued(1)
	giveUp()
	err := <-left // while the loop still stands: nobody waits for what he gave up
	require.ErrorIs(t, err, ledger.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	release()
	require.NoError(t, b.Record(t.Context(), ledger.AuditRow{}))
	b.absent("given up")
	b.sound(ledger.Budget{})
}

func TestWrite_L14_WhoComesWithACancelledContextIsNotQueued(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 32 {
		require.ErrorIs(t, b.Record(ctx, ledger.AuditRow{}), context.Canceled)
	}
	require.Zero(t, b.Queued())
	release()
}

func TestWrite_L14_ACallerThatGivesUpTooLateLearnsTheResult(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	ctx, giveUp := context.WithCancel(t.Context())
	err := b.Write(ctx, func(batch *sqlstore.Batch) error {
		giveUp()
		_, err := batch.Tx().Exec(`UPDATE runs SET closed_at = 1`)
		return err
	})
	require.NoError(t, err)
	k, err := b.Key(t.Context(), b.key.ID)
	require.NoError(t, err)
	require.True(t, k.RunClosed)
}

func TestClose_AnswersEverythingThatIsQueued(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	s, err := Open(t.Context(), Config{Path: path})
	require.NoError(t, err)
	b := &loopBundle{Store: s, t: t}
	release := b.hold()
	const n = 3 * 1024 // three commits at the least
	answers := make(chan error, n)
	for i := range n {
		go func() { answers <- b.Record(context.Background(), ledger.AuditRow{Code: fmt.Sprint(i)}) }()
	}
	b.untilQueued(n)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	release()
	for range n {
		require.NoError(t, <-answers, "it was queued before the store was closed")
	}
	require.NoError(t, <-closed)
	require.NoError(t, s.Close(), "closing again does nothing")

	err = s.Record(t.Context(), ledger.AuditRow{})
	require.ErrorIs(t, err, ledger.ErrUnavailable)
	_, err = s.Recall(t.Context(), ledger.CallKey{IdempotencyKey: "c"})
	require.ErrorIs(t, err, ledger.ErrUnavailable)

	again, err := Open(t.Context(), Config{Path: path})
	require.NoError(t, err)
	rows, err := again.Audit(t.Context(), ledger.AuditFilter{})
	require.NoError(t, err)
	require.Len(t, rows, n)
	require.NoError(t, again.Close())
}

func TestCommit_L3_ACommitThatLandedWithoutAnAnswerIsInDoubt(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	reserved := b.queueReserve("c", money.Dollar)
	// The file has the commit, and the one who asked for it gets an error.
	lost := b.queue(func(batch *sqlstore.Batch) error {
		if err := batch.Flush(); err != nil {
			return err
		}
		return b.db.writer.bare("COMMIT")
	})
	release()
	require.ErrorIs(t, <-reserved, ledger.ErrUnavailable, "nothing may be sent on the strength of it")
	require.ErrorIs(t, <-lost, ledger.ErrUnavailable)

	_, err := b.Reserve(t.Context(), b.ask("c", money.Dollar))
	var e *ledger.Exists
	require.ErrorAs(t, err, &e)
	require.Equal(t, ledger.Unknown, e.Call.State)
	require.Equal(t, "commit_in_doubt", e.Call.Reason)
	require.Equal(t, ledger.Unknown, b.state("c"))
	b.sound(ledger.Budget{Unknown: money.Dollar})
}

func TestCommit_L3_ACommitThatDidNotLandLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	reserved := b.queueReserve("c", money.Dollar)
	lost := b.queue(func(batch *sqlstore.Batch) error {
		if err := batch.Flush(); err != nil {
			return err
		}
		return b.db.writer.bare("ROLLBACK")
	})
	release()
	require.ErrorIs(t, <-reserved, ledger.ErrUnavailable)
	require.ErrorIs(t, <-lost, ledger.ErrUnavailable)
	b.absent("c")
	_, err := b.Reserve(t.Context(), b.ask("c", money.Dollar))
	require.NoError(t, err)
	b.sound(ledger.Budget{InFlight: money.Dollar})
}

func TestCommit_L3_SuspectsAreKeptUntilACommitHasLookedAtThem(t *testing.T) {
	t.Parallel()
	b := setupLoop(t)
	release := b.hold()
	b.queueReserve("c", money.Dollar)
	lost := b.queue(func(batch *sqlstore.Batch) error {
		if err := batch.Flush(); err != nil {
			return err
		}
		return b.db.writer.bare("COMMIT")
	})
	release()
	require.ErrorIs(t, <-lost, ledger.ErrUnavailable)
	require.ErrorIs(t, b.Write(t.Context(), func(*sqlstore.Batch) error { return errInjected }), errInjected)
	require.Equal(t, ledger.Dispatched, b.state("c"), "what failed was rolled back, the doubt with it")
	require.NoError(t, b.Record(t.Context(), ledger.AuditRow{}))
	require.Equal(t, ledger.Unknown, b.state("c"))
}
