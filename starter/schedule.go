package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// catchUp is how late a month may still be started after Temporal was down. What
// is missed by more is for a person to start.
const catchUp = 72 * time.Hour

func (p *program) scheduleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Bill a plan every month",
		Long: "Bill a plan every month, by a schedule on the Temporal server. A month is billed once, however\n" +
			"often it is asked for: by the schedule, by a trigger or a backfill of it, or by 'starter run'.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.scheduleCreateCommand(), p.schedulePauseCommand(), p.scheduleResumeCommand(), p.scheduleDeleteCommand(), p.scheduleShowCommand())
	return cmd
}

// moment is when in a month a schedule starts its run, in UTC.
type moment struct {
	day int
	at  string // HH:MM
}

func (m moment) calendar() (client.ScheduleCalendarSpec, error) {
	clock, err := time.Parse("15:04", m.at)
	if err != nil {
		return client.ScheduleCalendarSpec{}, usage(fmt.Sprintf("--at is %q: give a time of the day in UTC, such as 06:00", m.at))
	}
	if m.day < 1 || m.day > 28 {
		return client.ScheduleCalendarSpec{}, usage(fmt.Sprintf("--day is %d: it must be from 1 to 28, which every month has", m.day))
	}
	return client.ScheduleCalendarSpec{
		DayOfMonth: []client.ScheduleRange{{Start: m.day}},
		Hour:       []client.ScheduleRange{{Start: clock.Hour()}},
		Minute:     []client.ScheduleRange{{Start: clock.Minute()}},
	}, nil
}

func (p *program) scheduleCreateCommand() *cobra.Command {
	var req request
	var when moment
	var paused bool
	cmd := &cobra.Command{
		Use:   "create --plan PLAN --customers FILE --budget-usd DOLLARS",
		Short: "Bill a plan every month from now on",
		Long: "Bill a plan every month from now on. A run bills the month, in UTC, in which it is meant to start,\n" +
			"under a budget of its own and with the customer list as that is then.",
		Example: "  starter schedule create --plan pro --customers /srv/billing/pro.csv --budget-usd 500 --day 1 --at 06:00",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.createSchedule(cmd.Context(), &req, when, paused)
		},
	}
	cmd.Flags().StringVar(&req.target.plan, "plan", "", "plan to bill")
	req.bindTerms(cmd.Flags())
	cmd.Flags().IntVar(&when.day, "day", 1, "day of the month, 1 to 28")
	cmd.Flags().StringVar(&when.at, "at", "06:00", "time of the day in UTC")
	cmd.Flags().BoolVar(&paused, "paused", false, "start nothing until 'starter schedule resume'")
	return cmd
}

func (p *program) createSchedule(ctx context.Context, req *request, when moment, paused bool) error {
	plan := req.target.plan
	if err := checkPlan(plan); err != nil {
		return err
	}
	calendar, err := when.calendar()
	if err != nil {
		return err
	}
	in, err := req.terms(ctx)
	if err != nil {
		return err
	}
	now := in.Pinned
	in.Plan, in.Pinned = plan, customerlist.Pinned{} // each month pins its own
	scheduled := workflows.ScheduledInput{Billing: in}
	if err := scheduled.Validate(); err != nil {
		return usage(err.Error())
	}
	connected, opts, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer connected.Close()
	id := workflows.ScheduleID(plan)
	_, err = connected.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID:            id,
		Spec:          client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{calendar}},
		Overlap:       enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: catchUp,
		Paused:        paused,
		Action: &client.ScheduleWorkflowAction{
			ID: id + "-schedule", Workflow: workflows.ScheduledBilling, Args: []any{scheduled}, TaskQueue: workflows.TaskQueue,
			StaticSummary: "bills plan " + plan + " every month",
		},
	})
	switch {
	case errors.Is(err, temporal.ErrScheduleAlreadyRunning):
		return &exit{code: exitDuplicate, text: fmt.Sprintf("plan %s has a schedule already; nothing was changed: 'starter schedule show --plan %s' shows it, 'starter schedule delete --plan %s' removes it", plan, plan, plan)}
	case err != nil:
		return temporaldial.Refusal(opts, "create the schedule "+id, err)
	}
	_, err = fmt.Fprintf(p.stdout, "schedule %s: plan %s on day %d of each month at %s UTC, budget %s a month; the list has %s customers now\n",
		id, plan, when.day, when.at, dollars(in.BudgetUSD), count(now.Count))
	return err
}

func checkPlan(plan string) error {
	if plan == "" {
		return usage("which plan? give --plan, such as --plan pro")
	}
	if err := workflows.ValidatePlan(plan); err != nil {
		return usage(err.Error())
	}
	return nil
}

func (p *program) schedulePauseCommand() *cobra.Command {
	return p.onSchedule("pause", "Start no further month until resumed", func(ctx context.Context, h client.ScheduleHandle, note string) (string, error) {
		if note == "" {
			note = "no reason given" // else the SDK writes a note of its own
		}
		return "paused; a run that is under way goes on", h.Pause(ctx, client.SchedulePauseOptions{Note: note})
	})
}

func (p *program) scheduleResumeCommand() *cobra.Command {
	return p.onSchedule("resume", "Go on after a pause; months missed meanwhile are not made up for", func(ctx context.Context, h client.ScheduleHandle, note string) (string, error) {
		return "goes on", h.Unpause(ctx, client.ScheduleUnpauseOptions{Note: note})
	})
}

func (p *program) scheduleDeleteCommand() *cobra.Command {
	return p.onSchedule("delete", "Bill no further month", func(ctx context.Context, h client.ScheduleHandle, _ string) (string, error) {
		return "deleted; a run that is under way goes on", h.Delete(ctx)
	})
}

// onSchedule is a command that does one thing to a plan's schedule.
func (p *program) onSchedule(verb, short string, do func(context.Context, client.ScheduleHandle, string) (string, error)) *cobra.Command {
	var plan, reason string
	cmd := &cobra.Command{
		Use: verb + " --plan PLAN", Short: short, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withSchedule(cmd.Context(), plan, verb, func(h client.ScheduleHandle) error {
				text, err := do(cmd.Context(), h, reason)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(p.stdout, "schedule %s %s\n", h.GetID(), text)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&plan, "plan", "", "plan of the schedule")
	if verb != "delete" {
		cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept with the schedule")
	}
	return cmd
}

func (p *program) withSchedule(ctx context.Context, plan, verb string, do func(client.ScheduleHandle) error) error {
	if err := checkPlan(plan); err != nil {
		return err
	}
	connected, opts, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer connected.Close()
	id := workflows.ScheduleID(plan)
	err = do(connected.ScheduleClient().GetHandle(ctx, id))
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		return fmt.Errorf("plan %s has no schedule in namespace %s; 'starter schedule create' makes one", plan, opts.Namespace)
	case err != nil:
		return temporaldial.Refusal(opts, verb+" the schedule "+id, err)
	}
	return nil
}

// scheduleView is what 'schedule show' tells.
type scheduleView struct {
	ScheduleID string      `json:"schedule_id"`
	Paused     bool        `json:"paused"`
	Note       string      `json:"note,omitempty"`
	Running    []string    `json:"running,omitempty"` // workflow IDs
	Next       []time.Time `json:"next,omitempty"`
	Skipped    int         `json:"skipped"`         // months whose start met a run that was under way
	Missed     int         `json:"missed_too_late"` // months that Temporal was down for too long
}

func (p *program) scheduleShowCommand() *cobra.Command {
	var plan string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show --plan PLAN", Short: "Show a plan's schedule", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withSchedule(cmd.Context(), plan, "look up", func(h client.ScheduleHandle) error {
				found, err := h.Describe(cmd.Context())
				if err != nil {
					return err
				}
				return p.showSchedule(h.GetID(), found, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&plan, "plan", "", "plan of the schedule")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the result as JSON")
	return cmd
}

func (p *program) showSchedule(id string, found *client.ScheduleDescription, asJSON bool) error {
	view := scheduleView{ScheduleID: id, Next: found.Info.NextActionTimes, Skipped: found.Info.NumActionsSkippedOverlap, Missed: found.Info.NumActionsMissedCatchupWindow}
	if state := found.Schedule.State; state != nil {
		view.Paused, view.Note = state.Paused, state.Note
	}
	for _, running := range found.Info.RunningWorkflows {
		view.Running = append(view.Running, running.WorkflowID)
	}
	if asJSON {
		return writeJSON(p.stdout, view)
	}
	line := "next on "
	switch {
	case view.Paused:
		line = "paused"
	case len(view.Next) == 0:
		line = "no further month"
	default:
		line += stamp(view.Next[0])
	}
	if view.Note != "" {
		line += " (" + view.Note + ")"
	}
	_, err := fmt.Fprintf(p.stdout, "schedule %s: %s; %d running, %d skipped, %d missed\n", id, line, len(view.Running), view.Skipped, view.Missed)
	return err
}
