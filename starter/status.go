package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// status is what is known of a run. Progress is there while it goes on and
// Summary once it has completed or was canceled.
type status struct {
	WorkflowID string              `json:"workflow_id"`
	RunID      string              `json:"run_id"` // of the chain's latest execution
	Status     string              `json:"status"` // running, completed, failed, canceled, terminated, timed_out
	StartedAt  time.Time           `json:"started_at"`
	ClosedAt   *time.Time          `json:"closed_at,omitempty"`
	Failure    string              `json:"failure,omitempty"`
	Progress   *workflows.Progress `json:"progress,omitempty"`
	Summary    *workflows.Summary  `json:"summary,omitempty"`

	silence string // why there is no progress
}

func (p *program) statusCommand() *cobra.Command {
	var t target
	var wait, asJSON bool
	cmd := &cobra.Command{
		Use:     "status (WORKFLOW_ID | --plan PLAN --period YYYY-MM)",
		Short:   "Show how far a run is, or how it ended",
		Example: "  starter status billing-pro-2026-11",
		Args:    oneArgumentAtMost,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := t.workflowID(args)
			if err != nil {
				return err
			}
			return p.status(cmd.Context(), id, wait, asJSON)
		},
	}
	t.bind(cmd.Flags())
	cmd.Flags().BoolVar(&wait, "wait", false, "watch the run to its end; exit codes as with 'run --wait'")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the result as JSON")
	return cmd
}

func (p *program) status(ctx context.Context, id string, wait, asJSON bool) error {
	connected, opts, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer connected.Close()
	described, err := connected.DescribeWorkflow(ctx, id, "")
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		return fmt.Errorf("there is no run %s in namespace %s; 'starter run' starts one", id, opts.Namespace)
	case err != nil:
		return temporaldial.Refusal(opts, "look up "+id, err)
	}
	if wait {
		return p.watchToEnd(ctx, connected, opts, connected.GetWorkflow(ctx, id, ""), asJSON)
	}

	found := status{
		WorkflowID: id,
		RunID:      described.WorkflowExecution.RunID,
		Status:     statusName(described.Status),
		StartedAt:  described.WorkflowStartTime,
		ClosedAt:   described.WorkflowCloseTime,
	}
	if err := p.lookInside(ctx, connected, opts, &found); err != nil {
		return err
	}
	if asJSON {
		return writeJSON(p.stdout, found)
	}
	return p.writeStatus(found)
}

// lookInside asks the run itself: its result if it has one, else its progress,
// which takes a worker to answer.
func (p *program) lookInside(ctx context.Context, connected client.Client, opts client.Options, found *status) error {
	if found.Status != "running" {
		var summary workflows.Summary
		err := connected.GetWorkflow(ctx, found.WorkflowID, "").Get(ctx, &summary)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		canceled, ok := canceledSummary(err)
		switch {
		case err == nil:
			found.Summary = &summary
			return nil
		case ok:
			found.Summary = &canceled
			return nil
		}
		found.Failure = oneLine(p.runFailure(opts, found.WorkflowID, err).Error())
	}
	progress, err := p.queryProgress(ctx, connected, found.WorkflowID)
	switch {
	case err == nil:
		found.Progress = &progress
	case payloadcodec.Unreadable(err):
		found.silence = "there is no progress to show: " + p.otherKeys(opts)
	default:
		found.silence = fmt.Sprintf("no worker answered on task queue %s, so there is no progress to show; start one with 'worker'", workflows.TaskQueue)
	}
	return ctx.Err()
}

func (p *program) writeStatus(found status) error {
	if found.Summary != nil {
		if err := writeSummary(p.stdout, *found.Summary); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "\n%s %s after %s\n", found.Status, stamp(*found.ClosedAt), elapsed(found.StartedAt, *found.ClosedAt))
		return err
	}
	t := newTable()
	since := ", started " + stamp(found.StartedAt)
	if found.ClosedAt != nil {
		since = " since " + stamp(*found.ClosedAt)
	}
	t.AppendRow(table.Row{"status", found.Status + since})
	if progress := found.Progress; progress != nil {
		state := progress.State
		if progress.StopReason != "" {
			state += ", stopped by " + progress.StopReason
		}
		charged := count(progress.Charged)
		if more := exceptions(*progress); more != "" {
			charged += ", " + more
		}
		t.AppendRow(table.Row{"state", state})
		t.AppendRow(table.Row{"done", fmt.Sprintf("%s of %s customers, %d%%", count(progress.Done()), count(progress.Customers), percent(*progress))})
		t.AppendRow(table.Row{"charged", charged})
		t.AppendRow(table.Row{"in flight", count(progress.InFlight)})
		if progress.Paused != "" {
			t.AppendRow(table.Row{"paused", "by " + progress.Paused})
		}
		if waiting := progress.Awaiting; waiting != nil && waiting.Items > 0 {
			t.AppendRow(table.Row{"approval", awaited(*waiting)})
		}
		t.AppendRow(table.Row{"settled", spending(*progress)})
		if progress.EmailsSent > 0 {
			t.AppendRow(table.Row{"receipts", count(progress.EmailsSent) + " sent"})
		}
		if progress.TextsSent > 0 {
			t.AppendRow(table.Row{"texts", count(progress.TextsSent) + " sent"})
		}
	}
	if _, err := fmt.Fprintf(p.stdout, "\n%s\n\n", found.WorkflowID); err != nil {
		return err
	}
	if err := writeTables(p.stdout, t); err != nil {
		return err
	}
	if found.Failure != "" {
		_, err := fmt.Fprintf(p.stdout, "\n%s\n", found.Failure)
		return err
	}
	if found.Progress == nil {
		_, _ = fmt.Fprintln(p.stderr, found.silence)
	}
	return nil
}

// awaited tells what waits for a decision, as 'starter approve --items' takes it.
func awaited(w workflows.Awaiting) string {
	const shown = 60
	items := itemList(w.Ranges)
	if len(items) > shown {
		items = items[:strings.LastIndexByte(items[:shown], ',')] + ",…"
	}
	text := fmt.Sprintf("%s waiting: items %s", charges(w.Items), items)
	if !w.Until.IsZero() {
		text += ", until " + stamp(w.Until)
	}
	return text
}

// statusName is Temporal's status in lower case: running, completed, failed,
// canceled, terminated, timed_out. A continued execution is a running run.
func statusName(s enums.WorkflowExecutionStatus) string {
	switch s {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, enums.WORKFLOW_EXECUTION_STATUS_PAUSED:
		return "running"
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return "completed"
	case enums.WORKFLOW_EXECUTION_STATUS_FAILED:
		return "failed"
	case enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return "canceled"
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return "terminated"
	case enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return "timed_out"
	case enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED:
	}
	return "unknown"
}

// stamp is a time for people, to the second and always in UTC, as the ledger's days are.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func elapsed(from, to time.Time) string { return to.Sub(from).Round(100 * time.Millisecond).String() }
