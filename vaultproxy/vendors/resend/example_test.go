package resend_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	resendgo "github.com/resend/resend-go/v3"
)

// denials keeps the code of a denial, which resend-go drops with the answer's
// headers. One for each send: the SDK's client is cheap.
type denials struct {
	next http.RoundTripper
	code string
}

// RoundTrip implements http.RoundTripper.
func (d *denials) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := d.next.RoundTrip(r)
	if err == nil {
		d.code = answer.Header.Get("Tollgate-Denied")
	}
	return answer, err
}

// Resend's own SDK works through the proxy once its base URL is the proxy's, with
// a slash at the end, and its API key a vault key.
func ExampleNew_throughTheProxy() {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a vault proxy's data plane
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Tollgate-Denied", "cap_exhausted")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = fmt.Fprintf(w, `{"code":"cap_exhausted","message":"%s %s: no room is left"}`, r.Method, r.URL.Path)
	}))
	defer proxy.Close()

	seen := &denials{next: http.DefaultTransport}
	sdk := resendgo.NewCustomClient(&http.Client{Transport: seen}, "vault_key_of_this_run")
	base, err := url.Parse(proxy.URL + "/resend/")
	if err != nil {
		fmt.Println(err)
		return
	}
	sdk.BaseURL = base
	_, err = sdk.Emails.SendWithOptions(context.Background(), &resendgo.SendEmailRequest{
		From: "Acme <billing@example.com>", To: []string{"ann@example.org"}, Subject: "Receipt", Text: "Paid.",
	}, &resendgo.SendEmailOptions{IdempotencyKey: "billing-pro-2026-11-receipt-0"})
	fmt.Println(err != nil, seen.code)
	// Output: true cap_exhausted
}
