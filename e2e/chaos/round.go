package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/e2e/stack"
)

// Config says what a round is made of.
type Config struct {
	Stack     stack.Config // Dir is the folder that each round gets one of its own in; Proxy must be named
	Customers int
	RunArgs   []string      // further arguments of `starter run`
	Deadline  time.Duration // by which the run must have completed and every call be final
	Log       io.Writer     // what is being done, for a person
}

// Round runs one round and stops all that it started. What went wrong with the
// run is in the Result; the error is for what kept the round from being one.
func Round(ctx context.Context, cfg Config, seed int64, round int) (_ Result, err error) {
	cfg.Stack.Dir = filepath.Join(cfg.Stack.Dir, fmt.Sprintf("round-%d", round))
	cfg.Stack.Seed = seed + int64(round)
	cfg.Stack.TemporalArgs = append(cfg.Stack.TemporalArgs, "--db-filename", filepath.Join(cfg.Stack.Dir, "temporal.db"))
	if err := os.MkdirAll(cfg.Stack.Dir, 0o700); err != nil {
		return Result{}, err
	}
	list, budget, err := demo.WriteCustomers(ctx, cfg.Stack, cfg.Customers, 0)
	if err != nil {
		return Result{}, err
	}
	s, err := stack.Start(ctx, cfg.Stack)
	if err != nil {
		return Result{}, err
	}
	defer s.Close()
	if err := s.StartWorker(ctx); err != nil {
		return Result{}, err
	}
	args := append([]string{
		"run", "--plan", demo.Plan, "--period", demo.Period, "--customers", list, "--budget-usd", budget.String(),
	}, cfg.RunArgs...)
	if out, err := s.Starter(ctx, args...).CombinedOutput(); err != nil {
		return Result{}, fmt.Errorf("starter run: %w: %s", err, out)
	}
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, cfg.Deadline)
	defer cancel()
	f := &fire{cfg: cfg, stack: s}
	err = f.fall(within, plan(seed, round))
	if err == nil {
		err = f.completed(within)
	}
	out := Result{Round: round, Seed: seed}
	out.Seconds = time.Since(began).Truncate(time.Millisecond).Seconds()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		out.Problems = []string{fmt.Sprintf("not completed within %s", cfg.Deadline)}
		return out, nil
	}
	if err != nil {
		return out, err
	}
	found, problems, err := demo.Check(ctx, s, budget)
	if err != nil {
		return out, err
	}
	found.Seconds = out.Seconds
	out.Result = found
	out.Problems = problems
	out.struck(f.kills, found.VendorCharges)
	out.OK = len(out.Problems) == 0
	return out, nil
}

// kill is one part that was killed, when the vendor had made so many charges.
type kill struct {
	part    Part
	charges int
}

// fire deals the blows of one round.
type fire struct {
	cfg   Config
	stack *stack.Stack
	kills []kill
}

// expectedShare is about how many customers of a list get charged before the
// budget is used up.
const expectedShare = 0.7

func (f *fire) fall(ctx context.Context, blows []blow) error {
	for _, b := range blows {
		charges, err := f.await(ctx, int(b.share*expectedShare*float64(f.cfg.Customers)))
		if err != nil {
			return err
		}
		for _, part := range b.parts {
			if err := f.kill(part); err != nil {
				return err
			}
			f.kills = append(f.kills, kill{part, charges})
		}
		_, _ = fmt.Fprintf(f.cfg.Log, "  killed %v after %d charges, down for %s\n", b.parts, charges, b.down.Truncate(time.Millisecond))
		if err := pause(ctx, b.down); err != nil {
			return err
		}
		// What others need comes first.
		for _, part := range []Part{Temporal, Proxy, Worker} {
			if err := f.restart(ctx, part, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fire) kill(part Part) error {
	switch part {
	case Worker:
		return f.stack.KillWorker()
	case Proxy:
		return f.stack.KillProxy()
	case Temporal:
		return f.stack.KillTemporal()
	}
	return fmt.Errorf("no part %q", part)
}

func (f *fire) restart(ctx context.Context, part Part, b blow) error {
	for _, killed := range b.parts {
		if killed != part {
			continue
		}
		switch part {
		case Worker:
			return f.stack.StartWorker(ctx)
		case Proxy:
			return f.stack.RestartProxy(ctx)
		case Temporal:
			return f.stack.RestartTemporal(ctx)
		}
	}
	return nil
}

// await returns once the vendor has made so many charges, or the run has ended.
func (f *fire) await(ctx context.Context, charges int) (int, error) {
	for {
		truth, err := f.stack.Truth(ctx)
		if err != nil {
			return 0, err
		}
		if truth.Charges >= max(1, charges) {
			return truth.Charges, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// completed waits until the run has completed and none of its calls is open.
func (f *fire) completed(ctx context.Context) error {
	for {
		var status struct {
			Status   string `json:"status"`
			RunLabel string `json:"run_label"`
			Summary  *struct {
				RunLabel string `json:"run_label"`
			} `json:"summary"`
		}
		raw, err := f.stack.Starter(ctx, "status", "--plan", demo.Plan, "--period", demo.Period, "--json").Output()
		if err == nil {
			err = json.Unmarshal(raw, &status)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // what it asks may be starting again
		case status.Status == "completed" && status.Summary != nil:
			return f.final(ctx, status.Summary.RunLabel)
		case status.Status != "running":
			return fmt.Errorf("the run is %s", status.Status)
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// final waits for the reconciler.
func (f *fire) final(ctx context.Context, run string) error {
	control, err := f.stack.Control()
	if err != nil {
		return err
	}
	for {
		report, err := control.RunReport(ctx, run)
		if err != nil {
			return err
		}
		if open := report.Calls; open.InFlight+open.Committed+open.Unknown == 0 {
			return nil
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
