// Command record runs each way through the workflows once, on a real Temporal
// server, and writes their histories to workflows/testdata, where the replay
// tests hold today's code to them. `make record` builds what it needs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

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
	args    []string // further ones of `starter run`
	during  func(context.Context, *stack.Stack, string) error
	dear    int               // every so manieth customer pays $30 instead of $10; zero: none
	chain   bool              // on a server that suggests to continue as new early
	save    map[string]string // file name by workflow ID, "" for the run itself
}

func scenarios() []scenario {
	return []scenario{
		{plan: "happy", methods: []string{good}, budget: "1000", save: map[string]string{"": "billing_happy.json"}},
		{plan: "cap", methods: []string{good}, budget: "300", save: map[string]string{"": "billing_cap.json", "/batch/0": "charge_batch.json"}},
		{plan: "decline", methods: []string{good, bad}, budget: "1000", save: map[string]string{"": "billing_decline.json"}},
		{
			plan: "many", methods: []string{good, good, good, bad}, budget: "1000", args: []string{"--charges-per-activity", "10"},
			save: map[string]string{"": "billing_many.json", "/batch/1": "charge_batch_many.json"},
		},
		{
			plan: "expired", methods: []string{good}, budget: "1000", args: []string{"--key-ttl", "1s", "--key-renewals", "100", "--window", "1"},
			save: map[string]string{"": "billing_expired.json"},
		},
		{
			plan: "canceled", methods: []string{good}, budget: "1000", args: []string{"--charges-per-activity", "10"}, during: cancelRun,
			save: map[string]string{"": "billing_canceled.json", "/batch/0": "charge_batch_canceled.json"},
		},
		{
			// Of ten items, so that a batch is long enough for a server that suggests early.
			plan: "long", methods: []string{good}, budget: "1000", args: []string{"--parallelism", "1", "--batch-size", "10"}, chain: true,
			save: map[string]string{"": "billing_continued.json", "/batch/1": "charge_batch_continued.json"},
		},
		{
			plan: "approved", methods: []string{good}, budget: "1000", dear: 3, args: []string{"--approve-above-usd", "20"}, during: decide,
			save: map[string]string{"": "billing_approved.json"},
		},
		{
			// One activity of all items, long enough to be interrupted by the pause.
			plan: "paused", methods: []string{good}, budget: "1000", during: pause,
			args: []string{"--charges-per-activity", "60", "--batch-size", "60", "--window", "1", "--activity-window", "1"},
			save: map[string]string{"": "billing_paused.json", "/batch/0": "charge_batch_paused.json"},
		},
		{plan: "reset", methods: []string{good}, budget: "1000", during: reset, save: map[string]string{"": "billing_reset.json"}},
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
	for _, chain := range []bool{false, true} {
		folder := filepath.Join(dir, fmt.Sprintf("chain-%t", chain))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
		cfg := stack.Config{Dir: folder, Bin: bin, Temporal: temporal, Faults: "none", Latency: 50 * time.Millisecond}
		if chain {
			cfg.TemporalArgs = []string{"--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20"}
		}
		if err := recordOn(ctx, cfg, chain); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// recordOn records the scenarios that are for one kind of server.
func recordOn(ctx context.Context, cfg stack.Config, chain bool) error {
	s, err := stack.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.StartWorker(ctx); err != nil {
		return err
	}
	for _, sc := range scenarios() {
		if sc.chain != chain {
			continue
		}
		if err := sc.record(ctx, s, cfg.Dir); err != nil {
			return fmt.Errorf("%s: %w", sc.plan, err)
		}
	}
	return nil
}

// attention is the starter's exit code for a run that ended and needs a look.
const attention = 4

// customers is small, since a history is kept in the repository, and large
// enough for two batches with more than one window each.
const customers = 60

func (sc scenario) record(ctx context.Context, s *stack.Stack, dir string) error {
	list := filepath.Join(dir, sc.plan+".csv")
	var text strings.Builder
	text.WriteString("customer,payment_method,amount_cents,currency,email,phone\n")
	for i := range customers {
		cents := 1000
		if sc.dear > 0 && i%sc.dear == 0 {
			cents = 3000
		}
		fmt.Fprintf(&text, "cus_%s_%03d,%s,%d,usd,c%d@example.com,+1201555%04d\n", sc.plan, i, sc.methods[i%len(sc.methods)], cents, i, 100+i)
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
	var exit *exec.ExitError
	err = cmd.Wait()
	canceled := errors.As(err, &exit) && exit.ExitCode() == 1 && sc.during != nil
	if err != nil && !canceled && (exit == nil || exit.ExitCode() != attention) {
		return err
	}
	for suffix, name := range sc.save {
		runID := "" // the latest
		if sc.chain {
			// The first link of the chain is the one that continues as new.
			if runID, err = firstRun(ctx, s, id+suffix); err != nil {
				return err
			}
		}
		if err := save(ctx, s, id+suffix, runID, filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// firstRun is the run ID of the first link of a chain.
func firstRun(ctx context.Context, s *stack.Stack, id string) (string, error) {
	history, err := s.History(ctx, id, "")
	if err != nil {
		return "", err
	}
	return history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetFirstExecutionRunId(), nil
}

// save writes a history with its payloads in clear: what it holds can be reviewed,
// and is replayed without a key.
func save(ctx context.Context, s *stack.Stack, id, runID, path string) error {
	events, err := s.History(ctx, id, runID)
	if err != nil {
		return err
	}
	keys, err := s.Keys()
	if err != nil {
		return err
	}
	if err := keys.Clear(ctx, events); err != nil {
		return err
	}
	raw, err := protojson.Marshal(events)
	if err != nil {
		return err
	}
	// Again, since protojson varies its spaces on purpose.
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return err
	}
	text.WriteByte('\n')
	return os.WriteFile(path, text.Bytes(), 0o600)
}

// revoke closes the run once the vendor has made some of its charges.
func revoke(ctx context.Context, s *stack.Stack, id string) error {
	return afterSome(ctx, s, func() error { return s.Starter(ctx, "revoke", id).Run() })
}

// cancelRun cancels the run at such a moment.
func cancelRun(ctx context.Context, s *stack.Stack, id string) error {
	return afterSome(ctx, s, func() error { return s.TemporalCLI(ctx, "workflow", "cancel", "--workflow-id", id).Run() })
}

// decide pauses the run and resumes it, raises its budget, and approves most of
// what waits for it.
func decide(ctx context.Context, s *stack.Stack, id string) error {
	return afterSome(ctx, s, func() error {
		for _, args := range [][]string{
			{"pause", id}, {"raise-budget", id, "--budget-usd", "1200"}, {"resume", id},
			{"reject", id, "--items", "0,3-3"}, {"approve", id},
		} {
			if err := ask(ctx, s, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

func ask(ctx context.Context, s *stack.Stack, args ...string) error {
	out, err := s.Starter(ctx, append(args, "--by", "Ada Lovelace", "--reason", "checked against the contract")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("starter %s: %w: %s", args[0], err, out)
	}
	return nil
}

// pause holds the run until it has come to rest, and resumes it.
func pause(ctx context.Context, s *stack.Stack, id string) error {
	return afterSome(ctx, s, func() error {
		if err := ask(ctx, s, "pause", id); err != nil {
			return err
		}
		if err := standStill(ctx, s); err != nil {
			return err
		}
		return ask(ctx, s, "resume", id)
	})
}

// standStill waits until a second has passed without a charge.
func standStill(ctx context.Context, s *stack.Stack) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := -1; ; {
		truth, err := s.Truth(ctx)
		if err != nil || truth.Charges == last {
			return err
		}
		last = truth.Charges
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reset takes the run back by a workflow task while it charges, and waits for the
// execution that goes on from there.
func reset(ctx context.Context, s *stack.Stack, id string) error {
	return afterSome(ctx, s, func() error {
		err := s.TemporalCLI(ctx, "workflow", "reset", "--workflow-id", id, "--type", "LastWorkflowTask", "--reason", "recorded").Run()
		if err != nil {
			return err
		}
		var exit *exec.ExitError
		err = s.Starter(ctx, "status", id, "--wait").Run()
		if errors.As(err, &exit) && exit.ExitCode() == attention {
			return nil
		}
		return err
	})
}

func afterSome(ctx context.Context, s *stack.Stack, do func() error) error {
	before, err := s.Truth(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := s.Truth(ctx); err == nil && now.Charges > before.Charges+5 {
			return do()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
