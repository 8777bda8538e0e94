package ledgertest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func waitTests() []test {
	return []test{
		{"L8_WhoWaitsGetsTheRoomThatARefusalGivesBack", waitGranted},
		{"L8_WhoWaitsIsToldAsSoonAsNothingCanComeBack", waitExhausted},
		{"L8_WhoWaitsInVainIsToldThatItWasContended", waitInVain},
		{"L8_FirstComeFirstServed", waitInOrder},
		{"L8_WhoLeavesTheLineMakesWayForTheNext", waitLeft},
		{"L8_ARaisedCapLetsThemIn", waitRaised},
		{"L9_WhoWaitsLearnsOfTheRevocation", waitRevoked},
		{"L8_AFanOutWithRefusalsSpendsToTheFirstThatDoesNotFit", waitFanOut},
	}
}

// long is longer than any test waits, however slow the machine is.
const long = 5 * time.Minute

// patient asks as one who waits.
func patient(r ledger.Reservation, wait time.Duration) ledger.Reservation {
	r.Wait = wait
	return r
}

// later reserves in the background; what came of it is sent.
func (b *bundle) later(r ledger.Reservation) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := b.store.Reserve(context.WithoutCancel(b.ctx), r)
		done <- err
	}()
	return done
}

// waiting is how many wait, as the store tells.
func (b *bundle) waiting() int {
	b.t.Helper()
	s, ok := b.store.(interface{ Waiting() int })
	require.True(b.t, ok, "the store tells how many wait")
	return s.Waiting()
}

// untilWaiting returns once so many wait.
func (b *bundle) untilWaiting(n int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.waiting() == n }, long, time.Millisecond)
}

func (b *bundle) reasonOf(err error) ledger.DenialReason {
	b.t.Helper()
	var d *ledger.Denial
	require.ErrorAs(b.t, err, &d)
	return d.Reason
}

func waitGranted(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "first", dollars(10)))
	second := b.later(patient(ask(k, "second", dollars(10)), long))
	b.untilWaiting(1)
	b.outcome("first", ledger.OutcomeRefused)
	require.NoError(b.t, <-second)
	require.Zero(b.t, b.waiting())
	b.holds(k, "key/total", counters{inFlight: dollars(10)})
}

func waitExhausted(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "first", dollars(10)))
	second := b.later(patient(ask(k, "second", dollars(1)), long))
	b.untilWaiting(1)
	b.settle("first", dollars(10))
	require.Equal(b.t, ledger.CapExhausted, b.reasonOf(<-second))
}

func waitInVain(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "first", dollars(10)))
	d := b.denied(patient(ask(k, "second", dollars(1)), time.Millisecond))
	require.Equal(b.t, ledger.CapContended, d.Reason)
	require.Equal(b.t, dollars(10), d.Budget.InFlight)
	require.Zero(b.t, b.waiting())
}

func waitInOrder(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "holder", dollars(10)))
	const n = 5
	waiters := make([]<-chan error, n)
	for i := range n {
		waiters[i] = b.later(patient(ask(k, numbered("waiter", i), dollars(10)), long))
		b.untilWaiting(i + 1)
	}
	// Who comes now would fit into what is left over, but waits behind the others.
	late := b.later(patient(ask(k, "late", dollars(10)), long))
	b.untilWaiting(n + 1)
	holder := "holder"
	for i := range n {
		b.outcome(holder, ledger.OutcomeRefused)
		require.NoError(b.t, <-waiters[i], "waiter %d", i)
		b.untilWaiting(n - i)
		holder = numbered("waiter", i)
	}
	b.outcome(holder, ledger.OutcomeRefused)
	require.NoError(b.t, <-late)
}

func waitLeft(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(10)})
	b.reserve(ask(k, "holder", dollars(8)))
	ctx, leave := context.WithCancel(b.ctx)
	large := make(chan error, 1)
	go func() {
		_, err := b.store.Reserve(ctx, patient(ask(k, "large", dollars(10)), long))
		large <- err
	}()
	b.untilWaiting(1)
	small := b.later(patient(ask(k, "small", dollars(2)), long))
	b.untilWaiting(2)
	leave()
	require.Equal(b.t, ledger.CapContended, b.reasonOf(<-large))
	require.NoError(b.t, <-small, "it fits, and nobody stands before it any more")
}

func waitRaised(b *bundle) {
	k := b.capped(ledger.Terms{DailyCap: limit(100), RunCap: limit(10)})
	b.reserve(ask(k, "holder", dollars(10)))
	second := b.later(patient(ask(k, "second", dollars(5)), long))
	b.untilWaiting(1)
	b.setCap(ledger.CapChange{Scope: ledger.ScopeRun, Name: runLabel, Span: ledger.SpanTotal, Cap: dollars(15)})
	require.NoError(b.t, <-second)
}

func waitRevoked(b *bundle) {
	k := b.capped(ledger.Terms{DailyCap: limit(100), RunCap: limit(10)})
	b.reserve(ask(k, "holder", dollars(10)))
	waiters := []<-chan error{}
	for i := range 3 {
		waiters = append(waiters, b.later(patient(ask(k, numbered("waiter", i), dollars(5)), long)))
		b.untilWaiting(i + 1)
	}
	_, err := b.store.RevokeKey(b.ctx, k.ID)
	require.NoError(b.t, err)
	for _, w := range waiters {
		require.Equal(b.t, ledger.KeyRevoked, b.reasonOf(<-w))
	}
}

// Every third one is declined. Who waits for those gets their room, so that the
// fan-out ends with a cap that is used up, and not with one that merely was
// contended at the wrong moment.
func waitFanOut(b *bundle) {
	k := b.capped(ledger.Terms{TotalCap: limit(100)})
	var charged atomic.Int64
	errs := inParallel(300, func(i int) error {
		id := numbered("c", i)
		got, err := b.store.Reserve(b.ctx, patient(ask(k, id, dollars(1)), long))
		if err != nil {
			return err
		}
		r := ledger.Resolution{Seq: got.Call.Seq, Seen: &got.Call, Outcome: ledger.OutcomeSettled, Amount: dollars(1)}
		if i%3 == 0 {
			r = ledger.Resolution{Seq: got.Call.Seq, Seen: &got.Call, Outcome: ledger.OutcomeReleased, Declined: true}
		} else {
			charged.Add(1)
		}
		_, _, err = b.store.Resolve(b.ctx, r)
		return err
	})
	for _, err := range errs {
		var d *ledger.Denial
		if errors.As(err, &d) {
			require.Equal(b.t, ledger.CapExhausted, d.Reason)
			continue
		}
		require.NoError(b.t, err)
	}
	require.EqualValues(b.t, 100, charged.Load())
	b.holds(k, "key/total", counters{settled: dollars(100)})
}
