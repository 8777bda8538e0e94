package vaultproxy_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// scrape reads the metrics as a monitor does: by name with labels.
func (b *testBundle) scrape() (byName map[string]string, text string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), forAsLongAsItTakes)
	defer cancel()
	got, err := roundTrip(ctx, b.front.Client(), http.MethodGet, b.front.URL+"/metrics", "")
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusOK, got.status, got.raw)
	byName = map[string]string{}
	for line := range strings.Lines(got.raw) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
			byName[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			byName[name] = value
		}
	}
	return byName, got.raw
}

func (b *testBundle) requireMetrics(want map[string]string) {
	b.t.Helper()
	got, text := b.scrape()
	for name, value := range want {
		require.Equal(b.t, value, got[name], "%s in\n%s", name, text)
	}
}

func TestMetrics_CountCallsByWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(2 * money.Dollar)
	for range 3 { // one call and two replays
		require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	}
	require.Equal(t, http.StatusPaymentRequired, b.post(key.VaultKey, intents, "item-2", refusedCharge()).status)
	require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "item-3", strings.Replace(charge, "amount=100", "amount=900", 1)).code())
	require.Equal(t, "key_unknown", b.post("vault_key_no", intents, "item-4", charge).code())
	b.inDoubt(key, "item-5", vendorsim.AnswerLost)
	b.requireMetrics(map[string]string{
		`tollgate_calls_total{code="succeeded",vendor="stripe",verdict="settled"}`:              "1",
		`tollgate_calls_total{code="succeeded",vendor="stripe",verdict="replayed"}`:             "2",
		`tollgate_calls_total{code="card_declined",vendor="stripe",verdict="released"}`:         "1",
		`tollgate_calls_total{code="cap_exhausted",vendor="stripe",verdict="denied"}`:           "1",
		`tollgate_calls_total{code="key_unknown",vendor="",verdict="denied"}`:                   "1",
		`tollgate_calls_total{code="answer_lost",vendor="stripe",verdict="unknown"}`:            "1",
		`tollgate_call_duration_seconds_count{vendor="stripe",verdict="settled"}`:               "1",
		`tollgate_upstream_duration_seconds_count{method="POST",status="2xx",vendor="stripe"}`:  "1",
		`tollgate_upstream_duration_seconds_count{method="POST",status="4xx",vendor="stripe"}`:  "1",
		`tollgate_upstream_duration_seconds_count{method="POST",status="none",vendor="stripe"}`: "1",
	})
}

func TestMetrics_TellWhatIsOpen(t *testing.T) {
	t.Parallel()
	b, vendor := setupWaiting(t, forAsLongAsItTakes)
	key := b.issue(10 * money.Dollar)
	b.sim.NextFaults(vendorsim.ClosedAfterRead)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, charges, "item-1", "amount=100&currency=usd&source=tok_visa").code())
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, charges, "item-2", "amount=100&currency=usd&source=tok_visa&capture=false").status)
	first := b.inBackground(key.VaultKey, intents, "item-3", strings.Replace(charge, "amount=100", "amount=800", 1))
	<-vendor.arrived
	second := b.inBackground(key.VaultKey, intents, "item-4", charge)
	b.untilWaiting(1)
	b.clock.advance(time.Minute + 2*time.Second)
	b.requireMetrics(map[string]string{
		`tollgate_calls_open{state="unknown"}`:   "1",
		`tollgate_calls_open{state="committed"}`: "1",
		`tollgate_calls_open{state="in_flight"}`: "1",
		`tollgate_proof_overdue_seconds`:         "60",
		`tollgate_reservations_waiting`:          "1",
		`tollgate_commits_queued`:                "0",
		`tollgate_ledger_up`:                     "1",
		`tollgate_reconciler_leader`:             "0",
	})
	vendor.release()
	require.Equal(t, http.StatusOK, (<-first).status)
	require.Equal(t, "cap_exhausted", (<-second).code())
	b.reconcile()
	b.requireMetrics(map[string]string{
		`tollgate_calls_open{state="unknown"}`:           "0",
		`tollgate_calls_open{state="in_flight"}`:         "0",
		`tollgate_proof_overdue_seconds`:                 "0",
		`tollgate_reservations_waiting`:                  "0",
		`tollgate_reconciler_leader`:                     "1",
		`tollgate_reconciler_rounds_total{result="led"}`: "1",
	})
}

func TestMetrics_CountOverruns(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	row := b.inDoubt(key, "item-1", vendorsim.AnswerLost)
	require.Equal(t, http.StatusOK, b.resolve(row.CallID, strings.Replace(bySettling, "1.00", "1.50", 1)).status)
	b.requireMetrics(map[string]string{`tollgate_overruns_total{vendor="stripe"}`: "1"})
}

func TestMetrics_HoldNothingOfACallerNorOfAVendorsOwnWords(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{upstream: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusPaymentRequired)
			_, _ = w.Write([]byte(`{"error":{"type":"card_error","code":"a_word_of_the_vendors","message":"no"}}`))
		})
	}})
	key := b.issue(money.Dollar, func(r *client.IssueRequest) { r.Tenant, r.AgentName = "the-tenant", "the-agent" })
	got := b.post(key.VaultKey, intents, "the-idempotency-key", charge, "Tollgate-Item", "the-item", "Tollgate-Workflow-Id", "the-workflow")
	require.Equal(t, http.StatusPaymentRequired, got.status)
	_, text := b.scrape()
	require.Contains(t, text, `code="other",vendor="stripe",verdict="released"`)
	for _, word := range []string{
		"a_word_of", "the-", b.run(), key.KeyID, b.call("the-idempotency-key").CallID, "cus_1", vendorSecret, adminKey, "vault_key",
	} {
		require.NotContains(t, text, word)
	}
}

// hangingStore never says what is open.
type hangingStore struct{ ledger.Store }

func (hangingStore) Backlog(ctx context.Context) (ledger.Backlog, error) {
	<-ctx.Done()
	return ledger.Backlog{}, ctx.Err()
}

func TestMetrics_AreThereWhenTheLedgerIsNot(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{store: func(next ledger.Store) ledger.Store { return hangingStore{next} }})
	key := b.issue(money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	got, _ := b.scrape()
	require.Equal(t, "0", got["tollgate_ledger_up"])
	require.NotContains(t, got, `tollgate_calls_open{state="unknown"}`, "no number is better than a wrong one")
	require.Equal(t, "1", got[`tollgate_calls_total{code="succeeded",vendor="stripe",verdict="settled"}`])
}

func TestMetrics_BelongToTheControlPlane(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	data, control := serveQuietly(b.proxy.Data()), serveQuietly(b.proxy.Control())
	t.Cleanup(data.Close)
	t.Cleanup(control.Close)
	got, err := b.do(http.MethodGet, data.URL+"/metrics", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, got.status)
	got, err = b.do(http.MethodGet, control.URL+"/metrics", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.raw, "tollgate_ledger_up 1")
}
