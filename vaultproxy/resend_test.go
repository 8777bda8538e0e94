package vaultproxy_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	resendgo "github.com/resend/resend-go/v3"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

const (
	// emailPrice is what each recipient of an e-mail costs in these tests.
	emailPrice = 900 * money.Micro

	emails = "/resend/emails"
	batch  = "/resend/emails/batch"

	// receipt goes to two, receipts to three.
	receipt  = `{"from":"Acme <billing@example.com>","to":["ann@example.org"],"bcc":"books@example.com","subject":"Receipt","text":"Paid."}`
	receipts = `[` + receipt + `,{"from":"billing@example.com","to":"bob@example.org","subject":"Receipt","html":"<p>Paid."}]`
)

// issueResend issues a key for e-mails, with a total cap.
func (b *testBundle) issueResend(limit money.USD, change ...func(*client.IssueRequest)) client.IssuedKey {
	b.t.Helper()
	return b.issue(limit, append([]func(*client.IssueRequest){func(r *client.IssueRequest) {
		r.Vendor, r.AllowedEndpoints = "resend", []string{"POST /emails", "POST /emails/batch", "GET /emails/{id}"}
	}}, change...)...)
}

// mail makes a call as Resend's SDKs do.
func (b *testBundle) mail(key client.IssuedKey, path, idempotencyKey, body string, header ...string) httpAnswer {
	b.t.Helper()
	return b.post(key.VaultKey, path, idempotencyKey, body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// resendSDK is resend-go, pointed at the proxy.
func (b *testBundle) resendSDK(key client.IssuedKey) *resendgo.Client {
	b.t.Helper()
	sdk := resendgo.NewCustomClient(b.front.Client(), key.VaultKey)
	base, err := url.Parse(b.front.URL + "/resend/") // the slash belongs to it: the SDK resolves its paths against it
	require.NoError(b.t, err)
	sdk.BaseURL = base
	return sdk
}

// requireMailed holds ledger and vendor to the same e-mails: what was booked, what
// is held, and how many reached somebody.
func (b *testBundle) requireMailed(settled, unknown money.USD, recipients int) {
	b.t.Helper()
	budget := b.report().Budget
	require.Equal(b.t, settled, budget.SettledUSD, "settled")
	require.Equal(b.t, unknown, budget.UnknownUSD, "unknown")
	require.Zero(b.t, budget.ReservedUSD)
	require.Zero(b.t, budget.CommittedUSD)
	require.Equal(b.t, recipients, b.sim.Truth().EmailRecipients)
}

func TestResend_EachRowIsHeldSettledAndReleased(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		path, body string
		price      money.USD
		recipients int
	}{
		"an e-mail": {emails, receipt, 2 * emailPrice, 2},
		"a batch":   {batch, receipts, 3 * emailPrice, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := newGate(http.MethodPost)
			b := setup(t, setupOptions{gate: gate})
			key := b.issueResend(row.price)
			done := b.inBackgroundJSON(key, row.path, "item-1", row.body)
			<-gate.entered
			require.Equal(t, row.price, b.report().Budget.ReservedUSD, "held before it is sent")
			gate.release()
			got := <-done
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireMailed(row.price, 0, row.recipients)

			full := b.mail(key, emails, "item-2", receipt)
			require.Equal(t, "cap_exhausted", full.code(), full.raw)
			b.requireMailed(row.price, 0, row.recipients)
			b.sentOnce()
			for _, e := range b.sim.Truth().Emailed {
				require.Equal(t, got.header.Get("Tollgate-Call-Id"), e.Tags["tollgate_call"])
			}
		})
		t.Run(name+" that Resend does not take", func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issueResend(row.price)
			b.sim.NextResendFaults(vendorsim.RateLimited429)
			got := b.mail(key, row.path, "item-1", row.body)
			require.Equal(t, "rate_limited", got.code(), got.raw)
			b.requireMailed(0, 0, 0)
			require.Equal(t, http.StatusOK, b.mail(key, row.path, "item-1", row.body).status, "a refused attempt does not use the key up")
			b.requireMailed(row.price, 0, row.recipients)
		})
		t.Run(name+" that is lost on the way back", func(t *testing.T) {
			t.Parallel()
			for _, fault := range losing() {
				t.Run(string(fault), func(t *testing.T) {
					t.Parallel()
					b := setup(t, setupOptions{})
					key := b.issueResend(row.price)
					b.sim.NextResendFaults(fault)
					got := b.mail(key, row.path, "item-1", row.body)
					require.Equal(t, "outcome_unknown", got.code(), got.raw)
					require.Equal(t, row.price, b.report().Budget.UnknownUSD)
					require.Equal(t, "cap_exhausted", b.mail(key, emails, "item-2", receipt).code(), "what is in doubt is held")

					again := b.mail(key, row.path, "item-1", row.body)
					require.Equal(t, http.StatusOK, again.status, again.raw)
					b.requireMailed(row.price, 0, row.recipients)
					posts := b.seen.of(http.MethodPost)
					require.Len(t, posts, 2)
					require.Equal(t, posts[0].key, posts[1].key)
					require.Equal(t, posts[0].body, posts[1].body)
				})
			}
		})
	}
}

func (b *testBundle) inBackgroundJSON(key client.IssuedKey, path, idempotencyKey, body string) <-chan httpAnswer {
	done := make(chan httpAnswer, 1)
	go func() {
		answer, err := b.try(key.VaultKey, path, idempotencyKey, body, "Content-Type", "application/json")
		if err != nil {
			answer.raw = err.Error()
		}
		done <- answer
	}()
	return done
}

func TestResend_RefusalsThatResendNamesReleaseAndOthersDoNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status     int
		body       string
		want       int
		code, held string
	}{
		"invalid":                 {422, `{"statusCode":422,"name":"validation_error","message":"m"}`, 422, "", "released"},
		"not verified":            {403, `{"statusCode":403,"name":"validation_error","message":"m"}`, 403, "", "released"},
		"our key":                 {403, `{"statusCode":403,"name":"invalid_api_key","message":"m"}`, 502, "vendor_credentials", "released"},
		"our key may not send":    {401, `{"statusCode":401,"name":"restricted_api_key","message":"m"}`, 502, "vendor_credentials", "released"},
		"the quota":               {429, `{"statusCode":429,"name":"daily_quota_exceeded","message":"m"}`, 429, "rate_limited", "released"},
		"the key with other data": {409, `{"statusCode":409,"name":"invalid_idempotent_request","message":"m"}`, 502, "outcome_unknown", "unknown"},
		"the key in use":          {409, `{"statusCode":409,"name":"concurrent_idempotent_requests","message":"m"}`, 502, "outcome_unknown", "unknown"},
		"an error":                {500, `{"statusCode":500,"name":"internal_server_error","message":"m"}`, 502, "outcome_unknown", "unknown"},
		"a page":                  {422, `<html>`, 502, "outcome_unknown", "unknown"},
		"a 200 with nothing":      {200, `{}`, 502, "outcome_unknown", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{upstream: func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(tc.status)
					_, _ = fmt.Fprint(w, tc.body)
				})
			}})
			key := b.issueResend(money.Dollar)
			got := b.mail(key, emails, "item-1", receipt)
			require.Equal(t, tc.want, got.status, got.raw)
			require.Equal(t, tc.code, got.code(), got.raw)
			require.Equal(t, tc.held, b.call("item-1").State)
			if tc.held == "unknown" {
				b.requireMailed(0, 2*emailPrice, 0)
				return
			}
			b.requireMailed(0, 0, 0)
		})
	}
}

func TestResend_AVendorThatRepeatsItsFailureLeavesTheCallUnknownUnderOneKey(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{upstream: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprint(w, `{"statusCode":500,"name":"application_error","message":"m"}`)
		})
	}})
	key := b.issueResend(money.Dollar, b.until(30*time.Hour))
	require.Equal(t, "outcome_unknown", b.mail(key, emails, "item-1", receipt).code())
	for range 30 { // past Resend's memory
		b.reconcile()
		require.Equal(t, "outcome_unknown", b.mail(key, emails, "item-1", receipt).code())
	}
	b.requireMailed(0, 2*emailPrice, 0)
	for _, post := range b.seen.of(http.MethodPost) {
		require.Equal(t, b.seen.of(http.MethodPost)[0].key, post.key, "another key might send another e-mail")
	}
	sends := len(b.seen.of(http.MethodPost))
	require.Equal(t, "outcome_unknown", b.mail(key, emails, "item-1", receipt).code())
	require.Len(t, b.seen.of(http.MethodPost), sends, "past 23 hours nothing is sent again")
	require.Equal(t, http.StatusOK, b.resolve(b.call("item-1").CallID, `{"outcome":"settled","amount_usd":"0.0018","by":"Ann","reason":"it is in the log"}`).status)
	b.requireMailed(2*emailPrice, 0, 0)
}

func TestResend_TheReconcilerAsksAgainUnderTheSameKeyWithinTheWindow(t *testing.T) {
	t.Parallel()
	for _, fault := range append(losing(), vendorsim.Error500BeforeCharge) {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issueResend(money.Dollar)
			b.sim.NextResendFaults(fault)
			require.Equal(t, "outcome_unknown", b.mail(key, batch, "item-1", receipts).code())
			b.reconcile()
			b.requireMailed(3*emailPrice, 0, 3)
			require.Len(t, b.sim.Truth().Sends, 1)
		})
	}
	for name, stop := range map[string]func(*testBundle, client.IssuedKey){
		"but not after 23 hours": func(b *testBundle, _ client.IssuedKey) { b.clock.advance(23 * time.Hour) },
		"but not for a revoked key": func(b *testBundle, k client.IssuedKey) {
			_, err := b.control.Revoke(b.t.Context(), k.KeyID)
			require.NoError(b.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issueResend(money.Dollar, b.until(48*time.Hour))
			b.sim.NextResendFaults(vendorsim.AnswerLost)
			require.Equal(t, "outcome_unknown", b.mail(key, emails, "item-1", receipt).code())
			stop(b, key)
			b.reconcile()
			b.requireMailed(0, 2*emailPrice, 2)
			b.sentOnce()
			require.Equal(t, "outcome_unknown", b.mail(key, emails, "item-1", receipt).code())
			b.sentOnce()
		})
	}
}

func TestResend_TheSDKSendsThroughTheProxy(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueResend(8 * emailPrice)
	sdk := b.resendSDK(key)
	one := &resendgo.SendEmailRequest{
		From: "Acme <billing@example.com>", To: []string{"ann@example.org"}, Cc: []string{"bob@example.org"}, Subject: "Receipt",
		Html: "<p>Paid.</p>", ReplyTo: "help@example.com", Tags: []resendgo.Tag{{Name: "plan", Value: "pro"}},
		Headers:     map[string]string{"X-Entity-Ref-ID": "7"},
		Attachments: []*resendgo.Attachment{{Filename: "receipt.txt", Content: []byte("Paid."), ContentType: "text/plain"}},
	}
	options := &resendgo.SendEmailOptions{IdempotencyKey: "run-1-receipt"}
	first, err := sdk.Emails.SendWithOptions(t.Context(), one, options)
	require.NoError(t, err)
	again, err := sdk.Emails.SendWithOptions(t.Context(), one, options)
	require.NoError(t, err)
	require.Equal(t, first.Id, again.Id)
	b.requireMailed(2*emailPrice, 0, 2)

	read, err := sdk.Emails.GetWithContext(t.Context(), first.Id)
	require.NoError(t, err)
	require.Equal(t, "Receipt", read.Subject)
	require.Equal(t, []string{"bob@example.org"}, read.Cc)

	several := []*resendgo.SendEmailRequest{
		{From: "billing@example.com", To: []string{"ann@example.org"}, Subject: "Receipt", Text: "Paid."},
		{From: "billing@example.com", To: []string{"bob@example.org", "eve@example.org"}, Subject: "Receipt", Text: "Paid."},
	}
	for range 2 {
		sent, err := sdk.Batch.SendWithOptions(t.Context(), several, &resendgo.BatchSendEmailOptions{
			IdempotencyKey: "run-1-batch", BatchValidation: resendgo.BatchValidationStrict,
		})
		require.NoError(t, err)
		require.Len(t, sent.Data, 2)
	}
	b.requireMailed(5*emailPrice, 0, 5)
	require.Len(t, b.sim.Truth().Sends, 2)

	_, err = sdk.Batch.SendWithOptions(t.Context(), several, &resendgo.BatchSendEmailOptions{
		IdempotencyKey: "partly", BatchValidation: resendgo.BatchValidationPermissive,
	})
	require.ErrorContains(t, err, "only strict batch validation is metered")
	_, err = sdk.Emails.SendWithContext(t.Context(), one)
	require.ErrorContains(t, err, "a write needs an Idempotency-Key header")
	_, err = sdk.Emails.SendWithOptions(t.Context(), one, &resendgo.SendEmailOptions{IdempotencyKey: "run-1-batch"})
	require.ErrorContains(t, err, "this idempotency key was used for another request")
	b.sim.NextResendFaults(vendorsim.AnswerLost)
	_, err = sdk.Emails.SendWithOptions(t.Context(), one, &resendgo.SendEmailOptions{IdempotencyKey: "lost"})
	require.ErrorContains(t, err, "try again with the same idempotency key")
	lost, err := sdk.Emails.SendWithOptions(t.Context(), one, &resendgo.SendEmailOptions{IdempotencyKey: "lost"})
	require.NoError(t, err)
	require.NotEqual(t, first.Id, lost.Id)
	_, err = sdk.Batch.SendWithOptions(t.Context(), several, &resendgo.BatchSendEmailOptions{IdempotencyKey: "too much"})
	var limited *resendgo.RateLimitError
	require.ErrorAs(t, err, &limited)
	b.requireMailed(7*emailPrice, 0, 7)
}

func TestResend_ManyReceiptsWithEveryFaultReachEachOnce(t *testing.T) {
	t.Parallel()
	faults := vendorsim.Kinds()
	b := setup(t, setupOptions{script: func(p vendorsim.FaultPoint) vendorsim.Fault {
		if p.Attempt > 1 {
			return vendorsim.NoFault
		}
		return faults[int(p.IdempotencyKey[len(p.IdempotencyKey)-3])%len(faults)]
	}})
	const n = 60
	key := b.issueResend(n * emailPrice)
	for i := range n {
		body := fmt.Sprintf(`{"from":"billing@example.com","to":"c%d@example.org","subject":"Receipt","text":"Paid."}`, i)
		item := fmt.Sprintf("item-%d", i)
		got := b.mail(key, emails, item, body)
		for range 5 {
			if got.status == http.StatusOK {
				break
			}
			require.Contains(t, []string{"outcome_unknown", "rate_limited"}, got.code(), got.raw)
			got = b.mail(key, emails, item, body)
		}
		require.Equal(t, http.StatusOK, got.status, got.raw)
	}
	b.requireMailed(n*emailPrice, 0, n)
	for recipient, times := range b.sim.Truth().EmailsPerRecipient {
		require.Equal(t, 1, times, recipient)
	}
	require.Zero(t, b.sim.Truth().RedirectsFollowed)
}

func TestResend_WhatIsDeniedDoesNotReachResend(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueResend(money.Dollar)
	narrow := b.issueResend(money.Dollar, func(r *client.IssueRequest) { r.Phase, r.AllowedEndpoints = "one", []string{"POST /emails"} })
	stripes := b.issue(money.Dollar, func(r *client.IssueRequest) { r.Phase = "stripe" })
	elsewhere := strings.Replace(receipt, "billing@example.com", "billing@example.com.evil.org", 1)
	for name, tc := range map[string]struct {
		key              client.IssuedKey
		path, body, code string
		header           []string
	}{
		"a sender of another domain":    {key, emails, elsewhere, "scope_denied", nil},
		"one such sender in a batch":    {key, batch, "[" + receipt + "," + elsewhere + "]", "scope_denied", nil},
		"a schedule":                    {key, emails, strings.Replace(receipt, `{`, `{"scheduled_at":"tomorrow",`, 1), "unmetered_operation", nil},
		"a broadcast":                   {key, "/resend/broadcasts", `{}`, "unmetered_operation", nil},
		"two recipients in one text":    {key, emails, strings.Replace(receipt, "books@example.com", "a@b.org,c@d.org", 1), "request_ambiguous", nil},
		"a batch for a key without it":  {narrow, batch, receipts, "endpoint_not_allowed", nil},
		"Stripe's key":                  {stripes, emails, receipt, "endpoint_not_allowed", nil},
		"Resend's key at Stripe":        {key, intents, charge, "endpoint_not_allowed", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"a batch that is partly sent":   {key, batch, receipts, "unmetered_operation", []string{"X-Batch-Validation", "permissive"}},
		"a form":                        {key, emails, "to=ann@example.org", "request_ambiguous", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"a vendor that is not here yet": {key, "/mailgun/emails", receipt, "vendor_unknown", nil},
	} {
		got := b.mail(tc.key, tc.path, "denied", tc.body, tc.header...)
		require.Equal(t, tc.code, got.code(), "%s: %s", name, got.raw)
	}
	require.Zero(t, b.sim.Truth().Posts)
	b.requireMailed(0, 0, 0)
	require.Equal(t, http.StatusOK, b.mail(key, emails, "denied", receipt).status, "refused attempts do not use a key up")
}

func TestResend_AnEMailThatWasSentIsReplayedThoughItsDomainIsNoLongerListed(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueResend(money.Dollar)
	first := b.mail(key, emails, "item-1", receipt)
	require.Equal(t, http.StatusOK, first.status, first.raw)
	b.stop()
	b.opt.fromDomains = []string{"other.example"}
	b.start()
	require.Equal(t, first.raw, b.mail(key, emails, "item-1", receipt).raw)
	require.Equal(t, "scope_denied", b.mail(key, emails, "item-2", receipt).code())
	b.requireMailed(2*emailPrice, 0, 2)
}

func TestResend_ReadsCostNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueResend(2 * emailPrice)
	id := b.mail(key, emails, "item-1", receipt).text("id")
	require.NotEmpty(t, id)
	got := b.get(key.VaultKey, emails+"/"+id)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "Receipt", got.text("subject"))
	require.Equal(t, "unmetered_operation", b.get(key.VaultKey, emails).code(), "a list shows what others sent")
	b.requireMailed(2*emailPrice, 0, 2)
}
