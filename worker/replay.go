package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	common "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// replayPage is how many runs are asked for at once.
const replayPage = 200

func (p *program) replayCommand() *cobra.Command {
	var keys payloadcodec.Source
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Replay every run that the server remembers against the code of this program",
		Long: "Replay every run that the server remembers, open and closed, against the workflow code of this\n" +
			"program: before it is deployed, with the TEMPORAL_ variables of the server that it will work for.\n" +
			"Nothing is started or changed there. Exits with 1 if a run came out another way than it did.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.replayAll(cmd.Context(), keys) },
	}
	cmd.Flags().StringVar(&keys.StateDir, "state-dir", ".tollgate", "state folder of the worker whose codec.key opens the histories")
	cmd.Flags().StringVar(&keys.File, "codec-key-file", "", "keys that open the histories (default as for the worker)")
	return cmd
}

// replayed counts what became of the runs that were listed.
type replayed struct {
	open, closed int
	notBegun     int // no worker has had a task of it yet: there is nothing to replay
	gone         int // deleted between listing and reading
	differ       int
}

func (p *program) replayAll(ctx context.Context, keys payloadcodec.Source) error {
	opts, err := temporaldial.Options(temporaldial.Config{Env: p.env, Keys: keys})
	if err != nil {
		return err
	}
	connected, err := temporaldial.Dial(ctx, opts)
	if err != nil {
		return err
	}
	defer connected.Close()
	r := replay{client: connected, opts: opts, tell: func(line string) { _, _ = fmt.Fprintln(p.stderr, oneLine(line)) }}
	if err := r.all(ctx); err != nil {
		return err
	}
	text := fmt.Sprintf("replayed %d runs of %s at %s, %d open and %d closed: %d differ",
		r.count.open+r.count.closed, opts.Namespace, opts.HostPort, r.count.open, r.count.closed, r.count.differ)
	if r.count.notBegun+r.count.gone > 0 {
		text += fmt.Sprintf("; passed over: %d not begun, %d gone", r.count.notBegun, r.count.gone)
	}
	if _, err := fmt.Fprintln(p.stdout, text); err != nil {
		return err
	}
	if r.count.differ > 0 {
		return errors.New("this code does not fit every run: those that are open would stop where they differ")
	}
	return nil
}

type replay struct {
	client client.Client
	opts   client.Options
	tell   func(string)
	count  replayed
}

func (r *replay) all(ctx context.Context) error {
	request := &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: replayPage,
		Query:    "WorkflowType IN ('" + strings.Join(workflows.Types(), "', '") + "')",
	}
	for {
		page, err := r.client.ListWorkflow(ctx, request)
		if err != nil {
			return temporaldial.Refusal(r.opts, "list runs", err)
		}
		for _, run := range page.GetExecutions() {
			if err := r.one(ctx, run); err != nil {
				return err
			}
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

// one replays a run. Its error is one of reading; that a run differs is counted
// and told, and the others are still looked at.
func (r *replay) one(ctx context.Context, run *workflowpb.WorkflowExecutionInfo) error {
	execution := run.GetExecution()
	events, err := r.history(ctx, execution)
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		r.count.gone++
		return nil
	case err != nil:
		return temporaldial.Refusal(r.opts, "read the history of "+execution.GetWorkflowId(), err)
	case !begun(events):
		r.count.notBegun++
		return nil
	}
	if run.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		r.count.open++
	} else {
		r.count.closed++
	}
	if err := r.against(events, execution); err != nil {
		r.count.differ++
		r.tell(fmt.Sprintf("%s, run %s: %v", execution.GetWorkflowId(), execution.GetRunId(), err))
	}
	return nil
}

// against runs the code of this program over a history. Each gets a replayer of its
// own, since one that met an error keeps it.
func (r *replay) against(events *history.History, execution *common.WorkflowExecution) error {
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		DataConverter: r.opts.DataConverter, FailureConverter: r.opts.FailureConverter,
	})
	if err != nil {
		return err
	}
	workflows.Register(replayer)
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	return replayer.ReplayWorkflowHistoryWithOptions(quiet, events, worker.ReplayWorkflowHistoryOptions{
		OriginalExecution: workflow.Execution{ID: execution.GetWorkflowId(), RunID: execution.GetRunId()},
	})
}

func (r *replay) history(ctx context.Context, execution *common.WorkflowExecution) (*history.History, error) {
	events := &history.History{}
	page := r.client.GetWorkflowHistory(ctx, execution.GetWorkflowId(), execution.GetRunId(), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for page.HasNext() {
		event, err := page.Next()
		if err != nil {
			return nil, err
		}
		events.Events = append(events.Events, event)
	}
	return events, nil
}

// begun reports whether a workflow task has completed.
func begun(events *history.History) bool {
	for _, event := range events.GetEvents() {
		if event.GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			return true
		}
	}
	return false
}
