package activities_test

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// chargeTime is waited for where a charge uses up its time, and on a busy machine
// has to be enough for those that do not.
const chargeTime = 5 * time.Second

// rangeInput charges the items [10, 30) of a generated list.
func rangeInput(t *testing.T) activities.RangeInput {
	t.Helper()
	source := customerlist.Source{Generate: 40, Seed: 1}
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	return activities.RangeInput{
		VaultKey: secretKey, RootWorkflowID: "billing-pro-2026-11", Customers: source, Pinned: pinned,
		Items: outcome.Span(10, 30), Concurrency: 4, ChargeTimeout: time.Minute,
	}
}

func (b *testBundle) chargeRange(t *testing.T, in activities.RangeInput) (activities.RangeResult, error) {
	t.Helper()
	value, err := b.env.ExecuteActivity(b.act.ChargeRange, in)
	if err != nil {
		return activities.RangeResult{}, err
	}
	var result activities.RangeResult
	require.NoError(t, value.Get(&result))
	require.Equal(t, result.Done.Len(), result.Tally.Total(), "what is done is counted once")
	return result, nil
}

// byItem answers some items in their own way and takes the payment of the others.
func byItem(answers map[int]http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		item, _ := strconv.Atoi(r.Header.Get("Tollgate-Item"))
		if answer, ok := answers[item]; ok {
			answer(w, r)
			return
		}
		intent("succeeded")(w, r)
	}
}

// keys counts what was asked for under each idempotency key.
func (b *testBundle) keys() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := map[string]int{}
	for _, r := range b.requests {
		if key := r.header.Get("Idempotency-Key"); key != "" {
			keys[key]++
		}
	}
	return keys
}

func TestChargeRange_ChargesEachItemUnderItsOwnKeyAndCountsItsOutcome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var once sync.Once
	b.answer = byItem(map[int]http.HandlerFunc{
		12: vendorError(http.StatusPaymentRequired, map[string]any{"type": "card_error", "code": "card_declined"}),
		13: vendorError(http.StatusBadRequest, map[string]any{"type": "invalid_request_error"}),
		14: denial(http.StatusTooManyRequests, "cap_exhausted", map[string]any{"budget": "per_call"}),
		15: denial(http.StatusConflict, "idempotency_mismatch", nil),
		16: func(w http.ResponseWriter, r *http.Request) {
			answer := intent("succeeded")
			once.Do(func() { answer = denial(http.StatusBadGateway, "outcome_unknown", nil) })
			answer(w, r)
		},
	})

	result, err := b.chargeRange(t, rangeInput(t))

	require.NoError(t, err)
	require.Equal(t, activities.RangeResult{
		Tally: outcome.Tally{Charged: 16, Declined: 1, Failed: 1, CapDenied: 1, Unknown: 1, ChargedUSD: 16 * (19*money.Dollar + 99*money.Cent)},
		Exceptions: outcome.Exceptions{
			Declined: outcome.Span(12, 13), Failed: outcome.Span(13, 14), CapDenied: outcome.Span(14, 15), Unknown: outcome.Span(15, 16),
		},
		Done: outcome.Span(10, 30),
	}, result)
	want := map[string]int{}
	for item := 10; item < 30; item++ {
		want[activities.IdempotencyKey("billing-pro-2026-11", item)] = 1
	}
	want["billing-pro-2026-11-16"] = 2
	require.Equal(t, want, b.keys())
}

func TestChargeRange_KeepsToItsConcurrency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var now, most atomic.Int32
	var together sync.WaitGroup
	together.Add(4)
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		if item, _ := strconv.Atoi(r.Header.Get("Tollgate-Item")); item < 14 {
			together.Done()
			together.Wait() // the first four come together or not at all
		}
		now.Add(-1)
		intent("succeeded")(w, r)
	}
	_, err := b.chargeRange(t, rangeInput(t))
	require.NoError(t, err)
	require.EqualValues(t, 4, most.Load())
}

func TestChargeRange_StartsNothingMoreOnceAReasonHoldsForAll(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct {
		status int
		stop   string
		as     outcome.Outcome // of the item that met it; empty: it can be charged again
	}{
		"cap_exhausted": {429, activities.TypeCapExhausted, outcome.CapDenied},
		"key_revoked":   {401, activities.TypeKeyRevoked, outcome.NotAttempted},
		"key_expired":   {401, activities.TypeKeyExpired, ""},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = byItem(map[int]http.HandlerFunc{12: denial(want.status, code, nil)})
			in := rangeInput(t)
			in.Concurrency = 1

			result, err := b.chargeRange(t, in)

			require.NoError(t, err)
			require.Equal(t, want.stop, result.Stop)
			require.Equal(t, 2, result.Tally.Charged)
			if want.as == "" {
				require.Equal(t, outcome.Span(12, 30), result.Left(in.Items))
			} else {
				require.Equal(t, outcome.Span(12, 13), *result.Exceptions.Of(want.as))
				require.Equal(t, outcome.Span(13, 30), result.Left(in.Items))
			}
			require.Len(t, b.keys(), 3)
		})
	}
}

func TestChargeRange_LeavesWhatAProxyThatIsAwayDidNotAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = byItem(map[int]http.HandlerFunc{11: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }})
	in := rangeInput(t)
	in.Concurrency, in.ChargeTimeout = 1, chargeTime

	result, err := b.chargeRange(t, in)

	require.NoError(t, err)
	require.Equal(t, activities.TypeProxyUnreachable, result.Stop)
	require.Equal(t, outcome.Span(11, 30), result.Left(in.Items), "no item is given up for it")
	require.Greater(t, b.keys()["billing-pro-2026-11-11"], 1, "it was tried as long as a charge may take")
}

func TestChargeRange_CountsAsUnknownWhatRanOutOfTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = byItem(map[int]http.HandlerFunc{11: denial(http.StatusBadGateway, "outcome_unknown", nil)})
	in := rangeInput(t)
	in.ChargeTimeout = chargeTime
	result, err := b.chargeRange(t, in)
	require.NoError(t, err)
	require.Equal(t, outcome.Span(11, 12), result.Exceptions.Unknown)
	require.Equal(t, 19, result.Tally.Charged)
	require.Empty(t, result.Stop)
}

func TestChargeRange_GoesOnFromItsLastHeartbeat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = intent("succeeded")
	before := activities.RangeResult{
		Tally: outcome.Tally{Charged: 11, Declined: 1, ChargedUSD: money.Dollar}, Done: outcome.Span(10, 22),
		Exceptions: outcome.Exceptions{Declined: outcome.Span(14, 15)},
	}
	b.env.SetHeartbeatDetails(before)

	result, err := b.chargeRange(t, rangeInput(t))

	require.NoError(t, err)
	require.Equal(t, outcome.Span(10, 30), result.Done)
	require.Equal(t, 19, result.Tally.Charged)
	require.Equal(t, outcome.Span(14, 15), result.Exceptions.Declined)
	require.Len(t, b.keys(), 8, "only what was not done")
}

func TestChargeRange_LeavesAsideAHeartbeatThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	for sentence, details := range map[string]any{
		"of other items":         activities.RangeResult{Tally: outcome.Tally{Charged: 5}, Done: outcome.Span(0, 5)},
		"that does not add up":   activities.RangeResult{Tally: outcome.Tally{Charged: 4}, Done: outcome.Span(10, 15)},
		"that holds no set":      activities.RangeResult{Tally: outcome.Tally{Charged: 5}, Done: outcome.Ranges{{From: 15, To: 10}}},
		"of something different": "text",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = intent("succeeded")
			b.env.SetHeartbeatDetails(details)
			result, err := b.chargeRange(t, rangeInput(t))
			require.NoError(t, err)
			require.Equal(t, 20, result.Tally.Charged)
			require.Len(t, b.keys(), 20)
		})
	}
}

func TestChargeRange_OfAListThatChangedChargesNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = intent("succeeded")
	in := rangeInput(t)
	in.Pinned.SHA256 = strings.Repeat("0", 64)
	result, err := b.chargeRange(t, in)
	require.NoError(t, err)
	require.Equal(t, activities.TypeCustomerListChanged, result.Stop)
	require.Equal(t, in.Items, result.Left(in.Items))
	require.Empty(t, b.keys())
}

func TestChargeRange_RefusesWhatIsNoRange(t *testing.T) {
	t.Parallel()
	for sentence, spoil := range map[string]func(*activities.RangeInput){
		"no concurrency": func(in *activities.RangeInput) { in.Concurrency = 0 },
		"no set":         func(in *activities.RangeInput) { in.Items = outcome.Ranges{{From: 3, To: 2}} },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			in := rangeInput(t)
			spoil(&in)
			_, err := setup(t).chargeRange(t, in)
			requireFault(t, err, activities.TypeInvalidRequest, false)
		})
	}
}

// interrupted charges a range and interrupts it once its third item is on its way,
// while that one waits to be tried again.
func (b *testBundle) interrupted(t *testing.T, in activities.RangeInput, interrupt func()) (activities.RangeResult, error) {
	t.Helper()
	var once sync.Once
	b.answer = byItem(map[int]http.HandlerFunc{12: func(w http.ResponseWriter, r *http.Request) {
		denial(http.StatusBadGateway, "outcome_unknown", nil, "Retry-After", "60")(w, r)
		once.Do(interrupt)
	}})
	return b.chargeRange(t, in)
}

func TestChargeRange_CancelledStartsNothingMoreAndTellsWhatItCutOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.env.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
	in := rangeInput(t)
	in.Concurrency, in.ChargeTimeout = 1, time.Hour

	result, err := b.interrupted(t, in, cancel)

	require.NoError(t, err)
	require.Equal(t, 2, result.Tally.Charged)
	require.Equal(t, outcome.Span(12, 13), result.Cut)
	require.Equal(t, 1, result.Tally.Unknown)
	require.Empty(t, result.Exceptions.Unknown)
	require.Equal(t, outcome.Span(13, 30), result.Left(in.Items))
}

func TestChargeRange_OnAWorkerThatStopsTellsHowFarItIsAndIsLeftToAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stopping := make(chan struct{})
	b.env.SetWorkerStopChannel(stopping)
	var mu sync.Mutex
	var told activities.RangeResult
	b.env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		mu.Lock()
		defer mu.Unlock()
		_ = details.Get(&told)
	})
	in := rangeInput(t)
	in.Concurrency, in.ChargeTimeout = 1, time.Hour

	_, err := b.interrupted(t, in, func() { close(stopping) })

	requireFault(t, err, activities.TypeWorkerStopping, true)
	require.Len(t, b.keys(), 3)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, outcome.Span(10, 12), told.Done)
	require.Equal(t, 2, told.Tally.Charged)
}

func TestChargeRange_TellsWhatOfItsRestMayHaveBeenSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var away atomic.Bool
	b.answer = byItem(map[int]http.HandlerFunc{
		11: func(http.ResponseWriter, *http.Request) { away.Store(true); panic(http.ErrAbortHandler) },
		12: func(w http.ResponseWriter, r *http.Request) {
			for !away.Load() {
				runtime.Gosched()
			}
			denial(http.StatusTooManyRequests, "cap_exhausted", nil)(w, r)
		},
	})
	in := rangeInput(t)
	in.Concurrency, in.ChargeTimeout = 2, chargeTime

	result, err := b.chargeRange(t, in)

	require.NoError(t, err)
	require.Equal(t, activities.TypeCapExhausted, result.Stop)
	require.Equal(t, outcome.Span(11, 12), result.Tried, "the proxy did not say what came of it")
	require.Contains(t, result.Left(in.Items).Chunks(100)[0], 11)
}

func TestChargeRange_ASecondAttemptVouchesForNothingThatItHasNotTriedItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env.SetHeartbeatDetails(activities.RangeResult{Tally: outcome.Tally{Charged: 2}, Done: outcome.Span(10, 12)})
	b.answer = byItem(map[int]http.HandlerFunc{12: denial(http.StatusTooManyRequests, "cap_exhausted", nil)})
	in := rangeInput(t)
	in.Concurrency = 1

	result, err := b.chargeRange(t, in)

	require.NoError(t, err)
	require.Equal(t, outcome.Span(13, 30), result.Tried, "the first one may have got further than it could tell")
}
