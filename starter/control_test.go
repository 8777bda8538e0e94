package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	temporalclient "go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// controlPlane answers as a vault proxy does, and records what it was asked.
type controlPlane struct {
	answers map[string]any // by method and path
	asked   []string       // method, path and query
}

func (c *controlPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, _ := url.QueryUnescape(r.URL.RawQuery)
	c.asked = append(c.asked, strings.TrimSuffix(r.Method+" "+r.URL.Path+"?"+query, "?"))
	if r.Header.Get("Authorization") != "Bearer admin_test" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"code":"admin_key_rejected","message":"wrong admin key"}`))
		return
	}
	answer, ok := c.answers[r.Method+" "+r.URL.Path]
	if paged, isPaged := answer.(func(url.Values) any); isPaged {
		answer = paged(r.URL.Query())
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		answer = map[string]string{"code": "run_not_found", "message": "no key was ever issued for this run label"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// proxied sets a starter up with a control plane that gives these answers.
func proxied(t *testing.T, answers map[string]any) (*testBundle, *controlPlane, []string) {
	t.Helper()
	b := setup(t)
	plane := &controlPlane{answers: answers}
	server := httptest.NewServer(plane)
	t.Cleanup(server.Close)
	return b, plane, []string{"--control-url", server.URL, "--admin-key-file", b.file(t, "admin.key", "admin_test\n")}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func exampleBudget() client.Budget {
	return client.Budget{
		Scope: "run", Name: "temporal/default/billing-pro-2026-11", Window: "total",
		CapUSD: 20_000 * money.Dollar, SettledUSD: 19_900 * money.Dollar, ReservedUSD: 60 * money.Dollar, RemainingUSD: 40 * money.Dollar,
	}
}

func TestReport_ShowsWhatARunSpent(t *testing.T) {
	t.Parallel()
	first, last := noon, noon.Add(12300*time.Millisecond)
	report := client.RunReport{
		AgentRunLabel: "temporal/default/billing-pro-2026-11", Closed: true,
		FirstCallAt: &first, LastCallAt: &last,
		Budget: exampleBudget(),
		Calls:  client.CallCounts{InFlight: 2, Settled: 964, Released: 42}, Declined: 39, Replays: 12, Resends: 7,
		Denied:  []client.Denials{{Code: "cap_exhausted", Count: 88}},
		Vendors: []client.Spend{{Vendor: "stripe", Calls: 1008, SettledUSD: 19_900 * money.Dollar, HeldUSD: 60 * money.Dollar}},
	}
	b, plane, flags := proxied(t, map[string]any{"GET /vault/reports/runs": func(asked url.Values) any {
		if asked.Get("agent_run_label") != report.AgentRunLabel {
			return client.RunReportList{} // no receipts, no texts
		}
		return client.RunReportList{Runs: []client.RunReport{report}}
	}})

	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"report", "billing-pro-2026-11"}, flags...)), b.stderr.String())
	require.Contains(t, plane.asked, "GET /vault/reports/runs?agent_run_label=temporal/default/billing-pro-2026-11")
	require.Equal(t, `
temporal/default/billing-pro-2026-11 (closed)
first call 2026-11-23 12:00:00 UTC, last 12.3s later

BUDGET            USD  MEANING
-------------------------------------------------------
cap        $20,000.00  the run never spends more
settled    $19,900.00  paid
reserved       $60.00  held for calls in flight
committed       $0.00  certain, final amount still open
unknown         $0.00  held until there is proof
left           $40.00

CALLS      COUNT  MEANING
-----------------------------------------------------------------
settled      964  the vendor acted and the amount is final
committed      0  the vendor acted, the amount may still change
released      42  no effect, the hold was given back; 39 declined
unknown        0  no proof yet of what the vendor did
in flight      2
replayed      12  answered from the ledger, not sent
resent         7  after a refusal, or to prove an outcome

DENIED         CALLS
--------------------
cap_exhausted     88

VENDOR  CALLS     SETTLED    HELD
---------------------------------
stripe  1,008  $19,900.00  $60.00
`, b.stdout.String())
}

func TestReport_WritesTheLedgersOwnJSON(t *testing.T) {
	t.Parallel()
	report := client.RunReport{AgentRunLabel: "nightly", Budget: exampleBudget()}
	b, plane, flags := proxied(t, map[string]any{"GET /vault/reports/runs": client.RunReportList{Runs: []client.RunReport{report}}})

	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"report", "--run-label", "nightly", "--json"}, flags...)), b.stderr.String())
	require.Equal(t, []string{"GET /vault/reports/runs?agent_run_label=nightly"}, plane.asked)
	var written client.RunReport
	require.NoError(t, json.Unmarshal(b.stdout.Bytes(), &written))
	require.Equal(t, report, written)
}

func TestRevoke_ClosesTheRunInTheNamespaceOfTheEnvironment(t *testing.T) {
	t.Parallel()
	b, plane, flags := proxied(t, map[string]any{"DELETE /vault/keys": client.Revocation{KeyIDs: []string{"key_7"}, RevokedAt: noon, InFlight: 61}})
	b.env["TEMPORAL_NAMESPACE"] = "prod"
	b.dial = func(context.Context, temporalclient.Options) (temporalclient.Client, error) {
		return nil, errors.New("nobody is there")
	}

	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"revoke", "--plan", "pro", "--period", "2026-11"}, flags...)), b.stderr.String())
	require.Equal(t, []string{
		"DELETE /vault/keys?agent_run_label=temporal/prod/billing-pro-2026-11",
		"DELETE /vault/keys?agent_run_label=temporal/prod/billing-pro-2026-11/receipts",
		"DELETE /vault/keys?agent_run_label=temporal/prod/billing-pro-2026-11/texts",
	}, plane.asked, "the charges first")
	require.Equal(t, "closed temporal/prod/billing-pro-2026-11: 3 vault keys revoked at 2026-11-23 12:00:00 UTC, 183 calls still in flight\n", b.stdout.String())
	require.Equal(t, "its spending is stopped, but the workflow billing-pro-2026-11 could not be told so by way of Temporal (nobody is there): "+
		"it finds out at its next charge, or when its time for approvals is over", b.errorLine(t))
}

// Who stops the spending may be on a machine that has none of the codec's keys.
func TestRevoke_TellsTheRunWithoutAnyCodecKey(t *testing.T) {
	t.Parallel()
	b, _, flags := proxied(t, map[string]any{"DELETE /vault/keys": client.Revocation{KeyIDs: []string{"key_7"}, RevokedAt: noon}})
	b.env["TEMPORAL_ADDRESS"] = "temporal.example.com:7233"
	delete(b.env, "TOLLGATE_CODEC_KEY")
	dialled := false
	b.dial = func(context.Context, temporalclient.Options) (temporalclient.Client, error) {
		dialled = true
		return nil, errors.New("nobody is there")
	}

	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"revoke", "billing-pro-2026-11"}, flags...)))
	require.True(t, dialled, b.stderr.String())
}

func TestRevoke_ClosesTheRunOfATenant(t *testing.T) {
	t.Parallel()
	b, plane, flags := proxied(t, map[string]any{"DELETE /vault/keys": client.Revocation{KeyIDs: []string{"key_7"}, RevokedAt: noon}})

	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"revoke", "--run-label", "nightly", "--tenant", "acme"}, flags...)), b.stderr.String())
	require.Equal(t, []string{"DELETE /vault/keys?agent_run_label=nightly&tenant=acme"}, plane.asked)
}

func TestKeys_ShowsTheBudgetThatDecides(t *testing.T) {
	t.Parallel()
	tight := exampleBudget()
	wide := client.Budget{Scope: "key", CapUSD: money.Max, RemainingUSD: money.Max}
	keys := client.KeyList{Keys: []client.Key{
		{KeyID: "key_7", State: "live", AgentRunLabel: "temporal/default/billing-pro-2026-11", ExpiresAt: noon, Budgets: []client.Budget{wide, tight}},
		{KeyID: "key_6", State: "revoked", AgentRunLabel: "nightly", ExpiresAt: noon.Add(-time.Hour)},
	}}
	b, plane, flags := proxied(t, map[string]any{"GET /vault/keys": keys})

	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"keys"}, flags...)), b.stderr.String())
	require.Equal(t, []string{"GET /vault/keys"}, plane.asked)
	require.Equal(t, `KEY    STATE    EXPIRES (UTC)        SETTLED    HELD    LEFT  RUN
--------------------------------------------------------------------------------------------------
key_7  live     2026-11-23 12:00  $19,900.00  $60.00  $40.00  temporal/default/billing-pro-2026-11
key_6  revoked  2026-11-23 11:00                              nightly
`, b.stdout.String())
}

// auditPages is a log of that many rows, told in pages as the proxy does.
func auditPages(rows int) func(url.Values) any {
	return func(q url.Values) any {
		from, _ := strconv.Atoi(q.Get("cursor"))
		limit, _ := strconv.Atoi(q.Get("limit"))
		var page client.AuditPage
		for i := from; i < min(from+limit, rows); i++ {
			page.Rows = append(page.Rows, client.AuditRow{
				Seq: int64(i), At: noon.Add(time.Duration(i) * time.Second), Verdict: "settled", Code: "succeeded",
				Item: strconv.Itoa(i), Status: 200, PriceUSD: 12 * money.Dollar, AmountUSD: 12 * money.Dollar,
			})
		}
		if from+limit < rows {
			page.NextCursor = strconv.Itoa(from + limit)
		}
		return page
	}
}

func TestAudit_CutsTheTableAndSaysSo(t *testing.T) {
	t.Parallel()
	b, plane, flags := proxied(t, map[string]any{"GET /vault/audit": auditPages(3)})

	code := b.run(t.Context(), append([]string{"audit", "billing-pro-2026-11", "--verdict", "settled", "--limit", "2"}, flags...))

	require.Equal(t, exitOK, code, b.stderr.String())
	require.Equal(t, []string{"GET /vault/audit?agent_run_label=temporal/default/billing-pro-2026-11&limit=3&verdict=settled"}, plane.asked)
	require.Equal(t, `TIME (UTC)           VERDICT  CODE       ITEM  STATUS   PRICE  BOOKED
---------------------------------------------------------------------
2026-11-23 12:00:00  settled  succeeded     0     200  $12.00  $12.00
2026-11-23 12:00:01  settled  succeeded     1     200  $12.00  $12.00
`, b.stdout.String())
	require.Equal(t, "there are more rows: --limit 0 shows all, --ndjson writes them all as JSON", b.errorLine(t))
}

func TestAudit_NamesTheRunOfEachRowWhereThereMayBeSeveral(t *testing.T) {
	t.Parallel()
	page := client.AuditPage{Rows: []client.AuditRow{{At: noon, Verdict: "revoked", AgentRunLabel: "nightly"}}}
	b, _, flags := proxied(t, map[string]any{"GET /vault/audit": page})
	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"audit"}, flags...)), b.stderr.String())
	require.Regexp(t, `(?m)  RUN$`, b.stdout.String())
	require.Regexp(t, `(?m)^2026-11-23 12:00:00  revoked .*  nightly$`, b.stdout.String())
}

func TestAuditAndKeys_SayThatTheLedgerHasNothingOfARun(t *testing.T) {
	t.Parallel()
	nothing := map[string]any{"GET /vault/audit": client.AuditPage{}, "GET /vault/keys": client.KeyList{}}
	for want, args := range map[string][]string{
		"the ledger has no such audit row of temporal/default/x: 'starter keys' shows the runs that it knows": {"audit", "x"},
		"the ledger has no such vault key of temporal/default/x: 'starter keys' shows the runs that it knows": {"keys", "x"},
		"the ledger has no such audit row": {"audit", "--verdict", "read"},
	} {
		b, _, flags := proxied(t, nothing)
		require.Equal(t, exitOK, b.run(t.Context(), append(args, flags...)))
		require.Equal(t, want, b.errorLine(t))
		b, _, flags = proxied(t, nothing)
		require.Equal(t, exitOK, b.run(t.Context(), append(append(args, "--json"), flags...)))
		require.Empty(t, b.stderr.String())
		require.True(t, json.Valid(b.stdout.Bytes()))
	}
}

func TestReport_HasReceiptsAndTextsInItsJSONToo(t *testing.T) {
	t.Parallel()
	b, _, flags := proxied(t, map[string]any{"GET /vault/reports/runs": func(asked url.Values) any {
		label := asked.Get("agent_run_label")
		if strings.HasSuffix(label, "/texts") {
			return client.RunReportList{} // it sent none
		}
		return client.RunReportList{Runs: []client.RunReport{{AgentRunLabel: label, Budget: exampleBudget()}}}
	}})
	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"report", "billing-pro-2026-11", "--json"}, flags...)), b.stderr.String())
	var written runReport
	require.NoError(t, json.Unmarshal(b.stdout.Bytes(), &written))
	require.Equal(t, "temporal/default/billing-pro-2026-11", written.AgentRunLabel)
	require.Len(t, written.Phases, 1)
	require.Equal(t, "temporal/default/billing-pro-2026-11/receipts", written.Phases[0].AgentRunLabel)
}

func TestAudit_SaysNothingOfMoreWhereThereIsNone(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{2, 1000, 2000} {
		b, _, flags := proxied(t, map[string]any{"GET /vault/audit": fullPages(limit)})
		args := append([]string{"audit", "--limit", strconv.Itoa(limit)}, flags...)
		require.Equal(t, exitOK, b.run(t.Context(), args), b.stderr.String())
		require.Equal(t, limit+2, strings.Count(b.stdout.String(), "\n"), "a title, a line and the rows")
		require.Empty(t, b.stderr.String())
	}
}

// fullPages is a log that promises another page after each full one, as the
// proxy does, which does not look ahead.
func fullPages(rows int) func(url.Values) any {
	return func(q url.Values) any {
		from, _ := strconv.Atoi(q.Get("cursor"))
		limit, _ := strconv.Atoi(q.Get("limit"))
		page := auditPages(rows)(q).(client.AuditPage)
		if len(page.Rows) == limit {
			page.NextCursor = strconv.Itoa(from + limit)
		}
		return page
	}
}

func TestAudit_WritesEveryPageAsLinesOfJSON(t *testing.T) {
	t.Parallel()
	b, plane, flags := proxied(t, map[string]any{"GET /vault/audit": auditPages(2500)})

	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"audit", "--ndjson"}, flags...)), b.stderr.String())

	require.Len(t, plane.asked, 3)
	decoder := json.NewDecoder(&b.stdout)
	for i := range 2500 {
		var row client.AuditRow
		require.NoError(t, decoder.Decode(&row))
		require.EqualValues(t, i, row.Seq)
	}
	require.False(t, decoder.More())
	require.Empty(t, b.stderr.String())
}

func TestControlCommands_SayWhatToDoWhenTheProxyRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a run that the ledger does not know": {[]string{"report", "x"}, "starter: the ledger has no run temporal/default/x: 'starter keys' shows the runs that it knows"},
		"the same, to be revoked": {[]string{"revoke", "x"},
			"starter: the ledger has no run temporal/default/x without a tenant: name its tenant by --tenant, or check the label with 'starter keys'"},
		"the same of a tenant": {[]string{"revoke", "--run-label", "y", "--tenant", "acme"},
			"starter: the ledger has no run y of tenant acme: check both with 'starter keys --json'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _, flags := proxied(t, nil)
			require.Equal(t, exitError, b.run(t.Context(), append(test.args, flags...)))
			require.Equal(t, test.want, b.errorLine(t))
			require.Empty(t, b.stdout.String())
		})
	}
}

func TestControlCommands_SayWhatToDoWithoutAProxyOrItsKey(t *testing.T) {
	t.Parallel()
	const nobody = "http://127.0.0.1:1" // a port that no machine uses
	another := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(another.Close)
	strict := httptest.NewServer(&controlPlane{})
	t.Cleanup(strict.Close)

	for name, test := range map[string]struct{ address, key, want string }{
		"nothing listens": {nobody, "admin_test",
			"starter: no vault proxy answers at " + nobody + " (connect: connection refused): start a worker, or name another proxy with --control-url or TOLLGATE_CONTROL_URL"},
		"something else listens": {another.URL, "admin_test",
			"starter: what answers at " + another.URL + " is not a vault proxy's control plane (HTTP 404): give its address with --control-url or TOLLGATE_CONTROL_URL"},
		"the admin key is another proxy's": {strict.URL, "admin_other",
			"starter: the vault proxy at " + strict.URL + " refused the admin key: give the one it was started with, by --admin-key-file, TOLLGATE_ADMIN_KEY or --state-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{{"report", "x"}, {"revoke", "x"}, {"keys"}, {"audit"}, {"audit", "--ndjson"}} {
				b := setup(t)
				b.env[controlURLEnv] = test.address
				code := b.run(t.Context(), append(args, "--admin-key-file", b.file(t, "admin.key", test.key)))
				require.Equal(t, exitError, code)
				require.Equal(t, test.want, b.errorLine(t))
				require.NotContains(t, b.errorLine(t), test.key)
				require.Empty(t, b.stdout.String())
			}
		})
	}
}

func TestControlCommands_NameTheAdminKeyFileThatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, exitError, b.run(t.Context(), []string{"keys", "--admin-key-file", b.dir + "/absent.key"}))
	require.Contains(t, b.errorLine(t), b.dir+"/absent.key")
}

func TestControlFailure_TreatsAnInterruptAsOne(t *testing.T) {
	t.Parallel()
	b, _, flags := proxied(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, exitInterrupted, b.run(ctx, append([]string{"keys"}, flags...)))
	require.Equal(t, "starter: interrupted", b.errorLine(t))
}
