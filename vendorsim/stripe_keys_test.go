package vendorsim_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vendorsim"
)

func TestIdempotencyKey_RepeatsTheStoredAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  vendorsim.Fault
		form   url.Values
		status int
	}{
		"a success":                {vendorsim.NoFault, payment("cus_a"), 200},
		"a decline":                {vendorsim.NoFault, payment("cus_a", "payment_method", "pm_card_chargeDeclined"), 402},
		"a 500 after the charge":   {vendorsim.Error500AfterCharge, payment("cus_a"), 500},
		"a 500 before any charge":  {vendorsim.Error500BeforeCharge, payment("cus_a"), 500},
		"a key of the full length": {vendorsim.NoFault, payment("cus_a"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			b.sim.NextFaults(tc.fault)
			key := strings.Repeat("k", 255)
			first := b.post(t, "/v1/payment_intents", key, tc.form)
			require.Equal(t, tc.status, first.status, first.body)
			require.Empty(t, first.header.Get("Idempotent-Replayed"))
			before := b.sim.Truth()

			again := b.post(t, "/v1/payment_intents", key, tc.form)
			require.Equal(t, first.status, again.status)
			require.Equal(t, first.body, again.body)
			require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
			require.Equal(t, first.header.Get("Request-Id"), again.header.Get("Original-Request"))
			require.NotEqual(t, first.header.Get("Request-Id"), again.header.Get("Request-Id"))

			truth := b.sim.Truth()
			require.Equal(t, before.Charged, truth.Charged)
			require.Equal(t, before.Declined, truth.Declined)
			require.Equal(t, 1, truth.Replays)
			require.Equal(t, map[string]int{key: 2}, truth.Sends)
		})
	}
}

func TestIdempotencyKey_StoresARefusalOfTheObjectsState(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	created := b.post(t, "/v1/payment_intents", "create", payment("cus_a", "payment_method", "pm_sim_processing")).object(t)
	path := "/v1/payment_intents/" + created["id"].(string)
	first := b.post(t, path+"/cancel", "cancel", url.Values{})
	require.Equal(t, "payment_intent_unexpected_state", first.failure(t)["code"])
	again := b.post(t, path+"/cancel", "cancel", url.Values{})
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	require.Equal(t, first.body, again.body)
}

func TestIdempotencyKey_IsNotUsedUpByWhatWasRefusedBeforeExecution(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault   vendorsim.Fault
		form    url.Values
		headers []string
		status  int
	}{
		"invalid parameter": {vendorsim.NoFault, payment("cus_a", "amount", "1"), nil, 400},
		"unknown customer":  {vendorsim.NoFault, payment("cus_missing"), nil, 400},
		"no credentials":    {vendorsim.NoFault, payment("cus_a"), []string{"Authorization: "}, 401},
		"rate limit":        {vendorsim.RateLimited429, payment("cus_a"), nil, 429},
		"unavailable":       {vendorsim.Error503, payment("cus_a"), nil, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			if tc.fault != vendorsim.NoFault {
				b.sim.NextFaults(tc.fault)
			}
			r, err := b.send(t, "POST", "/v1/payment_intents", tc.form.Encode(), append(tc.headers, "Idempotency-Key: "+name)...)
			require.NoError(t, err)
			require.Equal(t, tc.status, r.status, r.body)
			// Even other parameters are fine now.
			r = b.post(t, "/v1/payment_intents", name, payment("cus_a", "amount", "2000"))
			require.Equal(t, http.StatusOK, r.status, r.body)
			require.Zero(t, b.sim.Truth().Replays)
		})
	}
}

func TestIdempotencyKey_RefusesAnotherRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	require.Equal(t, 200, b.post(t, "/v1/payment_intents", "k", payment("cus_a")).status)
	for name, tc := range map[string]struct {
		path string
		form url.Values
	}{
		"with another amount":     {"/v1/payment_intents", payment("cus_a", "amount", "1001")},
		"with one parameter more": {"/v1/payment_intents", payment("cus_a", "metadata[a]", "b")},
		"at another path":         {"/v1/charges", url.Values{"amount": {"1000"}, "currency": {"usd"}, "source": {"tok_visa"}}},
	} {
		r := b.post(t, tc.path, "k", tc.form)
		require.Equal(t, http.StatusBadRequest, r.status, name)
		require.Equal(t, "idempotency_error", r.failure(t)["type"], name)
	}
	require.Equal(t, 1, b.sim.Truth().Charges)
	require.Equal(t, 3, b.sim.Truth().KeyMismatches)
}

func TestIdempotencyKey_BelongsToItsAPIKey(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	require.Equal(t, 200, b.post(t, "/v1/payment_intents", "k", payment("cus_a")).status)
	r, err := b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode(), "Idempotency-Key: k", "Authorization: Bearer sk_test_two")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.status)
	require.Empty(t, r.header.Get("Idempotent-Replayed"))
	require.Equal(t, map[string]int{"cus_a": 2}, b.sim.Truth().PerCustomer)
}

func TestIdempotencyKey_IsForgottenAfterADay(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	require.Equal(t, 200, b.post(t, "/v1/payment_intents", "k", payment("cus_a")).status)
	b.clock.advance(24*time.Hour - 1)
	require.Equal(t, "true", b.post(t, "/v1/payment_intents", "k", payment("cus_a")).header.Get("Idempotent-Replayed"))
	b.clock.advance(1)
	require.Empty(t, b.post(t, "/v1/payment_intents", "k", payment("cus_a")).header.Get("Idempotent-Replayed"))
	require.Equal(t, map[string]int{"cus_a": 2}, b.sim.Truth().PerCustomer)
}

// held lets a test see that an answer is being held back and decide when it goes.
type held struct {
	started chan struct{}
	release chan time.Time
}

func newHeld() held { return held{make(chan struct{}, 1), make(chan time.Time)} }

func (h held) after(time.Duration) <-chan time.Time {
	h.started <- struct{}{}
	return h.release
}

func TestIdempotencyKey_IsInUseUntilTheAnswer(t *testing.T) {
	t.Parallel()
	h := newHeld()
	b := setup(t, vendorsim.Config{After: h.after})
	b.sim.NextFaults(vendorsim.SlowAnswer)
	answered := make(chan reply, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		r, _ := b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode(), "Idempotency-Key: k")
		answered <- r
	})
	<-h.started
	require.Equal(t, 1, b.sim.Truth().Charges, "a slow answer comes after the charge")

	r := b.post(t, "/v1/payment_intents", "k", payment("cus_a"))
	require.Equal(t, http.StatusConflict, r.status)
	require.Equal(t, "idempotency_key_in_use", r.failure(t)["code"])
	require.Equal(t, "idempotency_error", r.failure(t)["type"])
	// Others are not held up.
	require.Equal(t, 200, b.post(t, "/v1/payment_intents", "k2", payment("cus_b")).status)

	close(h.release)
	wg.Wait()
	require.Equal(t, 200, (<-answered).status)
	require.Equal(t, "true", b.post(t, "/v1/payment_intents", "k", payment("cus_a")).header.Get("Idempotent-Replayed"))
	truth := b.sim.Truth()
	require.Equal(t, map[string]int{"cus_a": 1, "cus_b": 1}, truth.PerCustomer)
	require.Equal(t, 1, truth.KeyConflicts)
}

func TestIdempotencyKey_ChargesOnceHoweverManyRace(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	statuses := make(chan int, 50)
	var wg sync.WaitGroup
	for range cap(statuses) {
		wg.Go(func() {
			r, _ := b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode(), "Idempotency-Key: k")
			statuses <- r.status
		})
	}
	wg.Wait()
	close(statuses)
	for status := range statuses {
		require.Contains(t, []int{http.StatusOK, http.StatusConflict}, status)
	}
	truth := b.sim.Truth()
	require.Equal(t, 1, truth.Charges)
	require.Equal(t, 50, truth.Sends["k"])
	require.Equal(t, 50, 1+truth.Replays+truth.KeyConflicts)
}

func TestPostWithoutKey_ExecutesEachTimeAndIsCounted(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	for range 2 {
		require.Equal(t, 200, b.post(t, "/v1/payment_intents", "", payment("cus_a")).status)
	}
	truth := b.sim.Truth()
	require.Equal(t, 2, truth.PostsWithoutKey)
	require.Equal(t, map[string]int{"cus_a": 2}, truth.PerCustomer)
}
