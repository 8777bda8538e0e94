package vaultproxy_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres/pgtest"
)

// blow is what befalls a database server while proxies work with it.
type blow func(*testing.T, *pgtest.Server)

func blows() map[string]blow {
	return map[string]blow{
		"its connections are killed": killConnections,
		"it is restarted":            func(t *testing.T, s *pgtest.Server) { t.Helper(); s.Restart(t) },
		"it crashes and recovers":    func(t *testing.T, s *pgtest.Server) { t.Helper(); s.Crash(t); s.Start(t) },
	}
}

func killConnections(t *testing.T, s *pgtest.Server) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`)
	require.NoError(t, err)
}

// One server serves all of them, since it takes longer to make one than to
// restart it. Each has a ledger of its own, since its clock begins anew.
//
//nolint:tparallel,paralleltest // one after the other: each knocks the server over
func TestCrash_ADatabaseServerThatFailsAtAnyStepCostsNoChargeAndNoHold(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	for what, strike := range blows() {
		for _, step := range []death{beforeReserve, afterReserve, beforeSettle, afterSettle, beforeProof, afterProof} {
			t.Run(what+" "+string(step), func(t *testing.T) {
				broken, struck := struckBackend(t, server, step, strike)
				c := newCrash(t, broken)
				p := crashPoint{charged: true}
				c.liveOn()
				c.crowdIn()
				if step == beforeProof || step == afterProof {
					c.vendor.treatPosts(last().customer(), answerLost)
					c.postInVain()
					c.clock.advance(3 * time.Second)   // a reconciler first looks after two
					_ = c.proxy.Reconcile(t.Context()) // it may find its ledger gone
				} else {
					_, err := c.post(last())
					require.NoError(t, err)
				}
				requireOver(t, struck)
				c.nothingGivenBack()
				c.requireAnswers(c.comeBack(p.items()), p)
				c.waiting.Wait()
				c.reconcile()
				c.agrees(p.chargedInTheEnd())
				c.requireNoRoom(p)
			})
		}
	}
}

// freshOn makes an empty database on a server.
func freshOn(t *testing.T, server *pgtest.Server) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	name := "ledger_" + strings.ToLower(rand.Text())
	_, err = conn.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	u, err := url.Parse(server.URL())
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

// struckBackend is a ledger whose server fails once, at a step. The channel is
// closed when that is over: a proxy gives its store five seconds, and may have
// answered before the server serves again.
func struckBackend(t *testing.T, server *pgtest.Server, step death, strike blow) (backend, <-chan struct{}) {
	t.Helper()
	var once sync.Once
	struck := make(chan struct{})
	return backend{
		name:  "postgres",
		fresh: func(t *testing.T) string { t.Helper(); return freshOn(t, server) },
		open: func(ctx context.Context, where string, now func() time.Time) (ledger.Store, error) {
			s, err := openDatabase(ctx, where, now)
			if err != nil {
				return nil, err
			}
			return &struckStore{Store: s, death: step, strike: func() {
				once.Do(func() {
					defer close(struck)
					strike(t, server)
				})
			}}, nil
		},
		lease: crashLease,
	}, struck
}

func requireOver(t *testing.T, struck <-chan struct{}) {
	t.Helper()
	select {
	case <-struck:
	case <-time.After(2 * time.Minute):
		require.Fail(t, "the step was never reached, or the server does not serve again")
	}
}
