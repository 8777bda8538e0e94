package vendorsim_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/tollgate/tollgate/vendorsim"
)

// TestFault_DoesWhatItsNameSays looks at the first answer, at what was really charged, and at
// what a retry under the same key is told.
func TestFault_DoesWhatItsNameSays(t *testing.T) {
	t.Parallel()
	for fault, want := range map[vendorsim.Fault]struct {
		status   int // 0: no complete answer
		charges  int // after the first request
		retry    int
		replayed bool
	}{
		vendorsim.AnswerLost:           {0, 1, 200, true},
		vendorsim.Error500AfterCharge:  {500, 1, 500, true},
		vendorsim.RateLimited429:       {429, 0, 200, false},
		vendorsim.ClosedAfterRead:      {0, 0, 200, false},
		vendorsim.Error500BeforeCharge: {500, 0, 500, true},
		vendorsim.Error503:             {503, 0, 200, false},
		vendorsim.TruncatedAnswer:      {0, 1, 200, true},
		vendorsim.Redirect302:          {302, 0, 200, false},
		vendorsim.ConnectionReset:      {0, 0, 200, false},
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			b.sim.NextFaults(fault)
			first, err := b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode(), "Idempotency-Key: k")
			if want.status == 0 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				require.Equal(t, want.status, first.status)
			}
			require.Equal(t, want.charges, b.sim.Truth().Charges)
			require.Equal(t, map[string]int{string(fault): 1}, b.sim.Faults())

			again := b.post(t, "/v1/payment_intents", "k", payment("cus_a"))
			require.Equal(t, want.retry, again.status)
			require.Equal(t, want.replayed, again.header.Get("Idempotent-Replayed") == "true")
			truth := b.sim.Truth()
			require.LessOrEqual(t, truth.Charges, 1)
			require.Equal(t, 2, truth.Sends["k"])
			require.Equal(t, map[string]int{string(fault): 1}, truth.Faults)
		})
	}
}

func TestFault_TellsClientsWhatTheyNeedToKnow(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	b.sim.NextFaults(vendorsim.RateLimited429, vendorsim.Redirect302, vendorsim.TruncatedAnswer, vendorsim.ConnectionReset, vendorsim.ClosedAfterRead)

	r := b.post(t, "/v1/payment_intents", "1", payment("cus_a"))
	require.Equal(t, "1", r.header.Get("Retry-After"))
	require.Equal(t, "true", r.header.Get("Stripe-Should-Retry"))

	r = b.post(t, "/v1/payment_intents", "2", payment("cus_a"))
	require.Equal(t, "/sim/redirect-target", r.header.Get("Location"))

	r, err := b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode(), "Idempotency-Key: 3")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, 200, r.status)
	require.NotEmpty(t, r.body)

	_, err = b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode(), "Idempotency-Key: 4")
	require.ErrorIs(t, err, syscall.ECONNRESET)

	_, err = b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode(), "Idempotency-Key: 5")
	require.ErrorIs(t, err, io.EOF)
}

func TestRedirect302_CountsWhoFollows(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	b.sim.NextFaults(vendorsim.Redirect302)
	pi, err := b.stripe.PaymentIntents.New(intentParams("cus_a", "pm_card_visa"))
	require.NoError(t, err, "a client that follows takes what it finds there for a PaymentIntent")
	require.Empty(t, pi.ID)
	truth := b.sim.Truth()
	require.Equal(t, 1, truth.RedirectsFollowed)
	require.Zero(t, truth.Charges)
}

// Go's transport sends a POST with an Idempotency-Key again by itself when a connection that it
// reused breaks. The caller sees one request, the vendor two.
func TestSends_CountsWhatATransportSendsBehindItsCallersBack(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	send := func(key string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/v1/payment_intents", strings.NewReader(payment("cus_a").Encode()))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+testKey)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Idempotency-Key", key)
		resp, err := transport.RoundTrip(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	require.Equal(t, 200, send("warm"))
	b.sim.NextFaults(vendorsim.AnswerLost)
	require.Equal(t, 200, send("lost"))
	require.Equal(t, map[string]int{"warm": 1, "lost": 2}, b.sim.Truth().Sends)
	require.Equal(t, 2, b.sim.Truth().Charges)
}

func TestFault_IsWhatStripesSDKSees(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	b.sim.NextFaults(vendorsim.Error500AfterCharge, vendorsim.RateLimited429, vendorsim.AnswerLost)
	for _, want := range []int{500, 429, 0} {
		params := intentParams("cus_a", "pm_card_visa")
		params.SetIdempotencyKey(strconv.Itoa(want))
		_, err := b.stripe.PaymentIntents.New(params)
		require.Error(t, err)
		var answered *stripe.Error
		require.Equal(t, want != 0, errors.As(err, &answered))
		if want != 0 {
			require.Equal(t, want, answered.HTTPStatusCode)
		}
	}
	require.Equal(t, 2, b.sim.Truth().Charges)
}

func TestFault_SparesWhatMovesNoMoneyOrIsNotExecuted(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	manual := b.post(t, "/v1/payment_intents", "held", payment("cus_a", "capture_method", "manual")).object(t)
	b.sim.NextFaults(vendorsim.RateLimited429)

	require.Equal(t, 200, b.get(t, "/v1/payment_intents").status)
	require.Equal(t, 200, b.post(t, "/v1/customers", "c", url.Values{}).status)
	require.Equal(t, 400, b.post(t, "/v1/payment_intents", "bad", payment("cus_a", "amount", "1")).status)
	require.Equal(t, 200, b.post(t, "/v1/payment_intents", "held", payment("cus_a", "capture_method", "manual")).status)
	require.Equal(t, 200, b.post(t, "/v1/payment_intents/"+manual["id"].(string)+"/cancel", "x", url.Values{}).status)
	require.Empty(t, b.sim.Faults())

	require.Equal(t, 429, b.post(t, "/v1/charges", "ch", url.Values{"amount": {"100"}, "currency": {"usd"}, "source": {"tok_visa"}}).status)
}

func TestFault_StrikesEveryOperationThatMovesMoney(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	unconfirmed := b.post(t, "/v1/payment_intents", "1", payment("cus_a", "confirm", "-", "off_session", "-")).object(t)["id"].(string)
	manual := b.post(t, "/v1/payment_intents", "2", payment("cus_a", "capture_method", "manual")).object(t)["id"].(string)
	charge := url.Values{"amount": {"100"}, "currency": {"usd"}, "source": {"tok_visa"}}
	held := b.post(t, "/v1/charges", "3", changed(url.Values{"capture": {"false"}}, "amount", "100", "currency", "usd", "source", "tok_visa")).object(t)["id"].(string)
	taken := b.post(t, "/v1/charges", "4", charge).object(t)["id"].(string)
	for path, form := range map[string]url.Values{
		"/v1/payment_intents":                             payment("cus_a"),
		"/v1/payment_intents/" + unconfirmed + "/confirm": {},
		"/v1/payment_intents/" + manual + "/capture":      {},
		"/v1/charges":                      charge,
		"/v1/charges/" + held + "/capture": {},
		"/v1/refunds":                      {"charge": {taken}},
	} {
		b.sim.NextFaults(vendorsim.Error503)
		require.Equal(t, 503, b.post(t, path, path, form).status, path)
		require.Equal(t, 200, b.post(t, path, path, form).status, path)
	}
	require.Equal(t, map[string]int{"error_503": 6}, b.sim.Faults())
}

func TestError500AfterCharge_WaitsForARequestThatSucceeds(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	b.sim.NextFaults(vendorsim.Error500AfterCharge)
	require.Equal(t, 402, b.post(t, "/v1/payment_intents", "1", payment("cus_a", "payment_method", "pm_card_chargeDeclined")).status)
	require.Empty(t, b.sim.Faults())
	require.Equal(t, 500, b.post(t, "/v1/payment_intents", "2", payment("cus_a")).status)
	require.Equal(t, 200, b.post(t, "/v1/payment_intents", "3", payment("cus_a")).status)
}

func TestScript_IsAskedWithWhatItNeedsToDecide(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []vendorsim.FaultPoint
	b := setup(t, vendorsim.Config{Script: func(p vendorsim.FaultPoint) vendorsim.Fault {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, p)
		if p.Attempt <= 3 {
			return vendorsim.Error503
		}
		return vendorsim.NoFault
	}})
	for _, want := range []int{503, 503, 503, 200} {
		require.Equal(t, want, b.post(t, "/v1/payment_intents", "k", payment("cus_a")).status)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, asked, 4)
	require.Equal(t, vendorsim.FaultPoint{
		Operation: "POST /v1/payment_intents", Path: "/v1/payment_intents", IdempotencyKey: "k", Attempt: 4, Faults: 3,
	}, asked[3])
}

// statuses sends n payments, each under a key of its own, and returns the statuses, 0 for no answer.
func statuses(t *testing.T, b *testBundle, n int) []int {
	t.Helper()
	got := make([]int, 0, n)
	for i := range n {
		r, err := b.send(t, "POST", "/v1/payment_intents", payment("cus_"+strconv.Itoa(i)).Encode(), "Idempotency-Key: k"+strconv.Itoa(i))
		if err != nil {
			r.status = 0
		}
		got = append(got, r.status)
	}
	return got
}

func TestDefaultFaults_DealEachKindOnceInEveryBlockReproducibly(t *testing.T) {
	t.Parallel()
	config := func(seed uint64) vendorsim.Config {
		return vendorsim.Config{Seed: seed, Faults: vendorsim.DefaultFaults(), SlowDelay: 1}
	}
	b := setup(t, config(7))
	first := statuses(t, b, 40)
	once := map[string]int{
		"answer_lost": 1, "error_500_after_charge": 1, "rate_limited_429": 1, "slow_answer": 1, "closed_after_read": 1,
	}
	require.Equal(t, once, b.sim.Faults())
	second := statuses(t, setup(t, config(7)), 40)
	require.Equal(t, first, second)
	require.NotEqual(t, first, statuses(t, setup(t, config(8)), 40))
}

func TestDeck_StrikesOneKeyTwiceAtMost(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{Faults: vendorsim.FaultPlan{Block: 1, Cards: map[vendorsim.Fault]int{vendorsim.RateLimited429: 1}}})
	for _, key := range []string{"a", "b"} {
		for _, want := range []int{429, 429, 200} {
			require.Equal(t, want, b.post(t, "/v1/payment_intents", key, payment("cus_a")).status)
		}
	}
}

func TestClose_LetsHeldAnswersGo(t *testing.T) {
	t.Parallel()
	h := newHeld()
	b := setup(t, vendorsim.Config{After: h.after})
	b.sim.NextFaults(vendorsim.SlowAnswer)
	answered := make(chan int, 1)
	go func() {
		r, _ := b.send(t, "POST", "/v1/payment_intents", payment("cus_a").Encode())
		answered <- r.status
	}()
	<-h.started
	b.sim.Close()
	require.Equal(t, http.StatusOK, <-answered)
	b.sim.Close()
}

func TestLatency_HoldsEveryVendorRequestBack(t *testing.T) {
	t.Parallel()
	h := newHeld()
	close(h.release)
	b := setup(t, vendorsim.Config{After: h.after, Latency: 1})
	b.get(t, "/v1/payment_intents")
	<-h.started
	b.post(t, "/v1/payment_intents", "k", payment("cus_a"))
	<-h.started
}

func TestParseFaultPlan_ReadsRatesAsCards(t *testing.T) {
	t.Parallel()
	cards := func(block int, cards map[vendorsim.Fault]int) vendorsim.FaultPlan {
		return vendorsim.FaultPlan{Block: block, Cards: cards}
	}
	for text, want := range map[string]vendorsim.FaultPlan{
		"none":                            {},
		"default":                         vendorsim.DefaultFaults(),
		"answer_lost=0.05":                cards(40, map[vendorsim.Fault]int{"answer_lost": 2}),
		"answer_lost=0.1, error_503=0.01": cards(100, map[vendorsim.Fault]int{"answer_lost": 10, "error_503": 1}),
		"slow_answer=0.001":               cards(1000, map[vendorsim.Fault]int{"slow_answer": 1}),
		"slow_answer=1":                   cards(40, map[vendorsim.Fault]int{"slow_answer": 40}),
	} {
		got, err := vendorsim.ParseFaultPlan(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "all", "answer_lost", "answer_lost=", "answer_lost=x", "answer_lost=-0.1", "answer_lost=1.1",
		"answer_lost=0.0001", "answer_lost=1e999999", "nonsense=0.1", "answer_lost=0.1,answer_lost=0.1", "answer_lost=0.9,error_503=0.2",
	} {
		_, err := vendorsim.ParseFaultPlan(text)
		var wrong *vendorsim.FaultPlanError
		require.ErrorAs(t, err, &wrong, text)
	}
}

func TestNew_RefusesAConfigThatMakesNoSense(t *testing.T) {
	t.Parallel()
	var wrong *vendorsim.FaultPlanError
	_, err := vendorsim.New(vendorsim.Config{Faults: vendorsim.FaultPlan{Block: 1, Cards: map[vendorsim.Fault]int{"gremlin": 1}}})
	require.ErrorAs(t, err, &wrong)
	_, err = vendorsim.New(vendorsim.Config{Faults: vendorsim.FaultPlan{Block: 1, Cards: map[vendorsim.Fault]int{"answer_lost": 2}}})
	require.ErrorAs(t, err, &wrong)
	_, err = vendorsim.New(vendorsim.Config{Latency: -1})
	require.ErrorContains(t, err, "negative")
	_, err = vendorsim.New(vendorsim.Config{APIKeys: []string{"secret"}})
	require.ErrorContains(t, err, "sk_test_")
	require.NotContains(t, err.Error(), "secret")
	_, err = vendorsim.New(vendorsim.Config{APIKeys: []string{"sk_" + "live_1"}})
	require.ErrorIs(t, err, vendorsim.ErrLiveKey)
}
