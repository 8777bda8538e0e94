package vaultproxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/framing"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

const (
	// minAdminKey keeps a guessable admin key from being used.
	minAdminKey = 16
	// maxControlBody bounds a control-plane request, in bytes.
	maxControlBody = 64 << 10
)

// Control returns the control plane: keys, budgets, calls, audit, reports, health
// and metrics. Everything but the last two wants the admin key.
func (p *Proxy) Control() http.Handler {
	mux := http.NewServeMux()
	admin := func(pattern string, h func(*http.Request) reply) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer := p.adminOnly(r, h)
			answer.set("Cache-Control", "no-store")
			answer.write(w)
		})
	}
	admin("POST /vault/keys", p.issueKey)
	admin("GET /vault/keys", p.listKeys)
	admin("GET /vault/keys/{key_id}", p.showKey)
	admin("DELETE /vault/keys/{key_id}", p.revokeKey)
	admin("DELETE /vault/keys", p.revokeMany)
	admin("GET /vault/budgets", p.listBudgets)
	// Run labels have slashes in them: the name is the rest of the path.
	admin("PUT /vault/budgets/{scope}/{name...}", p.setBudget)
	admin("GET /vault/audit", p.showAudit)
	admin("GET /vault/calls", p.listCalls)
	admin("POST /vault/calls/{call_id}/resolve", p.resolveCall)
	admin("GET /vault/reports/runs", p.reportRuns)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer := jsonReply(http.StatusOK, map[string]string{"status": "ok"})
		answer.write(w)
	})
	mux.HandleFunc("GET /readyz", p.ready)
	mux.Handle("GET /metrics", p.metrics.handler)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer := fail(http.StatusNotFound, "not_found", "the control plane has no such path or method; see /vault/keys")
		answer.write(w)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if flaw := framing.Flaw(r.Context()); flaw != "" {
			answer := fail(http.StatusBadRequest, string(RequestInvalid), "it is not certain where this request ends: "+flaw)
			answer.write(w)
			return
		}
		if !isClean(r.URL.EscapedPath()) {
			// The mux would redirect, and a caller that follows sends its key and its body along.
			answer := fail(http.StatusNotFound, "not_found", "the path has empty or dotted segments; percent-encode what is part of a name")
			answer.write(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isClean reports whether a path stays as it is when it is tidied up.
func isClean(raw string) bool { return raw == "/" || path.Clean(raw) == strings.TrimSuffix(raw, "/") }

// Combined serves both planes on one listener: /vault/, /healthz, /readyz and
// /metrics are the control plane, everything else is a vendor.
func (p *Proxy) Combined() http.Handler {
	control, data := p.Control(), p.Data()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch at := r.URL.Path; {
		case at == "/healthz", at == "/readyz", at == "/metrics", at == "/vault", strings.HasPrefix(at, "/vault/"):
			control.ServeHTTP(w, r)
		default:
			data.ServeHTTP(w, r)
		}
	})
}

func (p *Proxy) adminOnly(r *http.Request, h func(*http.Request) reply) reply {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], p.adminHash[:]) != 1 {
		return fail(http.StatusUnauthorized, "admin_key_invalid",
			"the control plane wants the proxy's admin key as the bearer; a vault key does not open it")
	}
	return h(r)
}

// ready reports whether the ledger answers.
func (p *Proxy) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	answer := jsonReply(http.StatusOK, map[string]string{"status": "ready", "ledger": p.store.LedgerID()})
	if _, err := p.store.Due(ctx, 1); err != nil {
		answer = fail(http.StatusServiceUnavailable, string(LedgerUnavailable), "the ledger does not answer")
	}
	select {
	case <-p.draining:
		answer = fail(http.StatusServiceUnavailable, string(Overloaded), "shutting down")
	default:
	}
	answer.write(w)
}

func fail(status int, code, message string) reply {
	return jsonReply(status, map[string]string{"code": code, "message": message})
}

// failed maps a store's error to an answer.
func (p *Proxy) failed(err error) reply {
	switch {
	case errors.Is(err, ledger.ErrPolicyConflict):
		return fail(http.StatusConflict, "policy_conflict",
			"a key was issued for this identity with another policy or other inputs, or the run's cap is fixed at another amount; ask with the same ones, or under another phase or label")
	case errors.Is(err, ledger.ErrRunRevoked):
		return fail(http.StatusConflict, "run_revoked", "the key of this identity was revoked; a new run needs a new label")
	case errors.Is(err, ledger.ErrRunClosed):
		return fail(http.StatusConflict, "run_closed", "this run was closed; a new run needs a new label")
	case errors.Is(err, ledger.ErrNotFound):
		return fail(http.StatusNotFound, "not_found", "the ledger has no such key, run, tenant or call")
	default:
		p.log.Error("control plane: ledger failed", "error", err)
		answer := fail(http.StatusServiceUnavailable, string(LedgerUnavailable), "the ledger cannot answer now; try again")
		answer.set("Retry-After", "1")
		return answer
	}
}

// decode reads a JSON object strictly: an unknown field is an error, since it
// may be a cap that was misspelt.
func decode(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxControlBody+1))
	if err != nil || len(body) > maxControlBody {
		return errors.New("the body is larger than 64 KiB or broke off")
	}
	if err := distinctNames(body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return errors.New("the body is not the JSON object that is wanted: " + err.Error())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// distinctNames refuses a name that is given twice, in whatever case: the reader
// would take the last cap or scope, and the writer may have meant the first.
func distinctNames(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, _ := dec.Token(); open != json.Delim('{') {
		return nil // no object: decoding it says so
	}
	seen := map[string]bool{}
	for dec.More() {
		token, _ := dec.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if !ok || dec.Decode(&value) != nil {
			return nil //nolint:nilerr // malformed: decoding it says so
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return fmt.Errorf("the field %.40q is given twice", name)
		}
		seen[folded] = true
		if err := distinctNames(value); err != nil {
			return err
		}
	}
	return nil
}

// asked holds a query to the parameters that a call knows: one that is misspelt
// would not narrow what it was meant to narrow.
func asked(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query is malformed")
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%.40q is not a parameter of this call; it takes %s", name, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("%s is given twice", name)
		}
	}
	return q, nil
}
