package workflows_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/workflows"
)

// recordedHistories are runs on a real server that the workflow code has to be
// able to replay: one for each way through it. A change that breaks one of them
// breaks every run that is under way when it is deployed.
func recordedHistories() []string {
	return []string{
		"billing_happy.json",
		"billing_cap.json",
		"billing_decline.json",
		"billing_revoked.json",
		"billing_approved.json",
		"billing_paused.json",
		"billing_reset.json",
		"billing_many.json",
		"billing_expired.json",
		"billing_canceled.json",
		"billing_continued.json",
		"charge_batch.json",
		"charge_batch_many.json",
		"charge_batch_paused.json",
		"charge_batch_canceled.json",
		"charge_batch_continued.json",
		"billing_notices.json",
		"notify_receipts.json",
		"notify_texts.json",
	}
}

func TestReplay_RecordedHistoriesStillFitTheCode(t *testing.T) {
	t.Parallel()
	for _, name := range recordedHistories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replay(t, filepath.Join("testdata", name)),
				"if the file is missing or the change is meant, record it anew: make record")
		})
	}
}

// replay runs a history under the ID that it was recorded with, since a run holds
// itself to its ID.
func replay(t *testing.T, path string) error {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	if err != nil {
		return err
	}
	started := history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	require.NotNil(t, started, "the history is cut off at its start")

	// A machine that is slow is no difference.
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DisableDeadlockDetection: true})
	require.NoError(t, err)
	workflows.Register(replayer)
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	return replayer.ReplayWorkflowHistoryWithOptions(quiet, history, worker.ReplayWorkflowHistoryOptions{
		OriginalExecution: workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()},
	})
}

func TestReplay_TestdataHoldsNoHistoryThatIsNotReplayed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file))
	}
	require.Subset(t, recordedHistories(), names)
}
