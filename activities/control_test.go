package activities_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func issueInput() activities.IssueInput {
	return activities.IssueInput{
		RootWorkflowID: "billing-pro-2026-11", RunLabel: "temporal/default/billing-pro-2026-11", Phase: "charge",
		BudgetUSD: 500 * money.Dollar, TTL: 2 * time.Hour,
	}
}

func TestIssueVaultKey_AsksForABoundedKeyUnderTheRunsIdentity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answerJSON(w, http.StatusOK, map[string]any{"runs": []any{}})
			return
		}
		answerJSON(w, http.StatusCreated, map[string]any{"vault_key": secretKey, "key_id": "key_1", "expires_at": "2026-11-23T17:00:00Z"})
	}
	in := issueInput()
	in.PerChargeCapUSD = 40 * money.Dollar
	in.ListSHA256 = "0a1b"

	value, err := b.env.ExecuteActivity(b.act.IssueVaultKey, in)

	require.NoError(t, err)
	var key activities.IssuedKey
	require.NoError(t, value.Get(&key))
	require.Equal(t, activities.IssuedKey{
		VaultKey: secretKey, KeyID: "key_1", ExpiresAt: time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC),
	}, key)
	require.Len(t, b.requests, 2)
	require.Equal(t, "/vault/reports/runs?agent_run_label=temporal%2Fdefault%2Fbilling-pro-2026-11", b.requests[0].path)
	sent := b.requests[1]
	require.Equal(t, "/vault/keys", sent.path)
	require.Equal(t, "temporal/default/billing-pro-2026-11/charge", sent.header.Get("Idempotency-Key"))
	require.Equal(t, "Bearer "+adminKey, sent.header.Get("Authorization"))
	require.Equal(t, map[string]any{
		"vendor": "stripe", "allowed_endpoints": []any{"POST /v1/payment_intents"}, "expires_in": "2h0m0s",
		"agent_run_label": "temporal/default/billing-pro-2026-11", "agent_name": "billing", "phase": "charge",
		"run_usd_cap": "500.00", "per_call_usd_cap": "40.00", "inputs_digest": "0a1b",
	}, sent.body, "no daily cap, since midnight must not double the budget, and none of the key's own, which nobody could raise")
}

func TestIssueVaultKey_SaysWhatCanBeDoneAboutARevokedRun(t *testing.T) {
	t.Parallel()
	for renew, advice := range map[bool]string{false: "--continue", true: "a person revoked the run"} {
		t.Run(fmt.Sprintf("renew %t", renew), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet { // whose run it is
					answerJSON(w, http.StatusOK, map[string]any{"runs": []any{}})
					return
				}
				denial(http.StatusConflict, "run_revoked", nil)(w, r)
			}
			in := issueInput()
			in.Renew = renew
			_, err := b.env.ExecuteActivity(b.act.IssueVaultKey, in)
			requireFault(t, err, activities.TypeRunRevoked, false)
			require.ErrorContains(t, err, advice)
			require.Len(t, b.requests, 2)
			require.Equal(t, renew, b.requests[1].body["renew"] == true)
		})
	}
}

func TestControlPlane_ErrorsSayWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	for sentence, want := range map[string]struct {
		answer    http.HandlerFunc
		kind      string
		retryable bool
	}{
		"wrong admin key":    {denial(401, "admin_key_invalid", nil), activities.TypeAdminKeyRejected, false},
		"forbidden":          {denial(403, "", nil), activities.TypeAdminKeyRejected, false},
		"another policy":     {denial(409, "policy_conflict", nil), activities.TypePolicyConflict, false},
		"revoked run":        {denial(409, "run_revoked", nil), activities.TypeRunRevoked, false},
		"closed run":         {denial(409, "run_closed", nil), activities.TypeRunClosed, false},
		"another conflict":   {denial(409, "something_else", nil), activities.TypeUnexpected, false},
		"bad request":        {denial(400, "request_invalid", nil), activities.TypeInvalidRequest, false},
		"unprocessable":      {denial(422, "amount_invalid", nil), activities.TypeInvalidRequest, false},
		"too many requests":  {denial(429, "rate_limited", nil), activities.TypeRateLimited, true},
		"ledger unavailable": {denial(503, "ledger_unavailable", nil), activities.TypeLedgerUnavailable, true},
		"internal error":     {denial(500, "internal", nil), activities.TypeLedgerUnavailable, true},
		"connection cut":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, activities.TypeProxyUnreachable, true},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = want.answer
			for name, call := range map[string]func() error{
				"issue": func() error { _, err := b.env.ExecuteActivity(b.act.IssueVaultKey, issueInput()); return err },
				"revoke": func() error {
					_, err := b.env.ExecuteActivity(b.act.RevokeVaultKey, activities.RevokeInput{KeyID: "key_1"})
					return err
				},
				"report": func() error {
					_, err := b.env.ExecuteActivity(b.act.SpendReport, activities.ReportInput{RunLabel: "run", KeyID: "key_1"})
					return err
				},
				"read": func() error {
					_, err := b.env.ExecuteActivity(b.act.ReadOutcomes, activities.OutcomesInput{RunLabel: "run", KeyID: "key_1", Items: []int{1}})
					return err
				},
			} {
				t.Log(name)
				requireFault(t, call(), want.kind, want.retryable)
			}
		})
	}
}

func TestIssueVaultKey_WhereThereIsNoControlPlaneIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = denial(404, "", nil)
	_, err := b.env.ExecuteActivity(b.act.IssueVaultKey, issueInput())
	requireFault(t, err, activities.TypeNotFound, false)
}

func TestControlPlane_OfAnotherLedgerIsAskedAgainAndNeverBelieved(t *testing.T) {
	t.Parallel()
	unknown := denial(404, "not_found", nil)
	// empty has neither the key nor a call of the run.
	empty := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/vault/keys/"):
			unknown(w, r)
		case r.URL.Path == "/vault/calls":
			answerJSON(w, http.StatusOK, map[string]any{"calls": []any{}})
		default:
			denial(404, "run_not_found", nil)(w, r)
		}
	}
	for sentence, answer := range map[string]func() http.HandlerFunc{
		"from the start": func() http.HandlerFunc { return empty },
		"from the first answer on": func() http.HandlerFunc {
			var asked atomic.Int32
			return func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 && r.Method == http.MethodGet {
					answerJSON(w, http.StatusOK, map[string]any{"key_id": "key_1"})
					return
				}
				empty(w, r)
			}
		},
	} {
		for name, call := range map[string]func(*testBundle) error{
			"revoke": func(b *testBundle) error {
				_, err := b.env.ExecuteActivity(b.act.RevokeVaultKey, activities.RevokeInput{KeyID: "key_1"})
				return err
			},
			"report": func(b *testBundle) error {
				_, err := b.env.ExecuteActivity(b.act.SpendReport, activities.ReportInput{RunLabel: "run", KeyID: "key_1"})
				return err
			},
			"read": func(b *testBundle) error {
				_, err := b.env.ExecuteActivity(b.act.ReadOutcomes, activities.OutcomesInput{RunLabel: "run", KeyID: "key_1", Items: []int{1}})
				return err
			},
			"read of what was not tried": func(b *testBundle) error {
				_, err := b.env.ExecuteActivity(b.act.ReadUntried, activities.UntriedInput{RunLabel: "run", KeyID: "key_1", Items: outcome.Span(1, 2)})
				return err
			},
			"read of nothing": func(b *testBundle) error {
				_, err := b.env.ExecuteActivity(b.act.ReadOutcomes, activities.OutcomesInput{RunLabel: "run", KeyID: "key_1"})
				return err
			},
		} {
			t.Run(name+" "+sentence, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.answer = answer()
				requireFault(t, call(b), activities.TypeWrongLedger, true)
			})
		}
	}
}

func TestRevokeVaultKey_RevokesOneKeyAndNotTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]any{"key_ids": []string{"key_1"}, "in_flight": 3, "in_flight_usd": "3.00", "unknown": 1, "unknown_usd": "1.00"})
	}
	value, err := b.env.ExecuteActivity(b.act.RevokeVaultKey, activities.RevokeInput{KeyID: "key_1"})
	require.NoError(t, err)
	var result activities.RevokeResult
	require.NoError(t, value.Get(&result))
	require.Equal(t, activities.RevokeResult{InFlight: 3, Unknown: 1}, result)
	sent := b.requireOne(t)
	require.Equal(t, "DELETE", sent.method)
	require.Equal(t, "/vault/keys/key_1", sent.path)
}

// provingSetup is a ledger that knows of items 0 to 6, in each state that there is.
func provingSetup(t *testing.T) *testBundle {
	t.Helper()
	calls := map[string]any{
		"r-0": map[string]any{"state": "settled", "settled_usd": "19.99", "hold_usd": "20.00"},
		"r-1": map[string]any{"state": "committed", "settled_usd": "0.00", "hold_usd": "20.00"},
		"r-2": map[string]any{"state": "released", "declined": true},
		"r-3": map[string]any{"state": "released"},
		"r-4": map[string]any{"state": "unknown", "hold_usd": "20.00"},
		"r-5": map[string]any{"state": "dispatched", "hold_usd": "20.00"},
		"r-6": map[string]any{"state": "state_of_a_later_proxy", "hold_usd": "20.00"},
	}
	b := setup(t)
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/vault/keys/key_1" {
			answerJSON(w, http.StatusOK, map[string]any{"key_id": "key_1"})
			return
		}
		if r.URL.Query().Get("agent_run_label") != "run" {
			t.Error("asked for another run")
		}
		page := map[string]any{"calls": []any{}}
		if call, ok := calls[r.URL.Query().Get("idempotency_key")]; ok {
			page["calls"] = []any{call}
		}
		answerJSON(w, http.StatusOK, page)
	}
	return b
}

func TestReadOutcomes_TellsWhatTheLedgerProves(t *testing.T) {
	t.Parallel()
	b := provingSetup(t)
	value, err := b.env.ExecuteActivity(b.act.ReadOutcomes, activities.OutcomesInput{
		RootWorkflowID: "r", RunLabel: "run", KeyID: "key_1", Items: []int{0, 1, 2, 3, 4, 5, 6, 7},
	})
	require.NoError(t, err)
	var result activities.OutcomesResult
	require.NoError(t, value.Get(&result))
	require.Equal(t, []activities.ItemOutcome{
		{Item: 0, State: activities.LedgerCharged, AmountUSD: 19*money.Dollar + 99*money.Cent},
		{Item: 1, State: activities.LedgerCharged, AmountUSD: 20 * money.Dollar},
		{Item: 2, State: activities.LedgerDeclined},
		{Item: 3, State: activities.LedgerReleased},
		{Item: 4, State: activities.LedgerPending},
		{Item: 5, State: activities.LedgerPending},
		{Item: 6, State: activities.LedgerPending},
		{Item: 7, State: activities.LedgerNone},
	}, result.Outcomes)
}

func TestReadUntried_TellsOfThoseItemsThatSomebodyHasTried(t *testing.T) {
	t.Parallel()
	for sentence, keyID := range map[string]string{"of the run's own ledger": "key_1", "of a run without a key": ""} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := provingSetup(t)
			value, err := b.env.ExecuteActivity(b.act.ReadUntried, activities.UntriedInput{
				RootWorkflowID: "r", RunLabel: "run", KeyID: keyID, Items: outcome.Ranges{{From: 0, To: 4}, {From: 5, To: 9}},
			})
			require.NoError(t, err)
			var found activities.UntriedResult
			require.NoError(t, value.Get(&found))
			require.Equal(t, activities.UntriedResult{
				Items: outcome.Ranges{{From: 0, To: 3}, {From: 5, To: 7}},
				Tally: outcome.Tally{Charged: 2, Declined: 1, Unknown: 2, ChargedUSD: 39*money.Dollar + 99*money.Cent},
				Exceptions: outcome.Exceptions{
					Declined: outcome.Ranges{{From: 2, To: 3}}, Unknown: outcome.Ranges{{From: 5, To: 7}},
				},
			}, found)
		})
	}
}

func TestSpendReport_ReadsTheRunsBudget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const runs = "/vault/reports/runs?agent_run_label="
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/vault/keys/key_1" {
			answerJSON(w, http.StatusOK, map[string]any{"key_id": "key_1"})
			return
		}
		if r.URL.RequestURI() != runs+url.QueryEscape("temporal/default/x") {
			t.Error("asked for something else: " + r.URL.RequestURI())
		}
		answerJSON(w, http.StatusOK, map[string]any{"runs": []any{map[string]any{
			"agent_run_label": r.URL.Query().Get("agent_run_label"),
			"budget": map[string]any{
				"cap_usd": "500.00", "settled_usd": "400.00", "committed_usd": "30.00", "reserved_usd": "20.00", "unknown_usd": "10.00", "remaining_usd": "40.00",
			},
			"calls": map[string]any{"in_flight": 2, "unknown": 1, "settled": 4, "committed": 3, "released": 9},
		}}})
	}
	value, err := b.env.ExecuteActivity(b.act.SpendReport, activities.ReportInput{RunLabel: "temporal/default/x", KeyID: "key_1"})
	require.NoError(t, err)
	var spend activities.Spend
	require.NoError(t, value.Get(&spend))
	require.Equal(t, activities.Spend{
		CapUSD: 500 * money.Dollar, SettledUSD: 400 * money.Dollar, CommittedUSD: 30 * money.Dollar,
		ReservedUSD: 20 * money.Dollar, UnknownUSD: 10 * money.Dollar, InFlight: 2, Unknown: 1, Charged: 7,
	}, spend)
}

func TestPinAndFetchCustomers_HoldTheListToWhatItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := filepath.Join(t.TempDir(), "customers.csv")
	write := func(content string) { require.NoError(t, os.WriteFile(path, []byte(content), 0o600)) }
	const content = "customer,payment_method,amount_cents,currency\ncus_1,pm_card_visa,100,usd\ncus_2,pm_card_visa,200,usd\n"
	write(content)
	source := customerlist.Source{Path: path}
	pin := func(expected customerlist.Pinned) (customerlist.Pinned, error) {
		value, err := b.env.ExecuteActivity(b.act.PinCustomers, activities.PinInput{Source: source, Expected: expected})
		if err != nil {
			return customerlist.Pinned{}, err
		}
		var pinned customerlist.Pinned
		require.NoError(t, value.Get(&pinned))
		return pinned, nil
	}
	fetch := func(pinned customerlist.Pinned) ([]customerlist.Customer, error) {
		value, err := b.env.ExecuteActivity(b.act.FetchCustomers, activities.FetchInput{Source: source, Pinned: pinned, From: 1, To: 2})
		if err != nil {
			return nil, err
		}
		var page activities.FetchResult
		require.NoError(t, value.Get(&page))
		return page.Customers, nil
	}

	pinned, err := pin(customerlist.Pinned{})
	require.NoError(t, err)
	require.Equal(t, 2, pinned.Count)
	again, err := pin(pinned)
	require.NoError(t, err)
	require.Equal(t, pinned, again)
	page, err := fetch(pinned)
	require.NoError(t, err)
	require.Equal(t, []customerlist.Customer{{ID: "cus_2", PaymentMethod: "pm_card_visa", AmountCents: 200, Currency: "usd"}}, page)

	write(strings.ReplaceAll(content, "200", "900"))
	_, err = pin(pinned)
	requireFault(t, err, activities.TypeCustomerListChanged, false)
	_, err = fetch(pinned)
	requireFault(t, err, activities.TypeCustomerListChanged, false)

	write(strings.ReplaceAll(content, "200", "0"))
	_, err = pin(customerlist.Pinned{})
	requireFault(t, err, activities.TypeInvalidCustomerList, false)
	require.Contains(t, faultOf(t, err).Message(), path+":3: amount_cents is zero")

	require.NoError(t, os.Remove(path))
	_, err = pin(pinned)
	requireFault(t, err, activities.TypeInvalidCustomerList, false)
	require.Contains(t, faultOf(t, err).Message(), path)
	require.Contains(t, faultOf(t, err).Message(), "readable where the worker runs")
}

func TestPinCustomers_TellsTheLineAndNothingThatStandsInIt(t *testing.T) {
	t.Parallel()
	for sentence, lines := range map[string]string{
		"a value in the wrong column": "customer,payment_method,amount_cents,currency\ncus_1,pm_1,\"ada@example.com, \"\"Ada\"\"\",usd\n",
		"a header that is none":       "cus_1,pm_1,ada@example.com,usd\n",
		"a name that is none":         `{"ada@example.com": 1}` + "\n",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "list.csv")
			require.NoError(t, os.WriteFile(path, []byte(lines), 0o600))
			b := setup(t)
			_, err := b.env.ExecuteActivity(b.act.PinCustomers, activities.PinInput{Source: customerlist.Source{Path: path}})
			requireFault(t, err, activities.TypeInvalidCustomerList, false)
			require.ErrorContains(t, err, "list.csv:", "workers log errors, in clear")
			require.NotContains(t, err.Error(), "example.com")
			require.NotContains(t, err.Error(), "Ada")
		})
	}
}
