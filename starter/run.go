package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

func (p *program) runCommand() *cobra.Command {
	var req request
	var wait, asJSON bool
	cmd := &cobra.Command{
		Use:   "run --plan PLAN --period YYYY-MM (--customers FILE | --generate N) --budget-usd DOLLARS",
		Short: "Start a billing run",
		Long: "Start a billing run: every customer of the list is charged once, until the budget is used up.\n" +
			"A plan is billed once for a period; starting it again exits with code 3. A run that ended before\n" +
			"everybody was charged is finished by the same command with --continue.",
		Example: "  starter run --plan pro --period 2026-11 --customers list.csv --budget-usd 500 --wait",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := req.input(cmd.Context())
			if err != nil {
				return err
			}
			return p.bill(cmd.Context(), in, wait, asJSON)
		},
	}
	req.bind(cmd.Flags())
	cmd.Flags().BoolVar(&wait, "wait", false, "show progress until the run has ended, then its summary")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the result as JSON")
	return cmd
}

// bill starts the run and, if asked to, watches it to its end.
func (p *program) bill(ctx context.Context, in workflows.BillingInput, wait, asJSON bool) error {
	id, err := workflowID(in.Plan, in.Period)
	if err != nil {
		return err
	}
	connected, opts, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer connected.Close()

	reuse := enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	if in.Continue {
		if err := p.canContinue(ctx, connected, opts, in, id); err != nil {
			return err
		}
		reuse = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	}
	run, err := connected.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                workflows.TaskQueue,
		WorkflowIDReusePolicy:                    reuse,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            fmt.Sprintf("%s customers, budget %s", count(in.Pinned.Count), dollars(in.BudgetUSD)),
	}, workflows.Billing, in)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return p.duplicate(ctx, connected, id)
	}
	if err != nil && ctx.Err() != nil {
		return &exit{code: exitInterrupted, text: fmt.Sprintf("interrupted while %s was being started: 'starter status %s' tells whether it was", id, id)}
	}
	if err != nil {
		return temporaldial.Refusal(opts, "start "+id, err)
	}
	p.announce(in, id)
	if wait {
		return p.watchToEnd(ctx, connected, opts, run, asJSON)
	}
	label := workflows.RunLabel(opts.Namespace, id)
	if asJSON {
		return writeJSON(p.stdout, map[string]string{"workflow_id": id, "run_id": run.GetRunID(), "run_label": label})
	}
	_, err = fmt.Fprintf(p.stdout, "started %s; 'starter status %s' shows how far it is\n", id, id)
	return err
}

// canContinue refuses to continue what does not exist or has not ended. A wrong
// period would otherwise start the billing of another one. Nor does it charge without
// an approval what waited for one, or was rejected.
func (p *program) canContinue(ctx context.Context, connected client.Client, opts client.Options, in workflows.BillingInput, id string) error {
	described, err := connected.DescribeWorkflow(ctx, id, "")
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		return fmt.Errorf("there is no run %s in namespace %s to continue: check --plan and --period, or start it without --continue", id, opts.Namespace)
	case err != nil:
		return temporaldial.Refusal(opts, "look up "+id, err)
	case statusName(described.Status) == "running":
		return p.duplicate(ctx, connected, id)
	case in.Approval != nil:
		return nil
	}
	before, err := firstInput(ctx, connected, opts, id, described.WorkflowExecution.RunID)
	switch {
	case payloadcodec.Unreadable(err):
		return fmt.Errorf("%s cannot be continued from here: %s", id, p.otherKeys(opts))
	case err != nil:
		return temporaldial.Refusal(opts, "read what "+id+" was started with", err)
	case before.Approval != nil:
		return usage("charges of " + id + " needed an approval, and some may have been rejected: give --approve all or --approve-above-usd as before, since without they would all be charged")
	}
	return nil
}

// firstInput is what an execution was started with.
func firstInput(ctx context.Context, connected client.Client, opts client.Options, id, runID string) (workflows.BillingInput, error) {
	var in workflows.BillingInput
	events := connected.GetWorkflowHistory(ctx, id, runID, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !events.HasNext() {
		return in, errors.New("its history is gone")
	}
	first, err := events.Next()
	if err != nil {
		return in, err
	}
	err = opts.DataConverter.FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in)
	return in, err
}

// announce tells what was started; above all, that the budget will not reach
// for everybody, which is easier to hear before than after.
func (p *program) announce(in workflows.BillingInput, id string) {
	customers := count(in.Pinned.Count) + " customers"
	if in.Pinned.Count == 1 {
		customers = "1 customer"
	}
	text := fmt.Sprintf("%s: %s, %s in all, budget %s", id, customers, dollars(in.Pinned.TotalUSD), dollars(in.BudgetUSD))
	if in.Pinned.TotalUSD > in.BudgetUSD {
		text += "\nthe budget does not cover them all: the run stops when it is used up"
	}
	_, _ = fmt.Fprintln(p.stderr, text)
}

// duplicate explains why nothing was started.
func (p *program) duplicate(ctx context.Context, connected client.Client, id string) error {
	state := "was already billed"
	advice := "; --continue finishes what a run left over"
	if described, err := connected.DescribeWorkflow(ctx, id, ""); err == nil {
		state = "already ran and " + statusName(described.Status)
		if described.WorkflowCloseTime != nil {
			state += " at " + stamp(*described.WorkflowCloseTime)
		}
		if statusName(described.Status) == "running" {
			state, advice = "is already running since "+stamp(described.WorkflowStartTime), ""
		}
	}
	return &exit{code: exitDuplicate, text: fmt.Sprintf("%s %s; nothing was started: a plan is billed once for a period ('starter status %s' shows the run)%s", id, state, id, advice)}
}

// connect returns the client and what it was made of.
func (p *program) connect(ctx context.Context) (client.Client, client.Options, error) {
	opts, err := temporaldial.Options(temporaldial.Config{Env: p.env, Keys: p.keys})
	if err != nil {
		return nil, opts, err
	}
	connected, err := p.dial(ctx, opts)
	return connected, opts, err
}

// connectPlain is connect for what reads no payload, and needs no key for it.
func (p *program) connectPlain(ctx context.Context) (client.Client, client.Options, error) {
	opts, err := temporaldial.Plain(temporaldial.Config{Env: p.env})
	if err != nil {
		return nil, opts, err
	}
	connected, err := p.dial(ctx, opts)
	return connected, opts, err
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
