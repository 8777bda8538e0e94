package demo

import (
	"context"
	"fmt"
	"log/slog"

	"go.temporal.io/api/workflowservice/v1"
	temporal "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/tollgate/tollgate/e2e/stack"
)

// maxHistoryEvents is below where a server warns of a history's length (10,240).
const maxHistoryEvents = 10_000

// History is the size of one workflow execution's history.
type History struct {
	WorkflowID string `json:"workflow_id"`
	Events     int64  `json:"events"`
	Bytes      int64  `json:"bytes"`
}

// Histories sums up the histories of a run and of its batches.
type Histories struct {
	Executions int     `json:"executions"` // links of chains that continued as new count each
	Longest    History `json:"longest"`    // by events
	Largest    History `json:"largest"`    // by bytes
}

// measureHistories asks the server for every execution that it has; in the demo
// they are those of the one run.
func measureHistories(ctx context.Context, s *stack.Stack) (Histories, error) {
	c, err := temporal.DialContext(ctx, temporal.Options{
		HostPort: s.TemporalAddr, Namespace: stack.Namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return Histories{}, fmt.Errorf("ask for the histories: %w", err)
	}
	defer c.Close()
	var found Histories
	req := &workflowservice.ListWorkflowExecutionsRequest{Namespace: stack.Namespace, PageSize: 1000}
	for {
		page, err := c.ListWorkflow(ctx, req)
		if err != nil {
			return Histories{}, fmt.Errorf("ask for the histories: %w", err)
		}
		for _, one := range page.GetExecutions() {
			// The list is brought up to date late; the execution itself knows.
			described, err := c.DescribeWorkflowExecution(ctx, one.GetExecution().GetWorkflowId(), one.GetExecution().GetRunId())
			if err != nil {
				return Histories{}, fmt.Errorf("ask for a history: %w", err)
			}
			info := described.GetWorkflowExecutionInfo()
			h := History{info.GetExecution().GetWorkflowId(), info.GetHistoryLength(), info.GetHistorySizeBytes()}
			found.Executions++
			if h.Events > found.Longest.Events {
				found.Longest = h
			}
			if h.Bytes > found.Largest.Bytes {
				found.Largest = h
			}
		}
		if req.NextPageToken = page.GetNextPageToken(); len(req.NextPageToken) == 0 {
			return found, nil
		}
	}
}
