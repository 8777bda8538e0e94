package payloadcodec_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/worker/payloadcodec"
)

const queue = "codec-test"

func greet(_ context.Context, name string) (string, error) { return "hello " + name, nil }

// greeting has a payload of each kind that a missing key could spoil: an input, a
// signal, and the result of an activity.
func greeting(ctx workflow.Context, greetWord string) (string, error) {
	var name, hello string
	workflow.GetSignalChannel(ctx, "name").Receive(ctx, &name)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	if err := workflow.ExecuteActivity(ctx, greet, name).Get(ctx, &hello); err != nil {
		return "", err
	}
	return greetWord + ", " + hello, nil
}

func connect(t *testing.T, address string, ring *payloadcodec.Keyring) client.Client {
	t.Helper()
	opts := client.Options{HostPort: address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	ring.Apply(&opts)
	connected, err := client.DialContext(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(connected.Close)
	return connected
}

func work(t *testing.T, connected client.Client) worker.Worker {
	t.Helper()
	w := worker.New(connected, queue, worker.Options{})
	w.RegisterWorkflow(greeting)
	w.RegisterActivity(greet)
	require.NoError(t, w.Start())
	return w
}

// A worker that was started without the right key must not end runs: to the SDK an
// input that cannot be read is a reason to fail the workflow for good.
func TestWorkflow_WaitsForAWorkerThatHasTheKey(t *testing.T) {
	t.Parallel()
	_, address := peer.DevServer(t)
	right := connect(t, address, keyring(t, oldLine))
	wrong := work(t, connect(t, address, keyring(t, newLine)))

	run, err := right.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "greeting", TaskQueue: queue}, greeting, "so")
	require.NoError(t, err)
	require.NoError(t, right.SignalWorkflow(t.Context(), "greeting", "", "name", "Ada"))
	require.Contains(t, failedTask(t, right, "greeting"), "encrypted with key 2026-05, and ours are 2026-11")
	described, err := right.DescribeWorkflow(t.Context(), "greeting", "")
	require.NoError(t, err)
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, described.Status)
	wrong.Stop()

	// Its operator adds the old key below the new one, and the run goes on.
	mended := work(t, connect(t, address, keyring(t, newLine, oldLine)))
	defer mended.Stop()
	var result string
	require.NoError(t, connect(t, address, keyring(t, newLine, oldLine)).GetWorkflow(t.Context(), run.GetID(), "").Get(t.Context(), &result))
	require.Equal(t, "so, hello Ada", result)
}

// failedTask waits for a workflow task that failed, and returns its message.
func failedTask(t *testing.T, connected client.Client, id string) string {
	t.Helper()
	events := connected.GetWorkflowHistory(t.Context(), id, "", true, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		if failed := event.GetWorkflowTaskFailedEventAttributes(); failed != nil {
			both := keyring(t, newLine, oldLine)
			return both.FailureConverter().FailureToError(failed.GetFailure()).Error()
		}
		require.Nil(t, event.GetWorkflowExecutionFailedEventAttributes(), "the run was failed for want of a key")
	}
	return ""
}
