package activities_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

const (
	noticeRoot  = "billing-pro-2026-11"
	noticeRun   = "temporal/default/billing-pro-2026-11"
	noticeLabel = noticeRun + "/receipts"
)

// sent is one call of a notice as the proxy gets it.
type sent struct {
	path   string
	header http.Header
	email  map[string]any // of a receipt
	form   map[string][]string
}

// noticeBundle is a set of activities in front of a server that plays both planes
// of the proxy over a ledger of a few lines.
type noticeBundle struct {
	env    *testsuite.TestActivityEnvironment
	act    *activities.Activities
	source customerlist.Source
	pinned customerlist.Pinned

	mu       sync.Mutex
	ledger   map[string]string // idempotency key -> state of its call
	keys     map[string]bool   // of the ledger
	calls    []sent
	answer   http.HandlerFunc         // of the data plane; nil: everything is taken
	answers  map[int]http.HandlerFunc // of an item, first
	inFlight int
	widest   int
}

// noticeSetup is a list of n customers, all charged; those of the last two lines
// have no address.
func noticeSetup(t *testing.T, n int) *noticeBundle {
	t.Helper()
	b := &noticeBundle{ledger: map[string]string{}, keys: map[string]bool{"key_1": true, "key_r": true}, answers: map[int]http.HandlerFunc{}}
	var list strings.Builder
	list.WriteString("customer,payment_method,amount_cents,currency,email,phone\n")
	for i := range n {
		email, phone := fmt.Sprintf("c%d@example.com", i), fmt.Sprintf("+120155501%02d", i)
		if i >= n-2 {
			email, phone = "", ""
		}
		fmt.Fprintf(&list, "cus_%d,pm_1,%d,usd,%s,%s\n", i, 1900+i, email, phone)
		b.ledger[activities.IdempotencyKey(noticeRoot, i)] = "settled"
	}
	b.source = customerlist.Source{Path: filepath.Join(t.TempDir(), "list.csv")}
	require.NoError(t, os.WriteFile(b.source.Path, []byte(list.String()), 0o600))
	var err error
	b.pinned, err = customerlist.Pin(t.Context(), b.source)
	require.NoError(t, err)

	server := httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(server.Close)
	control, err := client.New(client.Config{BaseURL: server.URL, AdminKey: adminKey, HTTPClient: server.Client()})
	require.NoError(t, err)
	b.act, err = activities.New(activities.Config{DataURL: server.URL, Control: control, Transport: server.Client().Transport})
	require.NoError(t, err)
	var suite testsuite.WorkflowTestSuite
	b.env = suite.NewTestActivityEnvironment()
	b.env.RegisterActivity(b.act)
	b.env.SetTestTimeout(time.Minute)
	return b
}

func (b *noticeBundle) serve(w http.ResponseWriter, r *http.Request) {
	if key, ok := strings.CutPrefix(r.URL.Path, "/vault/keys/"); ok {
		if !b.keys[key] {
			answerJSON(w, http.StatusNotFound, map[string]any{"code": "not_found", "message": "no such key"})
			return
		}
		answerJSON(w, http.StatusOK, client.Key{KeyID: key})
		return
	}
	if r.URL.Path == "/vault/calls" {
		b.mu.Lock()
		state, known := b.ledger[r.URL.Query().Get("idempotency_key")]
		b.mu.Unlock()
		page := client.CallPage{Calls: []client.Call{}}
		if known {
			page.Calls = append(page.Calls, client.Call{State: state})
		}
		answerJSON(w, http.StatusOK, page)
		return
	}
	b.take(w, r)
}

func (b *noticeBundle) take(w http.ResponseWriter, r *http.Request) {
	call := sent{path: r.URL.RequestURI(), header: r.Header.Clone()}
	if strings.HasPrefix(r.URL.Path, "/resend/") {
		_ = json.NewDecoder(r.Body).Decode(&call.email)
	} else if err := r.ParseForm(); err == nil {
		call.form = r.PostForm
	}
	item, _ := strconv.Atoi(r.Header.Get("Tollgate-Item"))
	b.mu.Lock()
	b.calls = append(b.calls, call)
	b.inFlight++
	b.widest = max(b.widest, b.inFlight)
	answer := b.answer
	if own := b.answers[item]; own != nil {
		answer = own
	}
	b.mu.Unlock()
	if answer == nil {
		answer = taken
	}
	answer(w, r)
	b.mu.Lock()
	b.inFlight--
	b.mu.Unlock()
}

// taken answers as Resend and Twilio do to what they take.
func taken(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/resend/") {
		answerJSON(w, http.StatusOK, map[string]any{"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"})
		return
	}
	answerJSON(w, http.StatusCreated, map[string]any{"sid": "SM1", "status": "queued", "price": nil})
}

func (b *noticeBundle) page(from, to int) activities.NoticePage {
	return activities.NoticePage{
		VaultKey: secretKey, RootWorkflowID: noticeRoot, RunLabel: noticeRun, ChargeKeyID: "key_1",
		Customers: b.source, Pinned: b.pinned, From: from, To: to, Plan: "pro", Period: "2026-11", Concurrency: 4, Patience: 10 * time.Second,
	}
}

func (b *noticeBundle) receipts(t *testing.T, page activities.NoticePage) (activities.NoticeResult, error) {
	t.Helper()
	return b.execute(t, b.act.SendReceipts, activities.ReceiptsInput{Page: page, Sender: "Acme <billing@example.com>", Subject: "{plan} {period}: {amount}"})
}

func (b *noticeBundle) texts(t *testing.T, page activities.NoticePage) (activities.NoticeResult, error) {
	t.Helper()
	return b.execute(t, b.act.SendTexts, activities.TextsInput{Page: page, Sender: "+12015550199", Body: "{amount} for {plan} {period}, {reference}"})
}

func (b *noticeBundle) execute(t *testing.T, activity, in any) (activities.NoticeResult, error) {
	t.Helper()
	value, err := b.env.ExecuteActivity(activity, in)
	if err != nil {
		return activities.NoticeResult{}, err
	}
	var result activities.NoticeResult
	require.NoError(t, value.Get(&result))
	return result, nil
}

func (b *noticeBundle) of(item int) []sent {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []sent
	for _, call := range b.calls {
		if call.header.Get("Tollgate-Item") == strconv.Itoa(item) {
			out = append(out, call)
		}
	}
	return out
}

func TestSendReceipts_EmailsWhoWasChargedUnderTheItemsKey(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 10)
	b.ledger[activities.IdempotencyKey(noticeRoot, 3)] = "released"
	b.ledger[activities.IdempotencyKey(noticeRoot, 4)] = "unknown"
	b.ledger[activities.IdempotencyKey(noticeRoot, 5)] = "committed"
	delete(b.ledger, activities.IdempotencyKey(noticeRoot, 6))

	result, err := b.receipts(t, b.page(2, 10))

	require.NoError(t, err)
	require.Equal(t, activities.NoticeResult{Outcomes: "s--s-snn"}, result)
	require.Len(t, b.calls, 3)
	call := b.of(7)[0]
	require.Equal(t, "/resend/emails", call.path)
	require.Equal(t, map[string]any{
		"from": "Acme <billing@example.com>", "to": []any{"c7@example.com"}, "subject": "pro 2026-11: $19.07",
		"text": "Your payment of $19.07 for pro 2026-11 was received.\n\nReference: billing-pro-2026-11-7\n",
	}, call.email)
	require.Equal(t, "Bearer "+secretKey, call.header.Get("Authorization"))
	require.Equal(t, "billing-pro-2026-11-7-receipt", call.header.Get("Idempotency-Key"))
	require.Equal(t, noticeRoot, call.header.Get("Tollgate-Workflow-Id"))
}

func TestSendTexts_WritesToWhoWasChargedUnderTheItemsKey(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 10)

	result, err := b.texts(t, b.page(0, 10))

	require.NoError(t, err)
	require.Equal(t, activities.NoticeResult{Outcomes: "ssssssssnn"}, result)
	call := b.of(7)[0]
	require.Equal(t, "/twilio/2010-04-01/Accounts/"+client.TwilioPlaceholder+"/Messages.json", call.path)
	require.Equal(t, map[string][]string{
		"To": {"+12015550107"}, "From": {"+12015550199"}, "Body": {"$19.07 for pro 2026-11, billing-pro-2026-11-7"},
	}, call.form)
	require.Equal(t, "Bearer "+secretKey, call.header.Get("Authorization"))
	require.Equal(t, "billing-pro-2026-11-7-text", call.header.Get("Idempotency-Key"))
	require.Equal(t, noticeRoot, call.header.Get("Tollgate-Workflow-Id"))
}

func TestSendTexts_NamesTheMessagingServiceInsteadOfANumber(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 3)
	_, err := b.execute(t, b.act.SendTexts, activities.TextsInput{Page: b.page(0, 1), MessagingServiceSID: "MG1", Body: "x"})
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"To": {"+12015550100"}, "MessagingServiceSid": {"MG1"}, "Body": {"x"}}, b.of(0)[0].form)
}

func TestSendReceipts_SendsTheSameBytesInEveryAttempt(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 3)
	for range 2 {
		_, err := b.receipts(t, b.page(0, 1))
		require.NoError(t, err)
		_, err = b.texts(t, b.page(0, 1))
		require.NoError(t, err)
	}
	require.Equal(t, b.calls[0], b.calls[2])
	require.Equal(t, b.calls[1], b.calls[3])
}

func TestSendReceipts_KeepsToItsConcurrency(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 60)
	_, err := b.receipts(t, b.page(0, 60))
	require.NoError(t, err)
	require.Len(t, b.calls, 58)
	require.LessOrEqual(t, b.widest, 4)
}

type noticeWant struct {
	letter byte
	stop   string // the page stops; empty: it goes on
	again  bool   // tried again before
	fails  string // the page fails with it, retryable
}

// noticeDenials are all codes of the data plane and what they mean for a notice.
func noticeDenials() map[string]noticeWant {
	return map[string]noticeWant{
		"cap_exhausted":         {letter: '.', stop: activities.TypeCapExhausted},
		"key_unknown":           {letter: 'u', stop: activities.TypeKeyUnknown},
		"key_revoked":           {letter: '.', stop: activities.TypeKeyRevoked},
		"key_expired":           {letter: '.', stop: activities.TypeKeyExpired},
		"endpoint_not_allowed":  {letter: '.', stop: activities.TypeEndpointNotAllowed},
		"vendor_unknown":        {letter: '.', stop: activities.TypeVendorUnknown},
		"vendor_credentials":    {letter: 'f', stop: activities.TypeVendorCredentials},
		"scope_denied":          {letter: 'f'},
		"unmetered_operation":   {letter: 'f'},
		"idempotency_required":  {letter: 'f'},
		"request_ambiguous":     {letter: 'f'},
		"request_invalid":       {letter: 'f'},
		"currency_unsupported":  {letter: 'f'},
		"amount_invalid":        {letter: 'f'},
		"idempotency_mismatch":  {letter: 'u'},
		"idempotency_in_flight": {letter: 'u', again: true},
		"outcome_unknown":       {letter: 'u', again: true},
		"rate_limited":          {again: true, fails: activities.TypeRateLimited},
		"cap_contended":         {again: true, fails: activities.TypeCapContended},
		"vendor_unavailable":    {again: true, fails: activities.TypeVendorUnavailable},
		"ledger_unavailable":    {again: true, fails: activities.TypeLedgerUnavailable},
		"overloaded":            {again: true, fails: activities.TypeOverloaded},
		"wrong_ledger":          {again: true, fails: activities.TypeWrongLedger},
	}
}

func TestNotices_KnowEveryCodeThatTheProxyHas(t *testing.T) {
	t.Parallel()
	table := noticeDenials()
	for code, info := range vaultproxy.Codes() {
		want, known := table[string(code)]
		require.True(t, known, "nothing is asserted for %s", code)
		again := info.Retry
		require.Equal(t, want.again, again, code)
		delete(table, string(code))
	}
	require.Empty(t, table, "codes that the proxy does not have")
}

func TestNotices_TellEachRefusalOfTheProxyApart(t *testing.T) {
	t.Parallel()
	for code, want := range noticeDenials() {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := noticeSetup(t, 12)
			b.answers[0] = denial(vaultproxy.Codes()[vaultproxy.Code(code)].Status, code, nil)
			page := b.page(0, 8)
			page.Concurrency = 1
			page.Patience = 2 * time.Second // waited for by what is tried again, and enough for a second attempt
			for _, send := range []func(*testing.T, activities.NoticePage) (activities.NoticeResult, error){b.receipts, b.texts} {
				b.calls = nil
				result, err := send(t, page)
				if want.fails != "" {
					requireFault(t, err, want.fails, true)
					require.Empty(t, b.of(1), "what is away for one is away for the next")
				} else {
					require.NoError(t, err)
					require.Equal(t, want.letter, result.Outcomes[0])
					require.Equal(t, want.stop, result.Stop)
					rest := "sssssss"
					if want.stop != "" {
						rest = "......."
					}
					require.Equal(t, rest, result.Outcomes[1:])
				}
				if want.again {
					require.Greater(t, len(b.of(0)), 1)
				} else {
					require.Len(t, b.of(0), 1)
				}
			}
		})
	}
}

func TestNotices_TellTheCapOfASingleCallFromABudget(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 6)
	b.answers[0] = denial(http.StatusTooManyRequests, "cap_exhausted", map[string]any{"budget": "per_call"})
	result, err := b.receipts(t, b.page(0, 4))
	require.NoError(t, err)
	require.Equal(t, activities.NoticeResult{Outcomes: "fsss"}, result)
}

func TestNotices_JudgeTheVendorsOwnAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   map[string]any
		letter byte
	}{
		"an address that it cannot write to": {422, map[string]any{"statusCode": 422, "name": "validation_error", "message": secretBody}, 'f'},
		"an unsubscribed number":             {400, map[string]any{"code": 21610, "status": 400, "message": secretBody}, 'f'},
		"nothing at that place":              {404, map[string]any{"message": secretBody}, 'f'},
		"a conflict":                         {409, map[string]any{"message": secretBody}, 'u'},
		"no identifier":                      {200, map[string]any{}, 'u'},
		"a code of a later proxy":            {400, map[string]any{"code": "cap_of_a_later_proxy"}, 'f'},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := noticeSetup(t, 6)
			b.answers[1] = func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, c.status, c.body) }
			for _, send := range []func(*testing.T, activities.NoticePage) (activities.NoticeResult, error){b.receipts, b.texts} {
				b.calls = nil
				result, err := send(t, b.page(0, 4))
				require.NoError(t, err)
				require.Equal(t, "s"+string(c.letter)+"ss", result.Outcomes)
				require.Len(t, b.of(1), 1, "it is not tried again")
			}
		})
	}
}

func TestSendTexts_CountsWhatTheVendorTookAndCouldNotSendAsFailed(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 4)
	b.answers[0] = func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusCreated, map[string]any{"sid": "SM1", "status": "failed"})
	}
	result, err := b.texts(t, b.page(0, 2))
	require.NoError(t, err)
	require.Equal(t, "fs", result.Outcomes)
}

func TestNotices_TryAgainUnderTheSameKeyUntilTheProxyIsBack(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 3)
	var tries int
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries < 3 {
			denial(http.StatusServiceUnavailable, "ledger_unavailable", nil)(w, r)
			return
		}
		taken(w, r)
	}
	result, err := b.receipts(t, b.page(0, 1))
	require.NoError(t, err)
	require.Equal(t, "s", result.Outcomes)
	require.Len(t, b.calls, 3)
	for _, call := range b.calls {
		require.Equal(t, "billing-pro-2026-11-0-receipt", call.header.Get("Idempotency-Key"))
	}
}

// A refusal of a later attempt says nothing of an earlier one.
func TestNotices_LeaveInDoubtWhatMayHaveBeenSentBeforeARefusal(t *testing.T) {
	t.Parallel()
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusOK)
	}
	for name, c := range map[string]struct {
		first, second http.HandlerFunc
		letter        byte
	}{
		"revoked after an open outcome":  {denial(http.StatusConflict, "outcome_unknown", nil), denial(http.StatusForbidden, "key_revoked", nil), 'u'},
		"expired after an open outcome":  {denial(http.StatusConflict, "outcome_unknown", nil), denial(http.StatusForbidden, "key_expired", nil), 'u'},
		"revoked after a lost answer":    {cut, denial(http.StatusForbidden, "key_revoked", nil), 'u'},
		"no room after a lost answer":    {cut, denial(http.StatusTooManyRequests, "cap_exhausted", nil), 'u'},
		"refused after an open outcome":  {denial(http.StatusConflict, "outcome_unknown", nil), denial(http.StatusBadRequest, "request_invalid", nil), 'u'},
		"revoked while one is in flight": {denial(http.StatusConflict, "idempotency_in_flight", nil), denial(http.StatusForbidden, "key_revoked", nil), 'u'},
		"sent after an open outcome":     {denial(http.StatusConflict, "outcome_unknown", nil), taken, 's'},
		"revoked after a full proxy":     {denial(http.StatusServiceUnavailable, "overloaded", nil), denial(http.StatusForbidden, "key_revoked", nil), '.'},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := noticeSetup(t, 3)
			for _, send := range []func(*testing.T, activities.NoticePage) (activities.NoticeResult, error){b.receipts, b.texts} {
				tries := 0
				b.answer = func(w http.ResponseWriter, r *http.Request) {
					if tries++; tries == 1 {
						c.first(w, r)
						return
					}
					c.second(w, r)
				}
				result, err := send(t, b.page(0, 1))
				require.NoError(t, err)
				require.Equal(t, string(c.letter), result.Outcomes)
			}
		})
	}
}

func TestNotices_GoOnWhereAnEarlierAttemptStood(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 10)
	b.env.SetHeartbeatDetails("sf.u......")
	result, err := b.receipts(t, b.page(0, 10))
	require.NoError(t, err)
	require.Equal(t, "sfssssssnn", result.Outcomes, "what was in doubt is asked again, under its key")
	require.Empty(t, b.of(0))
	require.Empty(t, b.of(1))
	require.Len(t, b.calls, 6)
}

func TestNotices_CancelledTellWhatWasSentUntilThen(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 10)
	ctx, cancel := context.WithCancelCause(t.Context())
	b.env.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
	b.answers[2] = func(w http.ResponseWriter, r *http.Request) {
		cancel(temporal.NewCanceledError()) // as the server's answer to a heartbeat does
		taken(w, r)
	}
	page := b.page(0, 10)
	page.Concurrency = 1

	result, err := b.receipts(t, page)

	require.NoError(t, err)
	require.Equal(t, activities.NoticeResult{Outcomes: "sss.....nn", Stop: activities.StopCanceled}, result)
}

func TestNotices_WriteToNobodyByAnotherLedger(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 4)
	delete(b.keys, "key_1")
	_, err := b.receipts(t, b.page(0, 4))
	requireFault(t, err, activities.TypeWrongLedger, true)
	require.Empty(t, b.calls)
}

func TestNotices_WriteToNobodyByAChangedList(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 4)
	require.NoError(t, os.WriteFile(b.source.Path, []byte("customer,payment_method,amount_cents,currency\ncus_1,pm_1,100,usd\n"), 0o600))
	_, err := b.texts(t, b.page(0, 4))
	requireFault(t, err, activities.TypeCustomerListChanged, false)
	require.Empty(t, b.calls)
}

func TestReadNotices_TellsFromTheLedgerAlone(t *testing.T) {
	t.Parallel()
	b := noticeSetup(t, 8)
	delete(b.ledger, activities.IdempotencyKey(noticeRoot, 0))
	for item, state := range map[int]string{1: "settled", 2: "committed", 3: "released", 4: "unknown"} {
		b.ledger[activities.NoticeKey(noticeRoot, item, activities.PhaseReceipts)] = state
	}
	in := activities.ReadNoticesInput{Page: b.page(0, 8), Phase: activities.PhaseReceipts, NoticeLabel: noticeLabel, NoticeKeyID: "key_r"}
	result, err := b.execute(t, b.act.ReadNotices, in)
	require.NoError(t, err)
	require.Equal(t, activities.NoticeResult{Outcomes: "-ssfu.nn"}, result)
	require.Empty(t, b.calls)

	in.NoticeKeyID = "key_of_another_ledger"
	_, err = b.execute(t, b.act.ReadNotices, in)
	requireFault(t, err, activities.TypeWrongLedger, true)
}

func TestIssueNoticeKey_AsksForItsOwnVendorLabelAndCaps(t *testing.T) {
	t.Parallel()
	for phase, want := range map[string]struct{ vendor, endpoint string }{
		activities.PhaseReceipts: {"resend", "POST /emails"},
		activities.PhaseTexts:    {"twilio", "POST /2010-04-01/Accounts/{account}/Messages.json"},
	} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = controlOf(false)
			_, err := b.env.ExecuteActivity(b.act.IssueNoticeKey, issueNotice(phase))
			require.NoError(t, err)
			issued := b.requests[1]
			require.Equal(t, "POST", issued.method)
			require.Equal(t, noticeRun+"/"+phase+"/"+phase, issued.header.Get("Idempotency-Key"))
			require.Equal(t, map[string]any{
				"vendor": want.vendor, "allowed_endpoints": []any{want.endpoint}, "expires_in": "2h0m0s",
				"agent_run_label": noticeRun + "/" + phase, "phase": phase, "agent_name": "billing", "inputs_digest": "feed",
				"run_usd_cap": 5.0, "renew": true, "per_call_usd_cap": 0.01,
			}, decimals(issued.body))
		})
	}
}

func TestIssueNoticeKey_GivesNoneToARunThatAPersonClosed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = controlOf(true)
	_, err := b.env.ExecuteActivity(b.act.IssueNoticeKey, issueNotice(activities.PhaseReceipts))
	requireFault(t, err, activities.TypeRunRevoked, false)
	last := b.requests[len(b.requests)-1]
	require.Equal(t, "DELETE", last.method)
	require.Equal(t, "/vault/keys/key_r", last.path)
}

func issueNotice(phase string) activities.IssueNoticeInput {
	return activities.IssueNoticeInput{
		Phase: phase, RunLabel: noticeRun, ChargeKeyID: "key_1", NoticeLabel: noticeRun + "/" + phase,
		BudgetUSD: 5 * money.Dollar, PerCallCapUSD: money.Cent, TTL: 2 * time.Hour, ListSHA256: "feed", Renew: true,
	}
}

// controlOf plays a control plane that issues key_r.
func controlOf(closed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			answerJSON(w, http.StatusCreated, client.IssuedKey{VaultKey: "vault_key_r", KeyID: "key_r"})
		case strings.HasPrefix(r.URL.Path, "/vault/reports/"):
			answerJSON(w, http.StatusOK, client.RunReportList{Runs: []client.RunReport{{AgentRunLabel: noticeRun, Closed: closed}}})
		case r.Method == http.MethodDelete:
			answerJSON(w, http.StatusOK, client.Revocation{})
		default:
			answerJSON(w, http.StatusOK, client.Key{KeyID: "key_1"})
		}
	}
}

// decimals turns amounts, which are written as decimals, into numbers.
func decimals(body map[string]any) map[string]any {
	for name, value := range body {
		if text, ok := value.(string); ok && strings.HasSuffix(name, "_usd_cap") {
			if number, err := strconv.ParseFloat(text, 64); err == nil {
				body[name] = number
			}
		}
	}
	return body
}
