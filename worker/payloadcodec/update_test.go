package payloadcodec_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/worker/payloadcodec"
)

// granting ends with the first wish that it takes.
func granting(ctx workflow.Context, greetWord string) (string, error) {
	var got string
	err := workflow.SetUpdateHandler(ctx, "wish", func(_ workflow.Context, wish string) (string, error) {
		got = wish
		return "granted", nil
	})
	if err != nil {
		return "", err
	}
	err = workflow.Await(ctx, func() bool { return got != "" })
	return greetWord + ", " + got, err
}

// Who can write to a namespace and has no key gets nothing done, and stops no run.
func TestWorkflow_TakesNothingFromWhoHasNotItsKey(t *testing.T) {
	t.Parallel()
	_, address := peer.DevServer(t)
	right, other := connect(t, address, keyring(t, oldLine)), connect(t, address, keyring(t, newLine))
	plain, err := client.DialContext(t.Context(), client.Options{HostPort: address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	defer plain.Close()
	w := worker.New(right, queue, worker.Options{})
	w.RegisterWorkflow(granting)
	require.NoError(t, w.Start())
	defer w.Stop()
	start := func(c client.Client, id string) client.WorkflowRun {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: queue}, granting, "so")
		require.NoError(t, err)
		return run
	}
	run := start(right, "granting")
	wish := func(c client.Client, what string) error {
		handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
			WorkflowID: "granting", UpdateName: "wish", Args: []any{what}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err != nil {
			return err
		}
		return handle.Get(t.Context(), nil)
	}
	require.True(t, payloadcodec.Unreadable(wish(other, "theft")), "it is refused, and says so to those who can read it")
	require.True(t, payloadcodec.Unreadable(wish(plain, "fraud")))
	require.NoError(t, plain.SignalWorkflow(t.Context(), "granting", "", "stop", "now"))
	require.NoError(t, wish(right, "peace"))
	var result string
	require.NoError(t, run.Get(t.Context(), &result))
	require.Equal(t, "so, peace", result)

	require.ErrorContains(t, start(plain, "begun without a key").Get(t.Context(), nil), payloadcodec.EncodedFailure)
	require.ErrorContains(t, right.GetWorkflow(t.Context(), "begun without a key", "").Get(t.Context(), nil), "only encrypted ones are taken")
}
