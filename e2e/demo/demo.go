package demo

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// The run that the demo starts.
const (
	Plan   = "pro"
	Period = "2026-11"
)

// budgetShare is how much of the list the default budget covers, in percent:
// enough to show a long run, and not all of it.
const budgetShare = 80

// Config says what to run.
type Config struct {
	Stack     stack.Config
	Customers int
	BudgetUSD money.USD // zero: most of the list's total, but not all of it
	RunArgs   []string  // further arguments of `starter run`
	Notices   bool      // e-mail receipts to who was charged, and text them
	Out       io.Writer // what a person reads
	Err       io.Writer // progress
	// During is called once the run has started, in parallel to it.
	During func(context.Context, *stack.Stack) error
	// After is called when everything has been checked and still runs.
	After func(context.Context, *stack.Stack, Result) error
}

// ErrFailed is returned, with what was wrong, when the run is not as it must be.
var ErrFailed = errors.New("the demo failed")

// Run runs the demo and stops all that it started. The Result is filled in as
// far as it got.
func Run(ctx context.Context, cfg Config) (Result, error) {
	list, budget, err := WriteCustomers(ctx, cfg.Stack, cfg.Customers, cfg.BudgetUSD)
	if err != nil {
		return Result{}, err
	}
	say(cfg.Out, "starting a Temporal server, a vendor that misbehaves (seed %d) and a worker with the vault proxy", cfg.Stack.Seed)
	s, err := stack.Start(ctx, cfg.Stack)
	if err != nil {
		return Result{}, err
	}
	defer s.Close()
	if err := s.StartWorker(ctx); err != nil {
		return Result{}, err
	}
	say(cfg.Out, "logs, ledger and keys: %s\n", cfg.Stack.Dir)

	began := time.Now()
	if err := bill(ctx, cfg, s, list, budget); err != nil {
		return Result{}, err
	}
	seconds := time.Since(began)
	if err := report(ctx, cfg, s); err != nil {
		return Result{}, err
	}
	out, wrong, err := Check(ctx, s, budget)
	if err != nil {
		return out, err
	}
	wrong = append(wrong, missing(out)...)
	out.Seconds = float64(seconds.Milliseconds()) / 1000
	if cfg.After != nil {
		if err := cfg.After(ctx, s, out); err != nil {
			return out, err
		}
	}
	if len(wrong) > 0 {
		return out, fmt.Errorf("%w:\n  %s", ErrFailed, strings.Join(wrong, "\n  "))
	}
	say(cfg.Out, "\nworker: %d MiB at its peak; longest history: %d events, largest: %d KiB, of %d",
		out.WorkerPeakBytes>>20, out.Histories.Longest.Events, out.Histories.Largest.Bytes>>10, out.Histories.Executions)
	say(cfg.Out, "ledger and vendor agree on every one of %d charges", out.VendorCharges)
	return out, nil
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }

// WriteCustomers writes a list to charge, made up by the stack's seed, into its
// folder. A budget of zero becomes most of the list's total, but not all of it.
func WriteCustomers(ctx context.Context, s stack.Config, customers int, budget money.USD) (path string, _ money.USD, err error) {
	source := customerlist.Source{Generate: customers, Seed: s.Seed}
	pinned, err := customerlist.Pin(ctx, source)
	if err != nil {
		return "", 0, err
	}
	contacts, err := customerlist.NewReader().Contacts(ctx, source, pinned, 0, pinned.Count)
	if err != nil {
		return "", 0, err
	}
	path = filepath.Join(s.Dir, "customers.csv")
	f, err := os.Create(path)
	if err != nil {
		return "", 0, err
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"customer", "payment_method", "amount_cents", "currency", "email", "phone"})
	for _, made := range contacts {
		c := made.Customer
		_ = w.Write([]string{c.ID, c.PaymentMethod, strconv.FormatInt(c.AmountCents, 10), c.Currency, made.Email, made.Phone})
	}
	w.Flush()
	if budget == 0 {
		budget = max(pinned.TotalUSD/money.Dollar*budgetShare/100, 1) * money.Dollar
	}
	return path, budget, errors.Join(w.Error(), f.Close())
}

// bill runs the starter as a person would, to the end of the run.
func bill(ctx context.Context, cfg Config, s *stack.Stack, list string, budget money.USD) error {
	args := append([]string{
		"run", "--plan", Plan, "--period", Period, "--customers", list, "--budget-usd", budget.String(), "--wait",
	}, cfg.RunArgs...)
	if cfg.Notices {
		args = append(args, noticeArgs(cfg.Customers)...)
	}
	cmd := s.Starter(ctx, args...)
	cmd.Stdout, cmd.Stderr = cfg.Out, cfg.Err
	var during chan error
	if cfg.During != nil {
		during = make(chan error, 1)
		go func() { during <- cfg.During(ctx, s) }()
	}
	err := cmd.Run()
	if during != nil {
		if err := <-during; err != nil {
			return err
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitAttention {
		return nil // the list holds customers that fail on purpose
	}
	if err != nil {
		return fmt.Errorf("starter run: %w", err)
	}
	return nil
}

// exitAttention is the starter's exit code for a run that ended and needs a look.
const exitAttention = 4

// report prints what the run spent, as a person would ask for it.
func report(ctx context.Context, cfg Config, s *stack.Stack) error {
	cmd := s.Starter(ctx, "report", "--plan", Plan, "--period", Period)
	cmd.Stdout, cmd.Stderr = cfg.Out, cfg.Err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("starter report: %w", err)
	}
	return nil
}

// Check compares what the three say who know something of a run of Plan and
// Period that has ended, and lists everything that must not be. The budget is what
// the run was started with: a proxy under test may tell of another one.
func Check(ctx context.Context, s *stack.Stack, budget money.USD) (Result, []string, error) {
	id, err := workflows.BillingWorkflowID(Plan, Period)
	if err != nil {
		return Result{}, nil, err
	}
	raw, err := s.Starter(ctx, "status", id, "--json").Output()
	if err != nil {
		return Result{}, nil, fmt.Errorf("starter status: %w", err)
	}
	var status struct {
		Summary *workflows.Summary `json:"summary"`
	}
	if err := json.Unmarshal(raw, &status); err != nil || status.Summary == nil {
		return Result{}, nil, errors.Join(errors.New("the run left no summary"), err)
	}
	control, err := s.Control()
	if err != nil {
		return Result{}, nil, err
	}
	ledger, calls, err := booked(ctx, control, status.Summary.RunLabel)
	if err != nil {
		return Result{}, nil, err
	}
	written, err := bookedNotices(ctx, control, *status.Summary)
	if err != nil {
		return Result{}, nil, err
	}
	truth, err := s.Truth(ctx)
	if err != nil {
		return Result{}, nil, err
	}
	out := outcome(*status.Summary, budget, ledger, truth)
	if out.Histories, err = measureHistories(ctx, s); err != nil {
		return out, nil, err
	}
	if peak, err := s.Worker().PeakMemory(); err == nil {
		out.WorkerPeakBytes = peak
	}
	wrong := problems(out, *status.Summary, ledger, calls, truth)
	wrong = append(wrong, noticeProblems(&out, *status.Summary, written, truth)...)
	return out, wrong, nil
}

// booked is what the ledger keeps under one label.
func booked(ctx context.Context, control *client.Client, label string) (client.RunReport, []client.Call, error) {
	report, err := control.RunReport(ctx, label)
	if err != nil {
		return report, nil, err
	}
	calls, err := allCalls(ctx, control, label)
	return report, calls, err
}

func allCalls(ctx context.Context, control *client.Client, run string) ([]client.Call, error) {
	var calls []client.Call
	q := client.CallQuery{Run: run, Limit: 1000}
	for {
		page, err := control.Calls(ctx, q)
		if err != nil {
			return nil, err
		}
		calls = append(calls, page.Calls...)
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			return calls, nil
		}
	}
}
