package e2e_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/workflows"
)

// A worker that comes back on another state folder has an empty ledger. Charges
// that were in flight when it was killed have been made, and the run ends there.
func TestRun_ThatEndsOnAnotherLedgerWaitsForItsOwn(t *testing.T) {
	t.Parallel() // it mostly waits for proof
	cfg := demoConfig(t, 1).Stack
	cfg.Faults, cfg.Latency = "none", 300*time.Millisecond // or no call might be in flight when it is killed
	s, err := stack.Start(t.Context(), cfg)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.StartWorker(t.Context()))
	id, err := workflows.BillingWorkflowID("pro", "2026-11")
	require.NoError(t, err)
	out, err := s.Starter(t.Context(), "run", "--plan", "pro", "--period", "2026-11", "--generate", "2000",
		"--budget-usd", "1000000").CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, waitForCharges(t.Context(), s, 150))
	require.NoError(t, s.KillWorker())

	require.NoError(t, s.StartWorkerOn(t.Context(), filepath.Join(t.TempDir(), "another")))
	out, err = s.TemporalCLI(t.Context(), "workflow", "cancel", "--workflow-id", id).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, waitForPending(t.Context(), s, id, "SpendReport", "WrongLedger"))
	require.NoError(t, s.KillWorker())

	require.NoError(t, s.StartWorker(t.Context()))
	_ = s.Starter(t.Context(), "status", id, "--wait").Run() // says by its exit code that the run was cancelled
	raw, err := s.Starter(t.Context(), "status", id, "--json").Output()
	require.NoError(t, err)
	var status struct {
		Summary *workflows.Summary `json:"summary"`
	}
	require.NoError(t, json.Unmarshal(raw, &status))
	require.NotNil(t, status.Summary, string(raw))
	truth, err := s.Truth(t.Context())
	require.NoError(t, err)
	require.Equal(t, truth.Charges, status.Summary.Charged, "nobody who was charged is reported as anything else")
	require.Zero(t, status.Summary.Unknown)
	require.True(t, status.Summary.KeyRevoked)
	require.True(t, status.Summary.LedgerRead)
	for customer, n := range truth.PerCustomer {
		require.Equal(t, 1, n, customer)
	}
}

// waitForPending returns once an activity of a workflow waits for its next
// attempt after such a failure.
func waitForPending(ctx context.Context, s *stack.Stack, workflowID, activity, failure string) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := s.TemporalCLI(ctx, "workflow", "describe", "--workflow-id", workflowID, "--output", "json").Output()
		if text := string(out); err == nil && strings.Contains(text, activity) && strings.Contains(text, failure) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
