package e2e_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/vendorsim"
	"github.com/tollgate/tollgate/workflows"
)

func TestNotices_GoOnWhereAKilledWorkerStood(t *testing.T) {
	t.Parallel() // it mostly waits for proof
	cfg := demoConfig(t, 400)
	cfg.Notices = true
	cfg.Stack.Latency = 50 * time.Millisecond // or all might be over before the worker is killed
	cfg.Stack.Proxy = filepath.Join(cfg.Stack.Bin, "vaultproxy")
	cfg.During = func(ctx context.Context, s *stack.Stack) error {
		if err := awaitTruth(ctx, s, func(t vendorsim.Truth) bool { return t.Emails >= 30 && t.Twilio.Texts >= 30 }); err != nil {
			return err
		}
		if err := s.KillWorker(); err != nil {
			return err
		}
		return s.StartWorker(ctx)
	}
	got, err := demo.Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Zero(t, got.Emails.Duplicates+got.Texts.Duplicates)
	require.Zero(t, got.Emails.NotAttempted+got.Texts.NotAttempted)
	require.Greater(t, got.Emails.Sent, 30)
}

func TestNotices_EndWithTheirKeysWhenTheRunIsCancelled(t *testing.T) {
	cfg := demoConfig(t, 400)
	// A page hears of its end by a heartbeat, and until then goes on at this pace.
	cfg.Stack.Faults, cfg.Stack.Latency = "none", 500*time.Millisecond
	s, err := stack.Start(t.Context(), cfg.Stack)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.StartWorker(t.Context()))
	list, budget, err := demo.WriteCustomers(t.Context(), cfg.Stack, cfg.Customers, 0)
	require.NoError(t, err)
	id, err := workflows.BillingWorkflowID(demo.Plan, demo.Period)
	require.NoError(t, err)
	run := s.Starter(t.Context(), "run", "--plan", demo.Plan, "--period", demo.Period, "--customers", list, "--budget-usd", budget.String(),
		"--receipts-from", "billing@"+stack.ResendFromDomain, "--receipts-budget-usd", "10")
	require.NoError(t, run.Run())
	require.NoError(t, awaitTruth(t.Context(), s, func(t vendorsim.Truth) bool { return t.Emails >= 20 }))
	require.NoError(t, whileHeld(s, func() error { return cancelHeard(t.Context(), s, id, workflows.NoticeWorkflowID(id, "receipts", 0)) }))
	_ = s.Starter(t.Context(), "status", id, "--wait").Run() // its exit code says that the run was cancelled

	found, wrong, err := demo.Check(t.Context(), s, budget)
	require.NoError(t, err)
	require.Equal(t, []string{}, append([]string{}, wrong...))
	require.Positive(t, found.Emails.NotAttempted, "it was cancelled in the middle")
	require.Equal(t, found.Emails.VendorSent, found.Emails.Sent)
	require.Zero(t, found.Emails.Duplicates)
}

// awaitTruth waits until the vendor has done what a test waits for.
func awaitTruth(ctx context.Context, s *stack.Stack, until func(vendorsim.Truth) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := s.Truth(ctx); err == nil && until(now) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
