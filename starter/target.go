package main

import (
	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// target names the run that a command is about: by the plan and period that it
// bills, by its workflow ID, or by the label that the ledger has for it.
type target struct {
	plan, period string
	label        string
}

func (t *target) bind(fs *pflag.FlagSet) {
	fs.StringVar(&t.plan, "plan", "", "plan that the run bills, with --period")
	fs.StringVar(&t.period, "period", "", "month that the run bills, as YYYY-MM")
}

// bindLabel is for the commands that ask the ledger, which also has runs that
// no workflow of ours made.
func (t *target) bindLabel(fs *pflag.FlagSet) {
	t.bind(fs)
	fs.StringVar(&t.label, "run-label", "", "the ledger's name of the run (agent_run_label), in place of a workflow ID")
}

func (t *target) named(args []string) bool {
	return len(args) > 0 || t.plan != "" || t.period != "" || t.label != ""
}

func (t *target) workflowID(args []string) (string, error) {
	byFlags := t.plan != "" || t.period != ""
	switch {
	case len(args) > 0 && byFlags:
		return "", usage("name the run once: by its workflow ID, or by --plan and --period")
	case len(args) > 0 && args[0] == "":
		return "", usage("the workflow ID is empty")
	case len(args) > 0:
		return args[0], nil
	case !byFlags:
		return "", usage("which run? name it by --plan and --period, or by its workflow ID such as billing-pro-2026-11")
	}
	return workflowID(t.plan, t.period)
}

// runLabel needs no connection to Temporal: a run must be revocable while
// Temporal is down.
func (p *program) runLabel(t *target, args []string) (string, error) {
	if t.label != "" {
		if len(args) > 0 || t.plan != "" || t.period != "" {
			return "", usage("name the run once: by --run-label, by its workflow ID, or by --plan and --period")
		}
		return t.label, nil
	}
	id, err := t.workflowID(args)
	if err != nil {
		return "", err
	}
	opts, err := temporaldial.Plain(temporaldial.Config{Env: p.env})
	if err != nil {
		return "", err
	}
	return workflows.RunLabel(opts.Namespace, id), nil
}

func workflowID(plan, period string) (string, error) {
	if plan == "" {
		return "", usage("which plan? give --plan, such as --plan pro")
	}
	if period == "" {
		return "", usage("which month? give --period, such as --period 2026-11")
	}
	id, err := workflows.BillingWorkflowID(plan, period)
	if err != nil {
		return "", usage(err.Error())
	}
	return id, nil
}
