package vendorsim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/tollgate/tollgate/vendorsim"
)

// A client loses the answer to a payment, tries again under the same key, and is told of the
// payment that was made.
func Example() {
	sim, err := vendorsim.New(vendorsim.Config{})
	if err != nil {
		panic(err)
	}
	defer sim.Close()
	server := httptest.NewServer(sim.Handler())
	defer server.Close()
	sim.NextFaults(vendorsim.AnswerLost)

	pay := func() {
		form := url.Values{
			"amount": {"1999"}, "currency": {"usd"}, "customer": {"cus_ada"}, "confirm": {"true"},
			"payment_method": {"pm_card_visa"}, "payment_method_types[]": {"card"},
		}
		request, _ := http.NewRequest(http.MethodPost, server.URL+"/v1/payment_intents", strings.NewReader(form.Encode()))
		request.Header.Set("Authorization", "Bearer sk_test_example")
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Idempotency-Key", "invoice-1")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Println("no answer")
			return
		}
		_ = answer.Body.Close()
		fmt.Println(answer.StatusCode, "replayed:", answer.Header.Get("Idempotent-Replayed"))
	}
	pay()
	pay()

	truth := sim.Truth()
	fmt.Println("charges:", truth.Charges, "micro-USD:", truth.SucceededTotalMicroUSD)
	// Output:
	// no answer
	// 200 replayed: true
	// charges: 1 micro-USD: 19990000
}
