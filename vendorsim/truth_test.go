package vendorsim_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vendorsim"
)

func TestTruth_ShowsACustomerChargedTwiceUnderTwoKeys(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	b.sim.NextFaults(vendorsim.AnswerLost)
	_, err := b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode(), "Idempotency-Key: first")
	require.Error(t, err)
	require.Equal(t, 200, b.post(t, "/v1/payment_intents", "second", payment("cus_a")).status)

	truth := b.sim.Truth()
	require.Equal(t, map[string]int{"cus_a": 2}, truth.PerCustomer)
	require.Equal(t, "first", truth.Charged[0].IdempotencyKey)
	require.Equal(t, "second", truth.Charged[1].IdempotencyKey)
	require.Equal(t, b.clock.Now().Unix(), truth.Charged[0].Created)
}

func TestTruth_OverHTTPIsTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	b.post(t, "/v1/payment_intents", "k", payment("cus_a", "metadata[a]", "b"))
	r, err := b.send(t, http.MethodGet, "/sim/truth", "", "Authorization: ")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.status)
	var got vendorsim.Truth
	require.NoError(t, json.Unmarshal([]byte(r.body), &got))
	require.Equal(t, b.sim.Truth(), got)
	require.Equal(t, 1, got.Charges)
}

func TestTruth_AddsUpUnderConcurrencyWithFaults(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{Seed: 3, Faults: vendorsim.DefaultFaults(), SlowDelay: 1})
	const customers = 200
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < customers; i += 8 {
				// Two faults a key at most: the third try is answered.
				for range 3 {
					r, err := b.send(t, "POST", "/v1/payment_intents", payment("cus_"+strconv.Itoa(i)).Encode(), "Idempotency-Key: k"+strconv.Itoa(i))
					if err == nil && (r.status == 200 || r.status == 500) {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	truth := b.sim.Truth()
	require.Equal(t, customers, truth.Charges)
	require.Len(t, truth.PerCustomer, customers)
	require.Len(t, truth.Charged, customers)
	require.EqualValues(t, customers*10_000_000, truth.SucceededTotalMicroUSD)
	require.Len(t, truth.Faults, 5)
	sends := 0
	for _, n := range truth.Sends {
		sends += n
	}
	require.Equal(t, truth.Posts, sends)
}

func TestHandler_ServesHealthAndRefusesOtherPaths(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	require.Equal(t, http.StatusOK, b.get(t, "/healthz").status)
	for _, path := range []string{"/", "/v1", "/sim/", "/stripe/v1/charges"} {
		require.Equal(t, http.StatusNotFound, b.get(t, path).status, path)
	}
}
