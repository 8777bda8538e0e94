package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/ledgertest"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
)

// longLease is one that no process renews by itself while a test runs.
const longLease = time.Hour

func TestReplicas_L11_OneLeadsAtATimeAndAnotherAfterItsLease(t *testing.T) {
	t.Parallel()
	clock := ledgertest.NewClock()
	b := setup(t, ledgers.URL(t), 3, postgres.Config{Now: clock.Now, Lease: longLease})
	lead := func() []int {
		var leaders []int
		for i, s := range b.stores {
			leads, err := s.Lead(b.ctx, time.Minute)
			require.NoError(t, err)
			if leads {
				leaders = append(leaders, i)
			}
		}
		return leaders
	}
	require.Equal(t, []int{0}, lead())
	clock.Advance(59 * time.Second)
	require.Equal(t, []int{0}, lead(), "it has the lease anew")
	clock.Advance(time.Minute)
	b.stores = append(b.stores[1:], b.stores[0])
	require.Equal(t, []int{0}, lead(), "whoever comes first once it is over")
}

func TestReplicas_L15_WhatOneHasInFlightIsItsOwnWhileAnotherRestarts(t *testing.T) {
	t.Parallel()
	clock := ledgertest.NewClock()
	cfg := postgres.Config{Now: clock.Now, Lease: longLease}
	b := setup(t, ledgers.URL(t), 2, cfg)
	k := b.issue(spec(100))
	mine := b.reserve(b.stores[0], ask(k, "mine", dollars(1)))
	theirs := b.reserve(b.stores[1], ask(k, "theirs", dollars(2)))
	require.NoError(t, b.stores[1].Close())
	b.open(cfg)
	require.Equal(t, ledger.Dispatched, b.recall(b.stores[2], mine, k).State)
	require.Equal(t, ledger.Unknown, b.recall(b.stores[2], theirs, k).State)
	require.Equal(t, "interrupted", b.recall(b.stores[2], theirs, k).Reason)
	require.NoError(t, settle(b.ctx, b.stores[0], mine))
	require.Equal(t, dollars(1), b.budget(k, "run/total").Settled)
	require.Equal(t, dollars(2), b.budget(k, "run/total").Unknown)
}

func TestReplicas_L15_OneThatIsTakenForDeadLosesWhatItHadInFlightAndGoesOn(t *testing.T) {
	t.Parallel()
	slow, clock := ledgertest.NewClock(), ledgertest.NewClock()
	b := setup(t, ledgers.URL(t), 1, postgres.Config{Now: slow.Now, Lease: longLease})
	k := b.issue(spec(100))
	old := b.reserve(b.stores[0], ask(k, "old", dollars(1)))

	clock.Advance(longLease)
	other := b.open(postgres.Config{Now: clock.Now, Lease: longLease})
	require.Equal(t, ledger.Unknown, b.recall(other, old, k).State)

	// It was alive, and what it learns of the old call is proof all the same.
	young := b.reserve(b.stores[0], ask(k, "young", dollars(2)))
	require.NoError(t, settle(b.ctx, b.stores[0], old))
	require.Equal(t, ledger.Settled, b.recall(other, old, k).State)

	// What it reserves belongs to a new life, whose lease counts by itself.
	b.open(postgres.Config{Now: slow.Now, Lease: longLease})
	require.Equal(t, ledger.Dispatched, b.recall(other, young, k).State)
	require.Equal(t, 4, query[int](t, b.connect(), `SELECT count(*) FROM owners`))
	require.NoError(t, settle(b.ctx, b.stores[0], young))
	require.Equal(t, dollars(3), b.budget(k, "run/total").Settled)
}

func TestReplicas_L15_ALeaseIsRenewedAndALifeThatWasEndedIsFollowedByOne(t *testing.T) {
	t.Parallel()
	clock := ledgertest.NewClock()
	const lease = 200 * time.Millisecond // it is renewed four times as often, by the wall's clock
	b := setup(t, ledgers.URL(t), 2, postgres.Config{Now: clock.Now, Lease: lease})
	conn := b.connect()
	k := b.issue(spec(100))
	c := b.reserve(b.stores[0], ask(k, "c", dollars(1)))
	for range 5 { // half a lease at a time: none is over before it is renewed
		clock.Advance(lease / 2)
		becomes(t, "both leases are renewed", func() bool {
			return query[int64](t, conn, `SELECT min(lease_until) FROM owners`) == clock.Now().Add(lease).UnixMicro()
		})
	}
	require.Equal(t, ledger.Dispatched, b.recall(b.stores[1], c, k).State, "its process is alive")
	_, err := conn.Exec(b.ctx, `UPDATE owners SET ended_at = lease_until`)
	require.NoError(t, err)
	becomes(t, "each has begun one new life", func() bool {
		return query[int](t, conn, `SELECT count(*) FROM owners WHERE ended_at IS NULL`) == 2
	})
	becomes(t, "what the old one had in flight is unknown", func() bool {
		return b.recall(b.stores[1], c, k).State == ledger.Unknown
	})
	require.Equal(t, 4, query[int](t, conn, `SELECT count(*) FROM owners`))
}
