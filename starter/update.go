package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// answerTime bounds the wait for a run's answer to a person. It takes a worker.
const answerTime = 90 * time.Second

// intervention is a command by which a person changes a run that goes on.
type intervention struct {
	target target
	person workflows.Person
	asJSON bool
}

func (i *intervention) command(verb, short, long, example string, run func(ctx context.Context, id string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " (WORKFLOW_ID | --plan PLAN --period YYYY-MM) --by NAME --reason TEXT", Short: short, Long: long, Example: example,
		Args: oneArgumentAtMost,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := i.target.workflowID(args)
			if err != nil {
				return err
			}
			if i.person.By == "" || i.person.Reason == "" {
				return usage("who decides, and why? give --by and --reason: the run's history keeps both")
			}
			return run(cmd.Context(), id)
		},
	}
	i.target.bind(cmd.Flags())
	cmd.Flags().StringVar(&i.person.By, "by", "", "who decides")
	cmd.Flags().StringVar(&i.person.Reason, "reason", "", "and on what grounds")
	cmd.Flags().BoolVar(&i.asJSON, "json", false, "write the answer as JSON")
	return cmd
}

// ask sends an update and waits for the run's answer. A refusal is the run's own
// words; nothing was changed then.
func (p *program) ask(ctx context.Context, id, update string, arg, answer any) error {
	connected, opts, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer connected.Close()
	waiting, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	handle, err := connected.UpdateWorkflow(waiting, client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: update, Args: []any{arg}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(waiting, answer)
	}
	var refused *temporal.ApplicationError
	var notFound *serviceerror.NotFound
	switch {
	case err == nil:
		return nil
	case payloadcodec.Unreadable(err):
		return fmt.Errorf("%s was asked, and %s", id, p.otherKeys(opts))
	case errors.As(err, &refused):
		return fmt.Errorf("%s changed nothing: %s", id, refused.Message())
	case errors.As(err, &notFound):
		return fmt.Errorf("no run %s goes on in namespace %s: 'starter status %s' tells whether it ended", id, opts.Namespace, id)
	case waiting.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("%s has not answered within %s: is a worker up on task queue %s? It may still carry this out; 'starter status %s' tells", id, answerTime, workflows.TaskQueue, id)
	}
	return temporaldial.Refusal(opts, update+" "+id, err)
}

// otherKeys explains why what Temporal stores cannot be read here. Nobody who has
// not the worker's key gets anything done either.
func (p *program) otherKeys(opts client.Options) string {
	ours := "others"
	if keys, err := p.keys.Keys(p.env, opts.HostPort); err == nil {
		ours = strings.Join(keys.IDs(), ", ")
	}
	return "its worker encrypts with a key that is not among ours (" + ours + "): give both the same keys, by --codec-key-file or --state-dir"
}

func (p *program) decideCommand(decision string) *cobra.Command {
	var i intervention
	var items string
	// An empty one is a variable that was not set rather than a wish for everything.
	var itemsGiven func() bool
	long := "Approve charges that wait for it. They are made with a vault key of their own, issued after the\n" +
		"last decision, on the same budget."
	if decision == workflows.Reject {
		long = "Reject charges that wait for an approval: they are never made."
	}
	cmd := i.command(decision, map[string]string{
		workflows.Approve: "Approve charges that wait for it", workflows.Reject: "Reject charges that wait for an approval",
	}[decision], long+"\nWithout --items: all that wait.",
		"  starter "+decision+" billing-pro-2026-11 --items 3,7-9 --by 'Ada Lovelace' --reason 'checked against the contract'",
		func(ctx context.Context, id string) error {
			if items == "" && itemsGiven() {
				return usage("--items is empty: name the items, or leave it out to " + decision + " all that wait")
			}
			chosen, err := parseItems(items)
			if err != nil {
				return err
			}
			var decided workflows.Decided
			if err := p.ask(ctx, id, decision, workflows.Decision{Person: i.person, Items: chosen}, &decided); err != nil {
				return err
			}
			if i.asJSON {
				return writeJSON(p.stdout, decided)
			}
			past := map[string]string{workflows.Approve: "approved", workflows.Reject: "rejected"}[decision]
			_, err = fmt.Fprintf(p.stdout, "%s %s of %s; %s still waiting\n", past, charges(decided.Items), id, charges(decided.Waiting))
			return err
		})
	cmd.Flags().StringVar(&items, "items", "", "which, by item number, such as 3,7-9")
	itemsGiven = func() bool { return cmd.Flags().Changed("items") }
	return cmd
}

func (p *program) pauseCommand() *cobra.Command {
	var i intervention
	return i.command("pause", "Make no further charge until resumed",
		"Make no further charge until 'starter resume'. Charges under way end. The run's vault key lives on,\n"+
			"and other programs may use it: 'starter revoke' is what stops a run for certain.",
		"  starter pause billing-pro-2026-11 --by Ada --reason 'the list looks wrong'",
		func(ctx context.Context, id string) error {
			return p.askPause(ctx, &i, id, workflows.UpdatePause, "paused")
		})
}

func (p *program) resumeCommand() *cobra.Command {
	var i intervention
	return i.command("resume", "Go on after a pause", "Go on after a pause.",
		"  starter resume billing-pro-2026-11 --by Ada --reason 'the list is right'",
		func(ctx context.Context, id string) error {
			return p.askPause(ctx, &i, id, workflows.UpdateResume, "resumed")
		})
}

func (p *program) askPause(ctx context.Context, i *intervention, id, update, past string) error {
	var answer workflows.Paused
	if err := p.ask(ctx, id, update, i.person, &answer); err != nil {
		return err
	}
	if i.asJSON {
		return writeJSON(p.stdout, answer)
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s; %s in flight, as last reported\n", past, id, charges(answer.InFlight))
	return err
}

func (p *program) raiseBudgetCommand() *cobra.Command {
	var i intervention
	var budget string
	cmd := i.command("raise-budget", "Raise the budget of a run that goes on",
		"Raise the budget of a run that goes on, for the charges still to come. It cannot be more than the\n"+
			"run's tenant may spend in all. The ledger's audit log keeps who raised it and why.",
		"  starter raise-budget billing-pro-2026-11 --budget-usd 800 --by Ada --reason 'late invoices'",
		func(ctx context.Context, id string) error {
			usd, err := amount("--budget-usd", budget)
			if err != nil {
				return err
			}
			var raised workflows.Raised
			if err := p.ask(ctx, id, workflows.UpdateRaiseBudget, workflows.BudgetRaise{Person: i.person, BudgetUSD: usd}, &raised); err != nil {
				return err
			}
			if i.asJSON {
				err = writeJSON(p.stdout, raised)
			} else {
				_, err = fmt.Fprintf(p.stdout, "raised the budget of %s to %s; %s left\n", id, dollars(raised.CapUSD), dollars(raised.RemainingUSD))
			}
			if err == nil && raised.StopReason != "" {
				err = &exit{code: exitAttention, text: fmt.Sprintf("%s was stopped by %s meanwhile: finish it by 'starter run --continue' when it has ended", id, raised.StopReason)}
			}
			return err
		})
	cmd.Flags().StringVar(&budget, "budget-usd", "", "the run's whole budget from now on, in dollars")
	return cmd
}
