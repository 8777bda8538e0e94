package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/workflows"
)

// starterExit runs the starter and returns its exit code and what it said.
func starterExit(ctx context.Context, s *stack.Stack, args ...string) (int, string) {
	out, err := s.Starter(ctx, args...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		return -1, err.Error()
	}
	return 0, string(out)
}

// awaitTemporal polls the Temporal CLI until its answer satisfies.
func awaitTemporal(t *testing.T, s *stack.Stack, satisfies func(out string) bool, args ...string) {
	t.Helper()
	deadline := time.After(10 * time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := s.TemporalCLI(t.Context(), args...).CombinedOutput()
		if err == nil && satisfies(string(out)) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(t, "it did not come to that", "%v: %s", args, out)
		}
	}
}

func TestSchedule_AMonthIsBilledOnceWhoeverAsksForIt(t *testing.T) {
	cfg := demoConfig(t, 1).Stack
	cfg.Faults = "none"
	s, err := stack.Start(t.Context(), cfg)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.StartWorker(t.Context()))
	list, _, err := demo.WriteCustomers(t.Context(), cfg, 40, 0)
	require.NoError(t, err)
	temporal := func(args ...string) {
		out, err := s.TemporalCLI(t.Context(), args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	scheduled := func(n int) {
		awaitTemporal(t, s, func(out string) bool {
			var count struct{ Count string }
			return json.Unmarshal([]byte(out), &count) == nil && count.Count == strconv.Itoa(n)
		}, "workflow", "count", "--query", "WorkflowType = 'ScheduledBilling' AND ExecutionStatus = 'Completed'", "-o", "json")
	}
	month := time.Now().UTC()
	period := workflows.ScheduledPeriod(month)
	byHand := []string{"run", "--plan", "pro", "--period", period, "--customers", list, "--budget-usd", "100000"}

	code, said := starterExit(t.Context(), s, "schedule", "create", "--plan", "pro", "--customers", list, "--budget-usd", "100000")
	require.Zero(t, code, said)
	code, said = starterExit(t.Context(), s, "schedule", "create", "--plan", "pro", "--customers", list, "--budget-usd", "5")
	require.Equal(t, 3, code, said)

	temporal("schedule", "trigger", "--schedule-id", "billing-pro")
	scheduled(1)
	code, said = starterExit(t.Context(), s, byHand...)
	require.Equal(t, 3, code, said)
	temporal("schedule", "trigger", "--schedule-id", "billing-pro")
	scheduled(2)
	first := time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
	temporal("schedule", "backfill", "--schedule-id", "billing-pro", "--overlap-policy", "BufferAll",
		"--start-time", first.Format(time.RFC3339), "--end-time", first.Add(24*time.Hour).Format(time.RFC3339))
	scheduled(3)
	charged := requireChargedTimes(t, s, 1)
	require.Greater(t, charged, 20)

	// Another month is another charge, and its run is told from this one's.
	before := first.AddDate(0, -1, 0)
	temporal("schedule", "backfill", "--schedule-id", "billing-pro", "--overlap-policy", "BufferAll",
		"--start-time", before.Format(time.RFC3339), "--end-time", before.Add(24*time.Hour).Format(time.RFC3339))
	scheduled(4)
	require.Equal(t, charged, requireChargedTimes(t, s, 2))
	code, said = starterExit(t.Context(), s, "run", "--plan", "pro", "--period", workflows.ScheduledPeriod(before), "--customers", list, "--budget-usd", "100000")
	require.Equal(t, 3, code, said)

	for _, step := range []struct{ verb, says string }{
		{"pause", "paused"}, {"show", "schedule billing-pro: paused"}, {"resume", "goes on"}, {"show", "next on"}, {"delete", "deleted"},
	} {
		code, said = starterExit(t.Context(), s, "schedule", step.verb, "--plan", "pro")
		require.Zero(t, code, said)
		require.Contains(t, said, step.says)
	}
	code, said = starterExit(t.Context(), s, "schedule", "show", "--plan", "pro")
	require.Equal(t, 1, code)
	require.Contains(t, said, "plan pro has no schedule")
}

// requireChargedTimes holds the vendor to so many charges of each customer that
// it charged, and returns how many customers that were.
func requireChargedTimes(t *testing.T, s *stack.Stack, times int) int {
	t.Helper()
	truth, err := s.Truth(t.Context())
	require.NoError(t, err)
	for customer, n := range truth.PerCustomer {
		require.Equal(t, times, n, customer)
	}
	return len(truth.PerCustomer)
}
