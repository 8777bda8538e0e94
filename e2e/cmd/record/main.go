// Command record runs each way through the workflows once, on a real Temporal
// server, and writes their histories to workflows/testdata, where the replay
// tests hold today's code to them. `make record` builds what it needs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/workflows"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

const (
	folder = "workflows/testdata"
	period = "2026-11"
	good   = "pm_card_visa"
	bad    = "pm_card_chargeDeclined"
)

// scenario is one way through the workflows.
type scenario struct {
	plan    string
	methods []string // payment methods, in turn over the customers
	budget  string
	during  func(context.Context, *stack.Stack, string) error
	args    []string          // further ones of `starter run`
	save    map[string]string // file name by workflow ID, "" for the run itself
}

func scenarios() []scenario {
	return []scenario{
		{plan: "happy", methods: []string{good}, budget: "1000", save: map[string]string{"": "billing_happy.json"}},
		{plan: "cap", methods: []string{good}, budget: "300", save: map[string]string{"": "billing_cap.json", "/batch/0": "charge_batch.json"}},
		{plan: "decline", methods: []string{good, bad}, budget: "1000", save: map[string]string{"": "billing_decline.json"}},
		{plan: "revoked", methods: []string{good}, budget: "1000", during: revoke, save: map[string]string{"": "billing_revoked.json"}},
		{plan: "notices", methods: []string{good, bad}, budget: "1000", args: []string{
			"--receipts-from", "Tollgate <billing@" + stack.ResendFromDomain + ">", "--receipts-budget-usd", "0.02",
			"--texts-from", "+12015550199", "--texts-budget-usd", "10",
		}, save: map[string]string{"": "billing_notices.json", "/receipts/0": "notify_receipts.json", "/texts/0": "notify_texts.json"}},
	}
}

func run(ctx context.Context) error {
	temporal := os.Getenv("TOLLGATE_TEMPORAL")
	if temporal == "" {
		return errors.New("no Temporal CLI: run `make record`, which finds or builds one")
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tollgate-record-")
	if err != nil {
		return err
	}
	s, err := stack.Start(ctx, stack.Config{
		Dir: dir, Bin: bin, Temporal: temporal, Faults: "none", Latency: 50 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.StartWorker(ctx); err != nil {
		return err
	}
	for _, sc := range scenarios() {
		if err := sc.record(ctx, s, dir); err != nil {
			return fmt.Errorf("%s: %w", sc.plan, err)
		}
	}
	return os.RemoveAll(dir)
}

// customers is small, since a history is kept in the repository, and large
// enough for two batches with more than one window each.
const customers = 60

func (sc scenario) record(ctx context.Context, s *stack.Stack, dir string) error {
	list := filepath.Join(dir, sc.plan+".csv")
	var text strings.Builder
	text.WriteString("customer,payment_method,amount_cents,currency,email,phone\n")
	for i := range customers {
		fmt.Fprintf(&text, "cus_%s_%03d,%s,1000,usd,c%d@example.com,+1201555%04d\n", sc.plan, i, sc.methods[i%len(sc.methods)], i, 100+i)
	}
	if err := os.WriteFile(list, []byte(text.String()), 0o600); err != nil {
		return err
	}
	id, err := workflows.BillingWorkflowID(sc.plan, period)
	if err != nil {
		return err
	}
	cmd := s.Starter(ctx, append([]string{
		"run", "--plan", sc.plan, "--period", period, "--customers", list, "--budget-usd", sc.budget,
		"--batch-size", "30", "--window", "4", "--wait",
	}, sc.args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	if sc.during != nil {
		if err := sc.during(ctx, s, id); err != nil {
			return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
		}
	}
	const attention = 4 // the starter's exit code for a run that ended and needs a look
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != attention) {
		return err
	}
	for suffix, name := range sc.save {
		history, err := s.TemporalCLI(ctx, "workflow", "show", "--workflow-id", id+suffix, "--output", "json").Output()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), history, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// revoke closes the run once the vendor has made some of its charges.
func revoke(ctx context.Context, s *stack.Stack, id string) error {
	before, err := s.Truth(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := s.Truth(ctx); err == nil && now.Charges > before.Charges+5 {
			return s.Starter(ctx, "revoke", id).Run()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
