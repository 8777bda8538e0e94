package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	common "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// maxListed is as many runs as a server returns in one answer.
const maxListed = 1000

// listing says which runs to list.
type listing struct {
	period string
	state  string
	open   bool
	limit  int
}

// listed is a run as Temporal's visibility has it, which may lag behind by a moment.
type listed struct {
	WorkflowID string     `json:"workflow_id"`
	RunID      string     `json:"run_id"`
	RunLabel   string     `json:"run_label,omitempty"`
	Period     string     `json:"period,omitempty"`
	State      string     `json:"state,omitempty"` // missing until a worker has had the run in hand
	Status     string     `json:"status"`
	StartedAt  time.Time  `json:"started_at"`
	ClosedAt   *time.Time `json:"closed_at,omitempty"`
}

func (p *program) listCommand() *cobra.Command {
	var l listing
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List billing runs, newest first",
		Long:    "List billing runs that Temporal remembers, newest first, with the states that they were last in.",
		Example: "  starter list --open\n  starter list --period 2026-11 --state stopping",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := l.query()
			if err != nil {
				return err
			}
			return p.list(cmd.Context(), query, l.limit, asJSON)
		},
	}
	cmd.Flags().StringVar(&l.period, "period", "", "runs that bill this month, as YYYY-MM")
	cmd.Flags().StringVar(&l.state, "state", "", "runs in this state: "+strings.Join(states(), ", "))
	cmd.Flags().BoolVar(&l.open, "open", false, "runs that have not ended")
	cmd.Flags().IntVar(&l.limit, "limit", 50, "runs at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the runs as JSON")
	return cmd
}

// query is the visibility query. What a person typed is checked before it becomes
// a part of it.
func (l listing) query() (string, error) {
	if l.limit < 1 || l.limit > maxListed {
		return "", usage(fmt.Sprintf("--limit is %d: it must be from 1 to %d", l.limit, maxListed))
	}
	// A run that was continued is listed by its latest execution alone.
	parts := []string{"WorkflowType = 'Billing'", "ExecutionStatus != 'ContinuedAsNew'"}
	if l.period != "" {
		if err := workflows.ValidatePeriod(l.period); err != nil {
			return "", usage(err.Error())
		}
		parts = append(parts, workflows.AttributePeriod+" = '"+l.period+"'")
	}
	if l.state != "" {
		if !slices.Contains(states(), l.state) {
			return "", usage(fmt.Sprintf("--state is %.40q: it must be one of %s", l.state, strings.Join(states(), ", ")))
		}
		parts = append(parts, workflows.AttributeState+" = '"+l.state+"'")
	}
	if l.open {
		parts = append(parts, "ExecutionStatus = 'Running'")
	}
	return strings.Join(parts, " AND "), nil
}

// states are those that a run may be in.
func states() []string {
	return []string{
		workflows.StateStarting, workflows.StateCharging, workflows.StateAwaiting, workflows.StateStopping,
		workflows.StateSettling, workflows.StateNotifying, workflows.StateDone,
	}
}

func (p *program) list(ctx context.Context, query string, limit int, asJSON bool) error {
	connected, opts, err := p.connectPlain(ctx)
	if err != nil {
		return err
	}
	defer connected.Close()
	runs, err := listRuns(ctx, connected, query, limit)
	if err != nil {
		return temporaldial.Refusal(opts, "list runs", err)
	}
	if asJSON {
		return writeJSON(p.stdout, map[string][]listed{"runs": runs})
	}
	if len(runs) == 0 {
		_, err := fmt.Fprintf(p.stdout, "no such run in namespace %s\n", opts.Namespace)
		return err
	}
	t := newTable("run", "period", "state", "status", "started (utc)", "run label")
	for _, run := range runs {
		t.AppendRow(table.Row{run.WorkflowID, run.Period, run.State, run.Status, run.StartedAt.UTC().Format("2006-01-02 15:04"), run.RunLabel})
	}
	return writeTables(p.stdout, t)
}

func listRuns(ctx context.Context, connected client.Client, query string, limit int) ([]listed, error) {
	runs := []listed{}
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: int32(limit)} //nolint:gosec // at most maxListed
	for len(runs) < limit {
		page, err := connected.ListWorkflow(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, info := range page.GetExecutions() {
			runs = append(runs, listedRun(info))
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			break
		}
	}
	// The server orders by the end of a run first, where it has one.
	slices.SortStableFunc(runs, func(a, b listed) int { return b.StartedAt.Compare(a.StartedAt) })
	return runs[:min(len(runs), limit)], nil
}

func listedRun(info *workflowpb.WorkflowExecutionInfo) listed {
	attribute := func(name string) string { return keyword(info.GetSearchAttributes(), name) }
	run := listed{
		WorkflowID: info.GetExecution().GetWorkflowId(),
		RunID:      info.GetExecution().GetRunId(),
		RunLabel:   attribute(workflows.AttributeRunLabel),
		Period:     attribute(workflows.AttributePeriod),
		State:      attribute(workflows.AttributeState),
		Status:     statusName(info.GetStatus()),
		StartedAt:  info.GetStartTime().AsTime(),
	}
	if info.GetCloseTime() != nil {
		closed := info.GetCloseTime().AsTime()
		run.ClosedAt = &closed
	}
	return run
}

// keyword reads a search attribute; what is not there or is none of ours is empty.
// Search attributes are never encrypted.
func keyword(attributes *common.SearchAttributes, name string) string {
	var value string
	if payload := attributes.GetIndexedFields()[name]; payload != nil {
		if err := converter.GetDefaultDataConverter().FromPayload(payload, &value); err != nil {
			return ""
		}
	}
	return value
}
