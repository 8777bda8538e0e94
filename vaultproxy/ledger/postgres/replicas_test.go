package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
)

func TestReplicas_L1_TenThousandReservationsByThreeAdmitExactlyWhatTheCapHolds(t *testing.T) {
	t.Parallel()
	const n, price, limitUSD = 10_000, 7, 10_000
	b := setup(t, ledgers.URL(t), 3, postgres.Config{})
	k := b.issue(spec(limitUSD))
	admitted := make([]int, len(b.stores))
	var mu sync.Mutex
	for _, err := range inParallel(n, func(i int) error {
		s := i % len(b.stores)
		_, err := b.stores[s].Reserve(b.ctx, ask(k, numbered("c", i), dollars(price)))
		switch {
		case err == nil:
			mu.Lock()
			admitted[s]++
			mu.Unlock()
		case denialOf(err) == ledger.CapContended: // all that stands in the way is in flight
			return nil
		}
		return err
	}) {
		require.NoError(t, err)
	}
	t.Logf("admitted by each replica: %v", admitted)
	require.Equal(t, limitUSD/price, admitted[0]+admitted[1]+admitted[2])
	for _, kind := range []string{"key/total", "run/total"} {
		require.Equal(t, dollars(limitUSD/price*price), b.budget(k, kind).InFlight, kind)
	}
	for _, s := range b.stores {
		calls, err := s.Calls(b.ctx, ledger.CallFilter{})
		require.NoError(t, err)
		require.Len(t, calls, limitUSD/price)
	}
}

func TestReplicas_L9_ARevocationByOneHoldsForAllOnceItHasReturned(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]func(context.Context, ledger.Store, ledger.Key) error{
		"of the key": func(ctx context.Context, s ledger.Store, k ledger.Key) error {
			_, err := s.RevokeKey(ctx, k.ID)
			return err
		},
		"of the run": func(ctx context.Context, s ledger.Store, k ledger.Key) error {
			_, err := s.CloseRun(ctx, k.Tenant, k.Run)
			return err
		},
		"of the tenant": func(ctx context.Context, s ledger.Store, k ledger.Key) error {
			_, err := s.RevokeTenant(ctx, k.Tenant)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, ledgers.URL(t), 3, postgres.Config{})
			asked := spec(100_000)
			asked.Tenant = "acme"
			k := b.issue(asked)
			var revoked, admitted atomic.Int64
			atWork := make(chan struct{})
			begin := sync.OnceFunc(func() { close(atWork) })
			for _, err := range inParallel(30, func(i int) error {
				defer begin() // who fails must not leave the first one waiting
				if i == 0 {
					<-atWork
					err := revoke(b.ctx, b.stores[0], k)
					revoked.Store(1)
					return err
				}
				for n := 0; ; n++ {
					tooLate := revoked.Load() == 1
					_, err := b.stores[i%3].Reserve(b.ctx, ask(k, fmt.Sprintf("c_%d_%d", i, n), dollars(1)))
					switch {
					case denialOf(err) == ledger.KeyRevoked:
						return nil
					case err != nil:
						return err
					case tooLate:
						return errors.New("reserved after the revocation had returned")
					}
					if admitted.Add(1) == 100 {
						begin()
					}
				}
			}) {
				require.NoError(t, err)
			}
		})
	}
}

func TestReplicas_L1_RunsOnDifferentOnesShareTheirTenantsBudget(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 3, postgres.Config{})
	_, err := b.stores[0].SetCap(b.ctx, ledger.CapChange{
		Scope: ledger.ScopeTenant, Name: "acme", Tenant: "acme", Span: ledger.SpanDay, Cap: dollars(50), Who: "ann",
	})
	require.NoError(t, err)
	keys := b.runsOf("acme")
	var admitted atomic.Int64
	for _, err := range inParallel(300, func(i int) error {
		_, err := b.stores[i%3].Reserve(b.ctx, ask(keys[i%3], numbered("c", i), dollars(1)))
		if denialOf(err) == ledger.CapContended {
			return nil
		}
		admitted.Add(1)
		return err
	}) {
		require.NoError(t, err)
	}
	require.EqualValues(t, 50, admitted.Load())
	require.Equal(t, dollars(50), b.budget(keys[0], "tenant/day").InFlight)
}

// runsOf issues a key for a run of each replica's.
func (b *bundle) runsOf(tenant string) []ledger.Key {
	b.t.Helper()
	var keys []ledger.Key
	for i := range b.stores {
		s := spec(100_000)
		s.KeyID, s.IssueID, s.Run, s.Tenant = fmt.Sprint("key_", i), fmt.Sprint("issue_", i), fmt.Sprint("run_", i), tenant
		keys = append(keys, b.issue(s))
	}
	return keys
}

func TestReplicas_L2_ATenantsCapThatIsSetDuringLoadCountsEveryCall(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 3, postgres.Config{})
	keys := b.runsOf("acme")
	var admitted atomic.Int64
	atWork := make(chan struct{})
	begin := sync.OnceFunc(func() { close(atWork) })
	for _, err := range inParallel(40, func(i int) error {
		if i == 0 {
			<-atWork
			for _, span := range []string{ledger.SpanTotal, ledger.SpanDay} {
				if _, err := b.stores[1].SetCap(b.ctx, ledger.CapChange{
					Scope: ledger.ScopeTenant, Name: "acme", Tenant: "acme", Span: span, Cap: dollars(100_000), Who: "ann",
				}); err != nil {
					return err
				}
			}
			return nil
		}
		for n := range 15 {
			c, err := b.stores[i%3].Reserve(b.ctx, ask(keys[n%3], fmt.Sprintf("c_%d_%d", i, n), dollars(1)))
			if err != nil {
				begin() // the first one must not wait for what failed
				return err
			}
			if admitted.Add(1) == 100 {
				begin()
			}
			if n%2 == 0 {
				if err := settle(b.ctx, b.stores[n%3], c.Call); err != nil {
					return err
				}
			}
		}
		return nil
	}) {
		require.NoError(t, err)
	}
	for _, kind := range []string{"tenant/total", "tenant/day"} {
		row := b.budget(keys[0], kind)
		require.Equal(t, dollars(39*15), row.Settled+row.InFlight, kind)
	}
}

func TestReplicas_AreNotInEachOthersWayByTheOrderOfTheirLocks(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 3, postgres.Config{})
	keys := b.runsOf("acme")
	conn := b.connect()
	before := query[int](t, conn, `SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()`)
	for _, err := range inParallel(45, func(i int) error {
		s, k := b.stores[i%3], keys[(i+i/3)%3]
		for n := range 10 {
			c, err := s.Reserve(b.ctx, ask(k, fmt.Sprintf("c_%d_%d", i, n), dollars(1)))
			if err != nil {
				return err
			}
			switch n % 5 {
			case 0: // what names no budget beforehand
				_, _, err = s.Resolve(b.ctx, ledger.Resolution{Seq: c.Call.Seq, Outcome: ledger.OutcomeUnknown, Reason: "lost"})
				if err == nil {
					_, err = s.Claim(b.ctx, c.Call.Seq, time.Minute)
				}
			case 1:
				again := spec(100_000)
				again.KeyID, again.IssueID, again.Run, again.Tenant = fmt.Sprintf("key_%d_%d", i, n), k.IssueID, k.Run, k.Tenant
				_, _, err = s.Issue(b.ctx, again)
			case 2:
				_, err = s.SetCap(b.ctx, ledger.CapChange{
					Scope: ledger.ScopeRun, Name: k.Run, Tenant: k.Tenant, Span: ledger.SpanTotal, Cap: dollars(100_000), Who: "ann",
				})
			case 3:
				_, err = s.SetCap(b.ctx, ledger.CapChange{
					Scope: ledger.ScopeTenant, Name: k.Tenant, Tenant: k.Tenant, Span: ledger.SpanDay, Cap: dollars(100_000), Who: "ann",
				})
			default:
				err = settle(b.ctx, s, c.Call)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		require.NoError(t, err)
	}
	// The server counts when a session ends or is idle for a moment, at the latest.
	for _, s := range b.stores {
		b.sound(s)
	}
	require.Equal(t, before, query[int](t, conn, `SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()`))
}

func TestReplicas_L8_AWaiterIsToldOfRoomThatAnotherOneMade(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 2, postgres.Config{})
	k := b.issue(spec(10))
	first := b.reserve(b.stores[1], ask(k, "first", dollars(10)))
	ear := b.connect()
	_, err := ear.Exec(b.ctx, `LISTEN tollgate_freed`)
	require.NoError(t, err)
	waited := make(chan error, 1)
	go func() {
		r := ask(k, "second", dollars(10))
		r.Wait = forAsLongAsItTakes
		_, err := b.stores[0].Reserve(b.ctx, r)
		waited <- err
	}()
	becomes(t, "somebody waits", func() bool { return b.stores[0].Waiting() == 1 })
	b.release(b.stores[1], first)
	require.NoError(t, <-waited)
	told, err := ear.WaitForNotification(b.ctx)
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"Scope":"key","Owner":%q,"Window":"total"}`, k.IssueID), told.Payload)
}

func (b *bundle) release(s ledger.Store, c ledger.Call) {
	b.t.Helper()
	_, moved, err := s.Resolve(b.ctx, ledger.Resolution{Seq: c.Seq, Seen: &c, Outcome: ledger.OutcomeReleased, Reason: "refused"})
	require.NoError(b.t, err)
	require.True(b.t, moved)
}

func TestReplicas_L8_AWaiterWhoIsNotToldOfRoomFindsItInTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 2, postgres.Config{})
	k := b.issue(spec(10))
	first := b.reserve(b.stores[1], ask(k, "first", dollars(10)))
	waited := make(chan error, 1)
	go func() {
		r := ask(k, "second", dollars(10))
		r.Wait = forAsLongAsItTakes
		_, err := b.stores[0].Reserve(b.ctx, r)
		waited <- err
	}()
	becomes(t, "somebody waits", func() bool { return b.stores[0].Waiting() == 1 })
	conn := b.connect()
	becomes(t, "both listen", func() bool {
		return query[int](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'`) == 2
	})
	// In one transaction the listeners go and the room is made.
	query[int](t, conn, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN %'`)
	b.release(b.stores[1], first)
	require.NoError(t, <-waited)
	becomes(t, "both listen again", func() bool {
		return query[int](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'`) == 2
	})
}

func TestReplicas_L16_TheSameIssueOnAllAtOnceMintsOneKey(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 3, postgres.Config{})
	for round := range 10 {
		keys := make([]ledger.Key, 30)
		var minted atomic.Int64
		for _, err := range inParallel(len(keys), func(i int) error {
			s := spec(10)
			s.KeyID, s.IssueID, s.Run, s.Tenant = fmt.Sprintf("key_%d_%d", round, i), fmt.Sprint("issue_", round), fmt.Sprint("run_", round), "acme"
			k, isNew, err := b.stores[i%3].Issue(b.ctx, s)
			if isNew {
				minted.Add(1)
			}
			keys[i] = k
			return err
		}) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, minted.Load())
		for _, k := range keys {
			require.Equal(t, keys[0], k)
		}
	}
}

func TestReplicas_L5_TheSameIdempotencyKeyOnAllAtOnceIsOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t, ledgers.URL(t), 3, postgres.Config{})
	k := b.issue(spec(1000))
	for round := range 20 {
		var admitted atomic.Int64
		for _, err := range inParallel(9, func(i int) error {
			_, err := b.stores[i%3].Reserve(b.ctx, ask(k, numbered("c", round), dollars(1)))
			var e *ledger.Exists
			if errors.As(err, &e) {
				if e.Call.State != ledger.Dispatched {
					return fmt.Errorf("it is %s", e.Call.State)
				}
				return nil
			}
			admitted.Add(1)
			return err
		}) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, admitted.Load())
	}
	require.Equal(t, dollars(20), b.budget(k, "key/total").InFlight)
}
