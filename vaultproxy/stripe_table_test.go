package vaultproxy_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

const hour = time.Hour

// stripeStand is a bundle with one key that may do everything.
type stripeStand struct {
	*testBundle
	pays  tender
	key   client.IssuedKey
	calls int
	lose  *atomic.Bool // the answer to the next write
}

// documentedOperations reads the operations of docs/stripe.md, with their paths.
func documentedOperations(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/stripe.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(text), "\n## Operations\n")
	operations := map[string]string{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && strings.HasPrefix(strings.TrimSpace(cells[2]), "`POST ") {
			operations[strings.Trim(cells[1], " `")] = strings.TrimPrefix(strings.Trim(cells[2], " `"), "POST ")
		}
	}
	return operations
}

func setupStand(t *testing.T, limit money.USD) *stripeStand {
	t.Helper()
	return setupStandIn(t, dollars, limit)
}

// setupStandIn has its calls pay in a currency.
func setupStandIn(t *testing.T, in tender, limit money.USD) *stripeStand {
	t.Helper()
	s := &stripeStand{pays: in, lose: &atomic.Bool{}}
	s.testBundle = setup(t, setupOptions{rates: yenAndDinar(t), upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ours := r.Header.Get("User-Agent") == "tollgate" && r.Method == http.MethodPost
			if ours && s.lose.CompareAndSwap(true, false) {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}})
	s.key = s.issue(limit, func(r *client.IssueRequest) {
		r.AllowedEndpoints = nil
		for _, path := range documentedOperations(t) {
			r.AllowedEndpoints = append(r.AllowedEndpoints, "POST "+path)
		}
		r.ExpiresIn = "700h"
		r.Scope = client.Scope{ConnectedAccounts: []string{"acct_1"}}
	})
	return s
}

func (s *stripeStand) next() string {
	s.calls++
	return fmt.Sprint("key-", s.calls)
}

// send makes a call, whose body is written as rows are.
func (s *stripeStand) send(path, key, body string) httpAnswer {
	s.t.Helper()
	return s.post(s.key.VaultKey, "/stripe"+path, key, s.pays.written(s.t, body))
}

// behindItsBack does so at the vendor without the proxy.
func (s *stripeStand) behindItsBack(path, body string) string {
	s.t.Helper()
	return s.testBundle.behindItsBack(path, s.pays.written(s.t, body))
}

// requireBudget takes amounts of a row.
func (s *stripeStand) requireBudget(committed, settled money.USD) {
	s.t.Helper()
	s.testBundle.requireBudget(s.pays.price(committed), s.pays.price(settled))
}

// ok makes a call that succeeds, and returns the ID of what it answers with.
func (s *stripeStand) ok(path, body string) string {
	s.t.Helper()
	got := s.send(path, s.next(), body)
	require.Equal(s.t, http.StatusOK, got.status, got.raw)
	return got.text("id")
}

// fails makes a call that the vendor refuses.
func (s *stripeStand) fails(path, body string, status int) {
	s.t.Helper()
	got := s.send(path, s.next(), body)
	require.Equal(s.t, status, got.status, got.raw)
	require.Empty(s.t, got.header.Get("Tollgate-Denied"), "the refusal is the vendor's")
}

// withID puts an object's ID into a path or body.
func withID(text, id string) string { return strings.Replace(text, "{id}", id, 1) }

// fieldOf reads a member of an object in a list of the vendor's.
func (s *stripeStand) fieldOf(list, id, name string) string {
	s.t.Helper()
	got, err := s.do(http.MethodGet, s.vendor.URL+list+"?limit=100", "", "Authorization", "Bearer sk_test_somebody_else")
	require.NoError(s.t, err)
	objects, _ := got.body["data"].([]any)
	for _, one := range objects {
		if object, _ := one.(map[string]any); object["id"] == id {
			text, _ := object[name].(string)
			return text
		}
	}
	require.Fail(s.t, "it is not listed", id)
	return ""
}

func stripeRows() map[string]stripeRow {
	all := paymentRows()
	for _, more := range []map[string]stripeRow{balanceRows(), invoiceRows(), recordRows()} {
		maps.Copy(all, more)
	}
	return all
}

func TestStripe_EveryDocumentedOperationIsTested(t *testing.T) {
	t.Parallel()
	require.Equal(t, slices.Sorted(maps.Keys(documentedOperations(t))), slices.Sorted(maps.Keys(stripeRows())))
}

func TestStripe_EveryOperationHoldsAndSettlesToTheMinorUnit(t *testing.T) {
	t.Parallel()
	inTenders(t, stripeRows(), func(t *testing.T, name string, r stripeRow, in tender) {
		t.Helper()
		s := setupStandIn(t, in, in.price(100*dollar))
		path, body := r.call(s)
		key := s.next()
		got := s.send(path, key, body)
		require.Equal(t, http.StatusOK, got.status, got.raw)
		s.requireBudget(r.held, r.settled)
		require.Equal(t, r.free, r.held+r.settled == 0)

		call := s.call(key)
		require.Equal(t, name, call.Operation)
		require.Equal(t, map[bool]string{true: "committed", false: "settled"}[r.held > 0], call.State)
		page, err := s.control.Audit(t.Context(), client.AuditQuery{Run: s.run()})
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(page.Rows, func(row client.AuditRow) bool {
			return row.CallID == call.CallID && row.Verdict == call.State
		}), "a verdict in the audit log")

		posts := s.sim.Truth().Posts
		again := s.send(path, key, body)
		require.Equal(t, got.raw, again.raw)
		require.Equal(t, "true", again.header.Get("Tollgate-Replayed"))
		require.Equal(t, posts, s.sim.Truth().Posts, "a repeat is not sent")

		r.settle(s, path, got.text("id"))
		s.requireBudget(0, r.paid)
	})
}

func TestStripe_EveryOperationReleasesToTheMinorUnit(t *testing.T) {
	t.Parallel()
	inTenders(t, stripeRows(), func(t *testing.T, _ string, r stripeRow, in tender) {
		t.Helper()
		s := setupStandIn(t, in, in.price(100*dollar))
		path, body := r.call(s)
		r.release(s, path, s.ok(path, body))
		s.requireBudget(0, r.kept)
	})
}

// leavesNoTrace reports whether nothing at the vendor tells that a call was made,
// so that it is sent again under the vendor's same key.
func leavesNoTrace(name string, r stripeRow) bool {
	_, verb, _ := strings.Cut(name, ".")
	return r.free && (slices.Contains([]string{"update", "confirm", "attach", "detach"}, verb) || name == "setup_intents.cancel")
}

func TestStripe_EveryOperationWhoseAnswerIsLostIsProvedAndDoneOnce(t *testing.T) {
	t.Parallel()
	for by, prove := range map[string]func(s *stripeStand, r stripeRow, path, key, body string){
		"by its caller": func(s *stripeStand, r stripeRow, path, key, body string) {
			got := s.send(path, key, body)
			require.Equal(s.t, http.StatusOK, got.status, got.raw)
			s.requireBudget(r.held, r.settled)
		},
		"by the reconciler": func(s *stripeStand, _ stripeRow, _, _, _ string) { s.reconcile() },
	} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			inTenders(t, stripeRows(), func(t *testing.T, name string, r stripeRow, in tender) {
				t.Helper()
				s := setupStandIn(t, in, in.price(100*dollar))
				path, body := r.call(s)
				key := s.next()
				s.lose.Store(true)
				require.Equal(t, "outcome_unknown", s.send(path, key, body).code())
				require.GreaterOrEqual(t, s.report().Budget.UnknownUSD, in.price(r.held+r.settled), "held while it is unknown")
				prove(s, r, path, key, body)

				require.Equal(t, map[bool]int{true: 1}[leavesNoTrace(name, r)], s.sim.Truth().Replays, "sent again only if it left no trace")
				require.Equal(t, name, s.call(key).Operation)
				budget := s.report().Budget
				require.Zero(t, budget.UnknownUSD)
				require.Equal(t, in.price(r.held+r.settled), budget.CommittedUSD+budget.SettledUSD)
			})
		})
	}
}

func TestStripe_NoOperationIsSentThatDoesNotFitItsCap(t *testing.T) {
	t.Parallel()
	rows := stripeRows()
	maps.DeleteFunc(rows, func(_ string, r stripeRow) bool { return r.free || r.onlyHoldsNothing })
	inTenders(t, rows, func(t *testing.T, _ string, r stripeRow, in tender) {
		t.Helper()
		s := setupStandIn(t, in, in.price(r.held+r.settled)-money.Micro)
		path, body := r.call(s)
		posts := s.sim.Truth().Posts
		got := s.send(path, s.next(), body)
		require.Equal(t, "cap_exhausted", got.code(), got.raw)
		require.Equal(t, posts, s.sim.Truth().Posts)
	})
}
