package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// visible stands in for a run as far as visibility sees it.
func visible(ctx workflow.Context, in workflows.BillingInput) error {
	set := func(name, value string) temporal.SearchAttributeUpdate {
		return temporal.NewSearchAttributeKeyKeyword(name).ValueSet(value)
	}
	err := workflow.UpsertTypedSearchAttributes(ctx, set(workflows.AttributeRunLabel, "temporal/default/"+workflow.GetInfo(ctx).WorkflowExecution.ID),
		set(workflows.AttributePeriod, in.Period), set(workflows.AttributeState, workflows.StateCharging))
	if err != nil {
		return err
	}
	workflow.GetSignalChannel(ctx, "end").Receive(ctx, nil)
	return workflow.UpsertTypedSearchAttributes(ctx, set(workflows.AttributeState, workflows.StateDone))
}

func TestList_ShowsRunsByStateAndPeriodWithoutAKey(t *testing.T) {
	t.Parallel()
	connected, address := peer.DevServer(t)
	opts := client.Options{HostPort: address, Namespace: "default"}
	require.NoError(t, temporaldial.EnsureSearchAttributes(t.Context(), connected, opts, workflows.SearchAttributes()))
	w := worker.New(connected, workflows.TaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(visible, workflow.RegisterOptions{Name: "Billing"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	for _, period := range []string{"2026-10", "2026-11"} {
		run, err := connected.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "billing-pro-" + period, TaskQueue: workflows.TaskQueue},
			"Billing", workflows.BillingInput{Plan: "pro", Period: period})
		require.NoError(t, err)
		if period == "2026-10" {
			require.NoError(t, connected.SignalWorkflow(t.Context(), run.GetID(), "", "end", nil))
			require.NoError(t, run.Get(t.Context(), nil))
		}
	}
	list := func(t *testing.T, args ...string) *testBundle {
		t.Helper()
		b := setup(t)
		delete(b.env, "TOLLGATE_CODEC_KEY")
		b.env["TEMPORAL_ADDRESS"] = address
		b.dial = temporaldial.Dial
		require.Equal(t, exitOK, b.run(t.Context(), append([]string{"list"}, args...)), b.stderr.String())
		return b
	}
	runs := func(t *testing.T, args ...string) []listed {
		t.Helper()
		var written struct{ Runs []listed }
		require.NoError(t, json.Unmarshal(list(t, append(args, "--json")...).stdout.Bytes(), &written))
		return written.Runs
	}
	// Visibility lags behind the runs.
	require.Eventually(t, func() bool {
		done := runs(t, "--state", "done")
		return len(runs(t, "--state", "charging")) == 1 && len(done) == 1 && done[0].Status == "completed"
	}, hangs, 100*time.Millisecond)

	open := runs(t, "--open")
	require.Len(t, open, 1)
	require.Equal(t, listed{
		WorkflowID: "billing-pro-2026-11", RunID: open[0].RunID, RunLabel: "temporal/default/billing-pro-2026-11",
		Period: "2026-11", State: "charging", Status: "running", StartedAt: open[0].StartedAt,
	}, open[0])
	october := runs(t, "--period", "2026-10")
	require.Len(t, october, 1)
	require.Equal(t, "completed", october[0].Status)
	require.NotNil(t, october[0].ClosedAt)
	require.Len(t, runs(t, "--limit", "1"), 1)

	lines := strings.Split(strings.TrimSpace(list(t).stdout.String()), "\n")
	require.Regexp(t, `^RUN +PERIOD +STATE +STATUS +STARTED \(UTC\) +RUN LABEL$`, lines[0])
	require.Regexp(t, `^billing-pro-2026-11  2026-11  charging  running +20\d\d-\d\d-\d\d \d\d:\d\d  temporal/default/billing-pro-2026-11$`, lines[2])
	require.Regexp(t, `^billing-pro-2026-10  2026-10  done +completed +`, lines[3])
	require.Equal(t, "no such run in namespace default\n", list(t, "--period", "2025-01").stdout.String())
}

func TestList_RefusesWhatWouldBecomeAnotherQuery(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a period with a quote": {[]string{"--period", "2026-11' OR '1'='1"}, `period "2026-11' OR '1'='1" must be a month such as 2026-11`},
		"a state with a quote":  {[]string{"--state", "x' OR 'y'='y"}, `--state is "x' OR 'y'='y": it must be one of starting, charging, awaiting_approval, stopping, settling, notifying, done`},
		"no runs":               {[]string{"--limit", "0"}, "--limit is 0: it must be from 1 to 1000"},
		"too many runs":         {[]string{"--limit", "1001"}, "--limit is 1001: it must be from 1 to 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			require.Equal(t, exitUsage, b.run(t.Context(), append([]string{"list"}, test.args...)))
			require.Equal(t, "starter: "+test.want, b.errorLine(t))
		})
	}
}
