package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

const adminKey = "admin-key-of-the-tests"

// serve starts a control plane that answers all alike and returns its client
// and the requests that it got.
func serve(t *testing.T, status int, body string, header ...string) (*client.Client, <-chan request) {
	t.Helper()
	got := make(chan request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		got <- request{r.Method + " " + r.URL.RequestURI(), r.Header, string(sent)}
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return connect(t, server.URL), got
}

type request struct {
	line   string
	header http.Header
	body   string
}

func connect(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: url, AdminKey: adminKey})
	require.NoError(t, err)
	return c
}

func TestNew_RefusesWhatCannotBeCalled(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"nothing":             "",
		"a host alone":        "proxy:8787",
		"a port alone":        ":8787",
		"no host":             "http://",
		"another scheme":      "ftp://proxy:8787",
		"a broken escape":     "http://%zz",
		"a password":          "http://admin:hunter2@proxy:8787",
		"a query":             "http://proxy:8787?x=1",
		"a fragment":          "http://proxy:8787/#x",
		"a control character": "http://proxy:8787/\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.New(client.Config{BaseURL: url, AdminKey: adminKey})
			require.EqualError(t, err, "the vault proxy's control URL must look like http://127.0.0.1:8787")
		})
	}
	_, err := client.New(client.Config{BaseURL: "http://proxy:8787"})
	require.ErrorContains(t, err, "admin key is empty")
}

func TestClient_SendsWhatTheControlPlaneExpects(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 13, 0, 0, 5, time.FixedZone("CET", 3600))
	for name, test := range map[string]struct {
		call func(context.Context, *client.Client) error
		want string
	}{
		"a key":        {func(ctx context.Context, c *client.Client) error { _, err := c.Key(ctx, "k/1 ?"); return err }, "GET /vault/keys/k%2F1%20%3F"},
		"all keys":     {func(ctx context.Context, c *client.Client) error { _, err := c.Keys(ctx, ""); return err }, "GET /vault/keys"},
		"a run's keys": {func(ctx context.Context, c *client.Client) error { _, err := c.Keys(ctx, "a/b&c"); return err }, "GET /vault/keys?agent_run_label=a%2Fb%26c"},
		"a revocation": {func(ctx context.Context, c *client.Client) error { _, err := c.Revoke(ctx, "k1"); return err }, "DELETE /vault/keys/k1"},
		"a run's end":  {func(ctx context.Context, c *client.Client) error { _, err := c.RevokeRun(ctx, "run", ""); return err }, "DELETE /vault/keys?agent_run_label=run"},
		"the end of a tenant's run": {func(ctx context.Context, c *client.Client) error {
			_, err := c.RevokeRun(ctx, "run", "a&b")
			return err
		}, "DELETE /vault/keys?agent_run_label=run&tenant=a%26b"},
		"a tenant's end": {func(ctx context.Context, c *client.Client) error {
			_, err := c.RevokeTenant(ctx, "acme & co")
			return err
		}, "DELETE /vault/keys?tenant=acme+%26+co"},
		"budgets": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Budgets(ctx, client.BudgetQuery{Scope: "run", Name: "a/b", Tenant: "acme", Limit: 7})
			return err
		}, "GET /vault/budgets?limit=7&name=a%2Fb&scope=run&tenant=acme"},
		"calls": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Calls(ctx, client.CallQuery{Run: "r", State: "unknown", IdempotencyKey: "i", Cursor: "5", Limit: 7})
			return err
		}, "GET /vault/calls?agent_run_label=r&cursor=5&idempotency_key=i&limit=7&state=unknown"},
		"all calls": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Calls(ctx, client.CallQuery{})
			return err
		}, "GET /vault/calls"},
		"the audit log": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Audit(ctx, client.AuditQuery{Run: "r", KeyID: "k", Vendor: "stripe", Verdict: "denied", Since: at, Until: at.Add(time.Hour), Cursor: "5", Limit: 7})
			return err
		}, "GET /vault/audit?agent_run_label=r&cursor=5&key_id=k&limit=7&since=2026-11-23T12%3A00%3A00.000000005Z&until=2026-11-23T13%3A00%3A00.000000005Z&vendor=stripe&verdict=denied"},
		"the ledger's ID": {func(ctx context.Context, c *client.Client) error { _, err := c.LedgerID(ctx); return err }, "GET /readyz"},
		"readiness":       {func(ctx context.Context, c *client.Client) error { return c.Ready(ctx) }, "GET /readyz"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, got := serve(t, http.StatusOK, `{}`)
			require.NoError(t, test.call(t.Context(), c))
			r := <-got
			require.Equal(t, test.want, r.line)
			require.Equal(t, "Bearer "+adminKey, r.header.Get("Authorization"))
			require.Empty(t, r.body)
		})
	}
}

func TestIssue_SendsThePolicyAndReturnsTheKey(t *testing.T) {
	t.Parallel()
	c, got := serve(t, http.StatusCreated, `{"vault_key":"vault_key_x","key_id":"k1","expires_at":"2026-11-23T12:00:00Z"}`)
	limit := 499*money.Dollar + 99*money.Cent
	key, err := c.Issue(t.Context(), client.IssueRequest{
		Vendor: "stripe", AllowedEndpoints: []string{"POST /v1/charges"}, ExpiresIn: "2h", AgentRunLabel: "run", DailyUSDCap: &limit,
	}, "billing/charge")
	require.NoError(t, err)
	require.Equal(t, client.IssuedKey{VaultKey: "vault_key_x", KeyID: "k1", ExpiresAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}, key)
	r := <-got
	require.Equal(t, "POST /vault/keys", r.line)
	require.Equal(t, "billing/charge", r.header.Get("Idempotency-Key"))
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.JSONEq(t, `{"vendor":"stripe","allowed_endpoints":["POST /v1/charges"],"expires_in":"2h","agent_run_label":"run","daily_usd_cap":"499.99"}`, r.body)

	_, err = c.Issue(t.Context(), client.IssueRequest{}, "")
	require.NoError(t, err)
	require.NotContains(t, (<-got).header, "Idempotency-Key")
}

func TestSetCap_SendsTheNameAsOneSegment(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"temporal/default/x y%": "temporal%2Fdefault%2Fx%20y%25", "..": "%2E%2E", ".": "%2E", "a/..": "a%2F..",
	} {
		c, got := serve(t, http.StatusOK, `{"budgets":[{"scope":"run","cap_usd":"2.00"}]}`)
		limit := 2 * money.Dollar
		budgets, err := c.SetCap(t.Context(), "run", name, client.CapChange{RunUSDCap: &limit, Tenant: "acme", By: "me", Reason: "r"})
		require.NoError(t, err)
		require.Equal(t, limit, budgets[0].CapUSD)
		r := <-got
		require.Equal(t, "PUT /vault/budgets/run/"+want, r.line)
		require.JSONEq(t, `{"run_usd_cap":"2.00","tenant":"acme","by":"me","reason":"r"}`, r.body)
	}
}

func TestResolve_SendsWhatThePersonFoundOut(t *testing.T) {
	t.Parallel()
	c, got := serve(t, http.StatusOK, `{"call_id":"call_1","state":"settled","settled_usd":"1.00"}`)
	amount := money.Dollar
	row, err := c.Resolve(t.Context(), "call_1", client.ResolveRequest{
		Outcome: "settled", AmountUSD: &amount, ObjectID: "pi_1", By: "me", Reason: "looked",
	})
	require.NoError(t, err)
	require.Equal(t, money.Dollar, row.SettledUSD)
	r := <-got
	require.Equal(t, "POST /vault/calls/call_1/resolve", r.line)
	require.JSONEq(t, `{"outcome":"settled","amount_usd":"1.00","object_id":"pi_1","by":"me","reason":"looked"}`, r.body)
}

func TestIssueRequest_ReadsCapsAsNumbersAndAsText(t *testing.T) {
	t.Parallel()
	var req client.IssueRequest
	require.NoError(t, json.Unmarshal([]byte(`{"daily_usd_cap":500,"total_usd_cap":"499.99","per_call_usd_cap":0.01}`), &req))
	require.Equal(t, 500*money.Dollar, *req.DailyUSDCap)
	require.Equal(t, 499*money.Dollar+99*money.Cent, *req.TotalUSDCap)
	require.Equal(t, money.Cent, *req.PerCallUSDCap)
	require.Nil(t, req.RunUSDCap)
}

func TestClient_ReturnsWhatTheProxyAnswered(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, http.StatusOK, `{"runs":[{"agent_run_label":"r","budget":{"cap_usd":"5.00"}}],"keys":[{"key_id":"k1"}],"calls":[{"call_id":"c1"}],"rows":[{"seq":3}],"next_cursor":"3","key_ids":["k1"]}`)
	report, err := c.RunReport(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, 5*money.Dollar, report.Budget.CapUSD)
	keys, err := c.Keys(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "k1", keys[0].KeyID)
	calls, err := c.Calls(t.Context(), client.CallQuery{})
	require.NoError(t, err)
	require.Equal(t, "c1", calls.Calls[0].CallID)
	require.Equal(t, "3", calls.NextCursor)
	rows, err := c.Audit(t.Context(), client.AuditQuery{})
	require.NoError(t, err)
	require.EqualValues(t, 3, rows.Rows[0].Seq)
	revoked, err := c.Revoke(t.Context(), "k1")
	require.NoError(t, err)
	require.Equal(t, []string{"k1"}, revoked.KeyIDs)
}

func TestRunReport_IsOfOneRunOnly(t *testing.T) {
	t.Parallel()
	c, got := serve(t, http.StatusOK, `{"runs":[{"agent_run_label":"somebody else's"}]}`)
	_, err := c.RunReport(t.Context(), "")
	require.EqualError(t, err, "a run report needs a run label")
	require.Empty(t, got, "without a label the proxy tells of all runs")

	for body, code := range map[string]string{
		`{"runs":[]}`: "run_not_found", `{}`: "run_not_found",
		`{"runs":[{"tenant":"a"},{"tenant":"b"}]}`: "run_ambiguous",
	} {
		c, _ := serve(t, http.StatusOK, body)
		_, err := c.RunReport(t.Context(), "run")
		var e *client.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, code, e.Code)
	}
}

func TestError_TellsCodeMessageAndWhenToTryAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status     int
		body       string
		retryAfter string
		want       client.Error
		text       string
		temporary  bool
	}{
		"a refusal":                  {409, `{"code":"run_revoked","message":"a new run needs a new label"}`, "", client.Error{Status: 409, Code: "run_revoked", Message: "a new run needs a new label"}, "vault proxy: run_revoked: a new run needs a new label", false},
		"a proxy without its ledger": {503, `{"code":"ledger_unavailable","message":"try again"}`, "3", client.Error{Status: 503, Code: "ledger_unavailable", Message: "try again", RetryAfter: 3 * time.Second}, "vault proxy: ledger_unavailable: try again", true},
		"too many calls":             {429, `{"code":"rate_limited","message":"slowly"}`, "1", client.Error{Status: 429, Code: "rate_limited", Message: "slowly", RetryAfter: time.Second}, "vault proxy: rate_limited: slowly", true},
		"a wrong admin key":          {401, `{"code":"admin_key_invalid","message":"no"}`, "", client.Error{Status: 401, Code: "admin_key_invalid", Message: "no"}, "vault proxy: admin_key_invalid: no", false},
		"a gateway's page":           {502, `<html>secret</html>`, "", client.Error{Status: 502}, "vault proxy: HTTP 502", true},
		"a gateway's JSON":           {500, `{"code":500,"message":"secret"}`, "", client.Error{Status: 500}, "vault proxy: HTTP 500", true},
		"a gateway's JSON with text": {500, `{"code":"Internal Error","message":"secret"}`, "", client.Error{Status: 500}, "vault proxy: HTTP 500", true},
		"a gateway's message alone":  {404, `{"message":"secret"}`, "", client.Error{Status: 404}, "vault proxy: HTTP 404", false},
		"a list":                     {400, `[]`, "", client.Error{Status: 400}, "vault proxy: HTTP 400", false},
		"nothing":                    {500, ``, "", client.Error{Status: 500}, "vault proxy: HTTP 500", true},
		"a date to try again at":     {503, ``, "Mon, 23 Nov 2026 12:00:00 GMT", client.Error{Status: 503}, "vault proxy: HTTP 503", true},
		"a time that has passed":     {503, ``, "-5", client.Error{Status: 503}, "vault proxy: HTTP 503", true},
		"a redirect":                 {302, ``, "", client.Error{Status: 302}, "vault proxy: HTTP 302", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, test.status, test.body, "Retry-After", test.retryAfter)
			_, err := c.Key(t.Context(), "k1")
			var e *client.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, test.want, *e)
			require.Equal(t, test.text, e.Error())
			require.Equal(t, test.temporary, e.Temporary())
		})
	}
}

func TestError_BoundsTheMessage(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, http.StatusBadRequest, `{"code":"request_invalid","message":"`+strings.Repeat("é", 5000)+`"}`)
	_, err := c.Key(t.Context(), "k1")
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "request_invalid", e.Code)
	require.Equal(t, strings.Repeat("é", 500), e.Message)
}

func TestClient_FollowsNoRedirectWithTheAdminKey(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Authorization") }))
	t.Cleanup(elsewhere.Close)
	c, got := serve(t, http.StatusTemporaryRedirect, "", "Location", elsewhere.URL)
	_, err := c.Issue(t.Context(), client.IssueRequest{}, "")
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusTemporaryRedirect, e.Status)
	require.Len(t, got, 1)
	require.Empty(t, asked)
}

func TestClient_RefusesAnswersThatItCannotUse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"a page":            {"<html>", "decode the vault proxy's answer"},
		"a wrong type":      {`{"key_id":5}`, "decode the vault proxy's answer"},
		"half an answer":    {`{"key_id":`, "decode the vault proxy's answer"},
		"more than a page":  {`{"key_id":"` + strings.Repeat("x", 16<<20) + `"}`, "too large"},
		"a fractional cent": {`{"budgets":[{"cap_usd":"0.0000001"}]}`, "decode the vault proxy's answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, http.StatusOK, test.body)
			_, err := c.Key(t.Context(), "k1")
			require.ErrorContains(t, err, test.want)
			require.Less(t, len(err.Error()), 300)
		})
	}
}

func TestClient_TellsWhichProxyItCannotReach(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, err := connect(t, gone.URL+"/").Key(t.Context(), "k1")
	require.ErrorContains(t, err, "reach the vault proxy at "+gone.URL+": ")
	require.NotContains(t, err.Error(), adminKey)
}

func TestClient_StopsWithItsContextAndItsTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := connect(t, server.URL).Key(ctx, "k1")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	c, err := client.New(client.Config{BaseURL: server.URL, AdminKey: adminKey, HTTPClient: &http.Client{Timeout: 20 * time.Millisecond}})
	require.NoError(t, err)
	_, err = c.Key(t.Context(), "k1")
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}

func TestClient_TellsThatAnAnswerBrokeOff(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = fmt.Fprint(w, `{"key_id":"k1"}`)
	}))
	t.Cleanup(server.Close)
	_, err := connect(t, server.URL).Key(t.Context(), "k1")
	require.ErrorContains(t, err, "read the vault proxy's answer")
}
