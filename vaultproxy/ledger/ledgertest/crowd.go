package ledgertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func crowdTests() []test {
	return []test{
		{"L1_AThousandAtOnceAreAdmittedToTheCentOfTheCap", crowdCap},
		{"L5_AHundredOfOneCallAreAdmittedOnce", crowdOneCall},
		{"L4_AHundredOutcomesOfOneCallMoveItOnce", crowdOutcomes},
		{"L9_NothingIsReservedOnceARevocationHasReturned", crowdRevoke},
		{"L11_AHundredClaimsOfOneCallGiveOne", crowdClaims},
		{"L14_ACallerThatGaveUpReservesNothing", crowdGaveUp},
		{"L16_AHundredIssuesOfOneIdentityMintOneKey", crowdIssue},
	}
}

// inParallel starts n at once and collects what each returned.
func inParallel(n int, run func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func crowdCap(b *bundle) {
	k := b.issue(func(s *ledger.KeySpec) { s.Terms = ledger.Terms{TotalCap: limit(250)} })
	errs := inParallel(1000, func(i int) error {
		_, err := b.store.Reserve(b.ctx, ask(k, numbered("c", i), dollars(1)))
		return err
	})
	admitted := []string{}
	for i, err := range errs {
		if err == nil {
			admitted = append(admitted, numbered("c", i))
			continue
		}
		var d *ledger.Denial
		require.ErrorAs(b.t, err, &d)
		require.Equal(b.t, ledger.CapContended, d.Reason, "all that stands in the way is in flight")
	}
	require.Len(b.t, admitted, 250)
	b.holds(k, "key/total", counters{inFlight: dollars(250)})
	b.holds(k, "run/total", counters{inFlight: dollars(250)})

	for _, err := range inParallel(len(admitted), func(i int) error {
		_, _, err := b.store.Resolve(b.ctx, ledger.Resolution{
			Seq: b.seq(admitted[i]), Outcome: ledger.OutcomeSettled, Amount: dollars(1), Object: "ch_" + admitted[i],
		})
		return err
	}) {
		require.NoError(b.t, err)
	}
	b.holds(k, "key/total", counters{settled: dollars(250)})
	for _, err := range inParallel(100, func(i int) error {
		_, err := b.store.Reserve(b.ctx, ask(k, numbered("late", i), 1))
		return err
	}) {
		var d *ledger.Denial
		require.ErrorAs(b.t, err, &d)
		require.Equal(b.t, ledger.CapExhausted, d.Reason)
	}
}

func crowdOneCall(b *bundle) {
	k := b.issue(nil)
	admitted := 0
	for _, err := range inParallel(100, func(int) error {
		_, err := b.store.Reserve(b.ctx, ask(k, "c", dollars(1)))
		return err
	}) {
		var e *ledger.Exists
		if errors.As(err, &e) {
			require.Equal(b.t, ledger.Dispatched, e.Call.State)
			continue
		}
		require.NoError(b.t, err)
		admitted++
	}
	require.Equal(b.t, 1, admitted)
	b.holds(k, "key/total", counters{inFlight: dollars(1)})
}

func crowdOutcomes(b *bundle) {
	k := b.issue(nil)
	b.reserve(ask(k, "c", dollars(50)))
	var moves atomic.Int32
	for _, err := range inParallel(100, func(i int) error {
		r := ledger.Resolution{Seq: b.seq("c"), Outcome: ledger.OutcomeSettled, Amount: dollars(int64(i % 50))}
		if i%2 == 0 {
			r.Outcome = ledger.OutcomeReleased
		}
		_, moved, err := b.store.Resolve(b.ctx, r)
		if moved {
			moves.Add(1)
		}
		return err
	}) {
		require.NoError(b.t, err)
	}
	require.EqualValues(b.t, 1, moves.Load())
	b.holds(k, "key/total", counters{settled: b.recall("c").Amount})
}

func crowdRevoke(b *bundle) {
	k := b.issue(func(s *ledger.KeySpec) { s.Terms = ledger.Terms{TotalCap: limit(1000)} })
	var revoked atomic.Bool
	errs := inParallel(200, func(i int) error {
		if i == 100 {
			_, err := b.store.RevokeKey(b.ctx, k.ID)
			revoked.Store(true)
			return err
		}
		tooLate := revoked.Load()
		_, err := b.store.Reserve(b.ctx, ask(k, numbered("c", i), dollars(1)))
		if err == nil && tooLate {
			return errors.New("reserved after the revocation had returned")
		}
		var d *ledger.Denial
		if errors.As(err, &d) && d.Reason == ledger.KeyRevoked {
			return nil
		}
		return err
	})
	for _, err := range errs {
		require.NoError(b.t, err)
	}
	require.Equal(b.t, ledger.KeyRevoked, b.denied(ask(k, "after", dollars(1))).Reason)
}

func crowdClaims(b *bundle) {
	k := b.issue(nil)
	b.callIn(k, "c", ledger.Unknown, dollars(1))
	got := 0
	for _, err := range inParallel(100, func(int) error {
		_, err := b.store.Claim(b.ctx, b.seq("c"), 1e9)
		return err
	}) {
		if err == nil {
			got++
			continue
		}
		require.ErrorIs(b.t, err, ledger.ErrClaimed)
	}
	require.Equal(b.t, 1, got)
}

func crowdGaveUp(b *bundle) {
	k := b.issue(nil)
	gone, cancel := context.WithCancel(b.ctx)
	cancel()
	_, err := b.store.Reserve(gone, ask(k, "c", dollars(1)))
	require.True(b.t, undecided(err), "%v", err)
	require.ErrorIs(b.t, err, context.Canceled)
	b.reserve(ask(k, "d", dollars(1)))
	b.holds(k, "key/total", counters{inFlight: dollars(1)})
}

func crowdIssue(b *bundle) {
	keys := make([]ledger.Key, 100)
	var minted atomic.Int32
	for _, err := range inParallel(len(keys), func(i int) error {
		s := spec()
		s.KeyID = numbered("key", i)
		k, isNew, err := b.store.Issue(b.ctx, s)
		if isNew {
			minted.Add(1)
		}
		keys[i] = k
		return err
	}) {
		require.NoError(b.t, err)
	}
	require.EqualValues(b.t, 1, minted.Load())
	for _, k := range keys {
		require.Equal(b.t, keys[0], k)
	}
}
