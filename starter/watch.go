package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/workflows"
)

const (
	pollEvery = 500 * time.Millisecond
	// queryTimeout bounds one look at a run. A query waits for a worker, and
	// without one it would wait as long as it may.
	queryTimeout = 5 * time.Second
	// patience is how long a run may go without answering, or without getting
	// past its start, before the person watching is told.
	patience = 8 * time.Second
)

// watchToEnd follows a run until it ends, then writes its summary.
func (p *program) watchToEnd(ctx context.Context, connected client.Client, opts client.Options, run client.WorkflowRun, asJSON bool) error {
	id := run.GetID()
	view := p.progressView(id)
	summary, err := p.follow(ctx, connected, opts, run, view)
	view.end()
	if ctx.Err() != nil {
		return &exit{code: exitInterrupted, text: fmt.Sprintf("no longer watching, but %s goes on: 'starter status %s --wait' watches again, 'starter revoke %s' stops its spending", id, id, id)}
	}
	failure := err
	if canceled, ok := canceledSummary(err); ok {
		summary = canceled
	} else if err != nil {
		return p.runFailure(opts, id, err)
	}
	if asJSON {
		err = writeJSON(p.stdout, summary)
	} else {
		err = writeSummary(p.stdout, summary)
	}
	switch {
	case err != nil:
		return err
	case failure != nil:
		return p.runFailure(opts, id, failure)
	}
	return attention(summary)
}

// canceledSummary is the summary that a canceled run leaves: it stops orderly,
// and what it charged until then counts.
func canceledSummary(err error) (workflows.Summary, bool) {
	var canceled *temporal.CanceledError
	var summary workflows.Summary
	if !errors.As(err, &canceled) || !canceled.HasDetails() || canceled.Details(&summary) != nil {
		return summary, false
	}
	return summary, true
}

// follow waits for the result; meanwhile it asks the run for its progress.
func (p *program) follow(ctx context.Context, connected client.Client, opts client.Options, run client.WorkflowRun, view progressView) (workflows.Summary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	looking, stopLooking := context.WithCancel(ctx)
	defer stopLooking()
	ended := make(chan error, 1)
	var summary workflows.Summary
	go func() {
		ended <- run.Get(ctx, &summary)
		stopLooking() // a query under way would delay the result by its timeout
	}()

	ticker := time.NewTicker(p.poll)
	defer ticker.Stop()
	// What would explain a silence is told once, when patience ends.
	moved, told := p.now(), false
	for {
		progress, err := p.queryProgress(looking, connected, run.GetID())
		stuck := "no answer from the run: is a worker up on task queue " + workflows.TaskQueue + "?"
		if payloadcodec.Unreadable(err) {
			stuck = "no progress can be shown: " + p.otherKeys(opts)
		}
		if err == nil {
			view.show(progress)
			stuck = "the run is still starting: the worker's log tells what it waits for"
			if progress.State != workflows.StateStarting {
				moved, told = p.now(), false
			}
		}
		if !told && p.now().Sub(moved) > patience {
			told = true
			if p.failing(looking, connected, run.GetID()) {
				stuck = "a worker fails at the run's tasks and tries again: its log tells why; it may have other codec keys than this starter"
			}
			view.note(stuck)
		}
		select {
		case err := <-ended:
			if err == nil {
				view.show(finished(summary))
			}
			return summary, err
		case <-ticker.C:
		}
	}
}

// failing reports whether a worker has the run in hand and does not get on with it.
func (p *program) failing(ctx context.Context, connected client.Client, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, p.query)
	defer cancel()
	described, err := connected.DescribeWorkflowExecution(ctx, id, "")
	return err == nil && described.GetPendingWorkflowTask().GetAttempt() > 1
}

func (p *program) queryProgress(ctx context.Context, connected client.Client, id string) (workflows.Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, p.query)
	defer cancel()
	var progress workflows.Progress
	// An empty run ID means the latest of the chain: the run may have continued as new.
	answer, err := connected.QueryWorkflow(ctx, id, "", workflows.QueryProgress)
	if err != nil {
		return progress, err
	}
	err = answer.Get(&progress)
	return progress, err
}

// finished is the summary as the last progress, so that the last thing shown
// is the end of the run and not a moment shortly before.
func finished(s workflows.Summary) workflows.Progress {
	return workflows.Progress{
		State:        workflows.StateDone,
		WorkflowID:   s.WorkflowID,
		RunLabel:     s.RunLabel,
		KeyID:        s.KeyID,
		Customers:    s.Customers,
		Charged:      s.Charged,
		Declined:     s.Declined,
		CapDenied:    s.CapDenied,
		NotAttempted: s.NotAttempted,
		Unknown:      s.Unknown,
		Failed:       s.Failed,
		Rejected:     s.Rejected,
		CapUSD:       s.CapUSD,
		SettledUSD:   s.SettledUSD,
		StopReason:   s.StopReason,
	}
}

// runFailure says in one line why a run has no summary.
func (p *program) runFailure(opts client.Options, id string, err error) error {
	var (
		application *temporal.ApplicationError
		terminated  *temporal.TerminatedError
		timeout     *temporal.TimeoutError
		canceled    *temporal.CanceledError
	)
	look := fmt.Sprintf("'starter report %s' shows what it spent", id)
	switch {
	case payloadcodec.Unreadable(err):
		return fmt.Errorf("%s ended, and %s; %s", id, p.otherKeys(opts), look)
	case errors.As(err, &canceled):
		return fmt.Errorf("%s was canceled; %s", id, look)
	case errors.As(err, &terminated):
		return fmt.Errorf("%s was terminated, so its vault key was not revoked: run 'starter revoke %s'; %s", id, id, look)
	case errors.As(err, &application):
		return fmt.Errorf("%s failed: %s: %s; %s", id, application.Type(), application.Message(), look)
	case errors.As(err, &timeout):
		return fmt.Errorf("%s timed out; %s", id, look)
	}
	return fmt.Errorf("%s: %w", id, err)
}
