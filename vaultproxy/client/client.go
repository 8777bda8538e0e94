// Package client speaks to the control plane of a vault proxy: it issues,
// reads and revokes vault keys and reads what the ledger knows of a run.
//
// Its types are the control plane's wire format; the proxy's handlers use the
// same ones. The data plane needs no client of ours: it is spoken to with the
// vendors' own SDKs, with the vault key in place of the vendor's secret.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of one control-plane answer, in bytes.
const maxAnswer = 16 << 20

// maxMessage bounds the proxy's messages, in bytes: error texts end up in logs
// and in workflow histories.
const maxMessage = 1000

// Config says where the control plane is and who is asking.
type Config struct {
	BaseURL    string       // such as http://127.0.0.1:8787; required
	AdminKey   string       // bearer token of the control plane; required
	HTTPClient *http.Client // nil: a client with a 30 s timeout that follows no redirect
}

// Client calls the control plane. It is safe for concurrent use.
type Client struct {
	base     string
	adminKey string
	http     *http.Client
}

// New checks the configuration; it does not call the proxy.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.BaseURL)
	plain := err == nil && u.User == nil && u.RawQuery == "" && u.Fragment == ""
	if !plain || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the vault proxy's control URL must look like http://127.0.0.1:8787")
	}
	if cfg.AdminKey == "" {
		return nil, errors.New("the vault proxy's admin key is empty: set TOLLGATE_ADMIN_KEY or name its file")
	}
	hc := cfg.HTTPClient
	if hc == nil {
		// The control plane sends nobody elsewhere: who follows would take the admin key along.
		hc = &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Client{base: strings.TrimRight(cfg.BaseURL, "/"), adminKey: cfg.AdminKey, http: hc}, nil
}

// Error is an answer of the control plane that is not a success.
type Error struct {
	Status     int           // HTTP status
	Code       string        // such as run_revoked; empty if the answer was not the proxy's
	Message    string        // one line that says what to do
	RetryAfter time.Duration // zero if the proxy named none
}

func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("vault proxy: HTTP %d", e.Status)
	}
	return fmt.Sprintf("vault proxy: %s: %s", e.Code, e.Message)
}

// Temporary reports whether the same call may succeed later.
func (e *Error) Temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status >= 500
}

// Issue returns the vault key of an issue identity: idempotencyKey, or if that is
// empty the run label, vendor and phase. Asking again with the same policy
// returns the same key; with another policy it fails with 409 policy_conflict,
// after a revocation with 409 run_revoked.
func (c *Client) Issue(ctx context.Context, req IssueRequest, idempotencyKey string) (IssuedKey, error) {
	var out IssuedKey
	header := http.Header{}
	if idempotencyKey != "" {
		header.Set("Idempotency-Key", idempotencyKey)
	}
	err := c.do(ctx, http.MethodPost, "/vault/keys", nil, header, req, &out)
	return out, err
}

// Key returns the policy, state and use of one key. 404 not_found if there is none.
func (c *Client) Key(ctx context.Context, keyID string) (Key, error) {
	var out Key
	err := c.do(ctx, http.MethodGet, "/vault/keys/"+url.PathEscape(keyID), nil, nil, nil, &out)
	return out, err
}

// Keys lists keys, newest first; run narrows it to one run label if not empty.
func (c *Client) Keys(ctx context.Context, run string) ([]Key, error) {
	var out KeyList
	err := c.do(ctx, http.MethodGet, "/vault/keys", query("agent_run_label", run), nil, nil, &out)
	return out.Keys, err
}

// Revoke revokes one key; it is idempotent. 404 not_found if there is none.
func (c *Client) Revoke(ctx context.Context, keyID string) (Revocation, error) {
	var out Revocation
	err := c.do(ctx, http.MethodDelete, "/vault/keys/"+url.PathEscape(keyID), nil, nil, nil, &out)
	return out, err
}

// RevokeRun revokes every key of a run and closes the run: no further key is
// issued under it. An empty tenant is the one that has no name, and not all of
// them. 404 not_found if the tenant never used the label.
func (c *Client) RevokeRun(ctx context.Context, run, tenant string) (Revocation, error) {
	var out Revocation
	err := c.do(ctx, http.MethodDelete, "/vault/keys", query("agent_run_label", run, "tenant", tenant), nil, nil, &out)
	return out, err
}

// RevokeTenant revokes every live key of a tenant. Its runs stay open: keys of
// other identities may be issued under them. 404 not_found if it never had a key.
func (c *Client) RevokeTenant(ctx context.Context, tenant string) (Revocation, error) {
	var out Revocation
	err := c.do(ctx, http.MethodDelete, "/vault/keys", query("tenant", tenant), nil, nil, &out)
	return out, err
}

// Budgets lists budgets of runs and tenants, the newest first.
func (c *Client) Budgets(ctx context.Context, q BudgetQuery) ([]Budget, error) {
	v := query("scope", q.Scope, "name", q.Name, "tenant", q.Tenant)
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out BudgetList
	err := c.do(ctx, http.MethodGet, "/vault/budgets", v, nil, nil, &out)
	return out.Budgets, err
}

// SetCap sets caps of a run or tenant and returns the budgets as they stand then.
// It takes effect for every reservation that comes. 404 not_found if there is no
// such run; a tenant need not have a key yet.
func (c *Client) SetCap(ctx context.Context, scope, name string, change CapChange) ([]Budget, error) {
	var out BudgetList
	err := c.do(ctx, http.MethodPut, "/vault/budgets/"+segment(scope)+"/"+segment(name), nil, nil, change, &out)
	return out.Budgets, err
}

// segment is a name as one segment of a path. One of dots alone would be taken
// for a way upwards.
func segment(name string) string {
	if strings.Trim(name, ".") == "" {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// RunReport sums up one run: its budget, and its calls by outcome. 404 run_not_found
// if the label was never used, 409 run_ambiguous if several tenants use it.
func (c *Client) RunReport(ctx context.Context, run string) (RunReport, error) {
	if run == "" {
		return RunReport{}, errors.New("a run report needs a run label") // without one the proxy tells of all runs
	}
	var out RunReportList
	if err := c.do(ctx, http.MethodGet, "/vault/reports/runs", query("agent_run_label", run), nil, nil, &out); err != nil {
		return RunReport{}, err
	}
	switch len(out.Runs) {
	case 0:
		return RunReport{}, &Error{Status: http.StatusNotFound, Code: "run_not_found", Message: "no key was ever issued for this run label"}
	case 1:
		return out.Runs[0], nil
	}
	return RunReport{}, &Error{Status: http.StatusConflict, Code: "run_ambiguous", Message: "several tenants have a run of this label"}
}

// Calls returns one page of the ledger's calls, oldest first.
func (c *Client) Calls(ctx context.Context, q CallQuery) (CallPage, error) {
	v := query("agent_run_label", q.Run, "state", q.State, "idempotency_key", q.IdempotencyKey, "cursor", q.Cursor)
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out CallPage
	err := c.do(ctx, http.MethodGet, "/vault/calls", v, nil, nil, &out)
	return out, err
}

// Resolve books what a person found out about an unknown or committed call, once.
// 404 not_found, 409 already_resolved if it is final, 409 call_in_flight if it is
// on its way, being proved, or may still arrive at the vendor, 409 object_taken.
func (c *Client) Resolve(ctx context.Context, callID string, req ResolveRequest) (Call, error) {
	var out Call
	err := c.do(ctx, http.MethodPost, "/vault/calls/"+url.PathEscape(callID)+"/resolve", nil, nil, req, &out)
	return out, err
}

// Audit returns one page of the audit log, oldest first.
func (c *Client) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	v := query("agent_run_label", q.Run, "key_id", q.KeyID, "vendor", q.Vendor, "verdict", q.Verdict, "cursor", q.Cursor)
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if !q.Until.IsZero() {
		v.Set("until", q.Until.UTC().Format(time.RFC3339Nano))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out AuditPage
	err := c.do(ctx, http.MethodGet, "/vault/audit", v, nil, nil, &out)
	return out, err
}

// Ready reports whether the proxy can take calls.
func (c *Client) Ready(ctx context.Context) error {
	return c.do(ctx, http.MethodGet, "/readyz", nil, nil, nil, nil)
}

// LedgerID is the ID of the ledger that the proxy keeps: it stands inside every
// vault key that it issues.
func (c *Client) LedgerID(ctx context.Context) (string, error) {
	var out struct {
		Ledger string `json:"ledger"`
	}
	err := c.do(ctx, http.MethodGet, "/readyz", nil, nil, nil, &out)
	return out.Ledger, err
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values, header http.Header, in, out any) error {
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Authorization", "Bearer "+c.adminKey)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("reach the vault proxy at %s: %w", c.base, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the vault proxy's answer: %w", err)
	}
	if len(answer) > maxAnswer {
		return errors.New("read the vault proxy's answer: it is too large; ask for a smaller page")
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return answerError(res, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode the vault proxy's answer: %w", err)
	}
	return nil
}

func answerError(res *http.Response, answer []byte) error {
	var body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	e := &Error{Status: res.StatusCode}
	// An answer that is not ours (a gateway's page, say) must not end up in an error text.
	if json.Unmarshal(answer, &body) == nil && isCode(body.Code) {
		e.Code, e.Message = body.Code, strings.ToValidUTF8(body.Message[:min(len(body.Message), maxMessage)], "")
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// isCode tells the proxy's codes from what a gateway may write in the same place.
func isCode(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

func query(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}
