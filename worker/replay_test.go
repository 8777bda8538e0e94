package main

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/workflows"
)

// replayed runs `worker replay` against a server until visibility, which lags behind
// a little, has as many runs as there are.
func replayedAs(t *testing.T, from *testBundle, want string, code int) *testBundle {
	t.Helper()
	var last *testBundle
	require.Eventually(t, func() bool {
		last = setup(t)
		maps.Copy(last.env, from.env)
		return last.run(t.Context(), []string{"replay", "--state-dir", from.dir + "/state"}) == code && last.stdout.String() == want
	}, hangs, 200*time.Millisecond, "%v", want)
	return last
}

func TestReplay_HoldsEveryRunOfAServerToThisCode(t *testing.T) {
	t.Parallel()
	s := newSecrecyStand(t)
	csv, _ := secrecyList()
	list := s.file(t, "customers.csv", csv)
	require.NoError(t, s.start(t, "replay", list).Get(t.Context(), nil))
	s.worker.stop()
	require.Equal(t, exitOK, s.worker.ended(t), s.stderr.String())
	s.start(t, "waiting", list)

	address := s.env["TEMPORAL_ADDRESS"]
	done := replayedAs(t, s.testBundle, "replayed 3 runs of default at "+address+", 0 open and 3 closed: 0 differ; passed over: 1 not begun, 0 gone\n", exitOK)
	require.Empty(t, done.stderr.String())
}

// otherBilling is what an incompatible version of the run would have recorded.
func otherBilling(ctx workflow.Context, _ workflows.BillingInput) (workflows.Summary, error) {
	return workflows.Summary{}, workflow.Sleep(ctx, time.Millisecond)
}

func TestReplay_FailsWhereTheCodeDiffersAndTellsWhichRun(t *testing.T) {
	t.Parallel()
	_, address := peer.DevServer(t)
	connected := encrypting(t, address)
	w := worker.New(connected, workflows.TaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(otherBilling, workflow.RegisterOptions{Name: "Billing"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := connected.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "billing-other-2026-11", TaskQueue: workflows.TaskQueue},
		"Billing", workflows.BillingInput{Plan: "other", Period: "2026-11", BudgetUSD: 1})
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))

	b := setup(t)
	b.env["TEMPORAL_ADDRESS"] = address
	b.env[payloadcodec.KeyVariable] = codecKey
	failed := replayedAs(t, b, "replayed 1 runs of default at "+address+", 0 open and 1 closed: 1 differ\n", exitError)
	require.Regexp(t, `(?m)^billing-other-2026-11, run [0-9a-f-]{36}: .*nondeterministic`, failed.stderr.String())
	require.Contains(t, failed.stderr.String(), "worker: this code does not fit every run")
}

func TestReplay_TellsThatThereIsNoKeyForTheHistories(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, exitError, b.run(t.Context(), []string{"replay", "--state-dir", b.dir + "/nothing"}))
	require.Contains(t, b.errorLine(t), "start a worker first, which makes it")
}
