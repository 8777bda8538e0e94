package workflows_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

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
		"charge_batch.json",
	}
}

func TestReplay_RecordedHistoriesStillFitTheCode(t *testing.T) {
	t.Parallel()
	for _, name := range recordedHistories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflow(workflows.Billing)
			replayer.RegisterWorkflow(workflows.ChargeBatch)
			quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(quiet, filepath.Join("testdata", name)),
				"if the file is missing or the change is meant, record it anew: make record")
		})
	}
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
