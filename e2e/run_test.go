package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// programs builds what the runs are made of, once for all tests of the package.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tollgate-e2e-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator),
		"../worker", "../starter", "../vendorsim/cmd/vendorsim", "../vaultproxy/cmd/vaultproxy", "./brokenproxy", "./cmd/demo")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &buildError{string(out)}
	}
	for _, name := range []string{"proxy-without-idempotency", "proxy-check-then-act"} {
		if err := os.Symlink("brokenproxy", filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
})

type buildError struct{ output string }

func (e *buildError) Error() string { return "build the programs: " + e.output }

func TestMain(m *testing.M) {
	m.Run()
	if dir, err := programs(); err == nil {
		_ = os.RemoveAll(dir)
	}
}

// demoConfig is a small run. Most tests with one do not run in parallel: each keeps
// both cores of a small machine busy. Those that kill something under it do, since
// what was in flight then takes minutes to be proved and little else.
func demoConfig(t *testing.T, customers int) demo.Config {
	t.Helper()
	bin, err := programs()
	require.NoError(t, err)
	out := io.Discard
	if testing.Verbose() {
		out = t.Output()
	}
	return demo.Config{
		Customers: customers, Out: out, Err: out,
		Stack: stack.Config{
			Dir: t.TempDir(), Bin: bin, Temporal: peer.Temporal(t), Seed: 1, Slow: 300 * time.Millisecond,
		},
	}
}

func TestRun_StopsAtTheCapAndAgreesWithTheVendor(t *testing.T) {
	cfg := demoConfig(t, 600)
	cfg.Notices = true
	var history strings.Builder
	cfg.After = func(ctx context.Context, s *stack.Stack, _ demo.Result) error {
		return showHistories(ctx, s, &history)
	}
	got, err := demo.Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, 600, got.Charged+got.Declined+got.CapDenied+got.NotAttempted+got.Failed)
	require.Zero(t, got.DuplicateCharges)
	require.Zero(t, got.OverspendUSD)
	require.Zero(t, got.Unknown)

	require.Positive(t, got.Emails.Sent)
	require.Positive(t, got.Texts.Sent)
	require.Zero(t, got.Emails.Duplicates+got.Texts.Duplicates)
	require.Zero(t, got.Emails.Unknown)

	require.Contains(t, history.String(), "IssueVaultKey", "the history is there")
	require.Contains(t, history.String(), "binary/encrypted", "and its payloads were read")
	require.NotContains(t, history.String(), "vault_key_", "the run's vault key is not in it")
	require.NotContains(t, history.String(), "sk_test_", "nor is the vendor's secret")
	require.NotContains(t, history.String(), "admin_", "nor is the admin key")
}

// readable is a history with its payloads, which are base64 in JSON, decoded.
func readable(history []byte) string {
	var text strings.Builder
	text.Write(history)
	for _, m := range regexp.MustCompile(`"(?:data|encoding)":\s*"([A-Za-z0-9+/=]+)"`).FindAllSubmatch(history, -1) {
		if plain, err := base64.StdEncoding.DecodeString(string(m[1])); err == nil {
			text.Write(plain)
		}
	}
	return text.String()
}

// showHistories writes the full histories of the run and of its batches.
func showHistories(ctx context.Context, s *stack.Stack, into io.Writer) error {
	id, err := workflows.BillingWorkflowID(demo.Plan, demo.Period)
	if err != nil {
		return err
	}
	for _, one := range []string{id, workflows.BatchWorkflowID(id, 0), workflows.BatchWorkflowID(id, 1), workflows.NoticeWorkflowID(id, "receipts", 0), workflows.NoticeWorkflowID(id, "texts", 0)} {
		shown, err := s.TemporalCLI(ctx, "workflow", "show", "--workflow-id", one, "--output", "json").Output()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(into, readable(shown)); err != nil {
			return err
		}
	}
	return nil
}

func TestRun_SurvivesTheWorkerBeingKilled(t *testing.T) {
	t.Parallel() // it mostly waits for proof
	cfg := demoConfig(t, 400)
	cfg.Stack.Latency = 400 * time.Millisecond // or no call might be in flight at the moment
	cfg.During = func(ctx context.Context, s *stack.Stack) error {
		if err := waitForCharges(ctx, s, 40); err != nil {
			return err
		}
		if err := s.KillWorker(); err != nil {
			return err
		}
		return s.StartWorker(ctx)
	}
	interrupted := 0
	cfg.After = func(ctx context.Context, s *stack.Stack, _ demo.Result) (err error) {
		interrupted, err = interruptedCalls(ctx, s)
		return err
	}
	got, err := demo.Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Zero(t, got.DuplicateCharges)
	require.Zero(t, got.OverspendUSD)
	require.Zero(t, got.Unknown)
	require.Positive(t, interrupted, "calls were in flight when it was killed")
}

// interruptedCalls counts the calls that were in flight when the proxy died.
func interruptedCalls(ctx context.Context, s *stack.Stack) (n int, err error) {
	control, err := s.Control()
	if err != nil {
		return 0, err
	}
	q := client.AuditQuery{Verdict: "unknown", Limit: 1000}
	for {
		page, err := control.Audit(ctx, q)
		if err != nil {
			return 0, err
		}
		for _, row := range page.Rows {
			if row.By == "restart" {
				n++
			}
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			return n, nil
		}
	}
}

// whileHeld holds the vendor back while something is done to a run, which is in the
// middle of its calls then for as long as that takes.
func whileHeld(s *stack.Stack, do func() error) error {
	if err := s.HoldVendor(); err != nil {
		return err
	}
	return errors.Join(do(), s.ReleaseVendor())
}

// waitForCharges returns once the vendor has made so many.
func waitForCharges(ctx context.Context, s *stack.Stack, charges int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		truth, err := s.Truth(ctx)
		if err == nil && truth.Charges >= charges {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// The windows keep a batch far below the server's limit on pending activities:
// here the server allows 50 to each workflow, and a fan-out of 600 still runs.
func TestRun_KeepsItsWindowsBelowTheServersLimit(t *testing.T) {
	cfg := demoConfig(t, 600)
	cfg.Stack.TemporalArgs = []string{"--dynamic-config-value", "limit.numPendingActivities.error=50"}
	cfg.RunArgs = []string{"--window", "45", "--batch-size", "150"}
	got, err := demo.Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, 600, got.Customers)
}

// The same limit with a window above it: the run must not get through, or the
// test before proves nothing.
func TestRun_WithTooWideAWindowDoesNotGetThrough(t *testing.T) {
	cfg := demoConfig(t, 300)
	cfg.Stack.TemporalArgs = []string{"--dynamic-config-value", "limit.numPendingActivities.error=50"}
	cfg.RunArgs = []string{"--window", "120", "--batch-size", "150"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var refused bool
	cfg.During = func(ctx context.Context, s *stack.Stack) error {
		defer cancel()
		var err error
		refused, err = waitForRefusedTask(ctx, s)
		return err
	}
	_, err := demo.Run(ctx, cfg)
	require.Error(t, err)
	require.True(t, refused, "the server refuses the workflow task")
}

// waitForRefusedTask looks at a batch until its workflow task fails for the
// number of pending activities.
func waitForRefusedTask(ctx context.Context, s *stack.Stack) (bool, error) {
	id, err := workflows.BillingWorkflowID(demo.Plan, demo.Period)
	if err != nil {
		return false, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := s.TemporalCLI(ctx, "workflow", "show", "--workflow-id", workflows.BatchWorkflowID(id, 0), "--output", "json").Output()
		if err == nil && strings.Contains(string(out), "PENDING_ACTIVITIES_LIMIT_EXCEEDED") {
			return true, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// Two controls: a check that nothing can fail proves nothing.
func TestControl_AProxyWithoutIdempotencyIsCaught(t *testing.T) {
	cfg := demoConfig(t, 300)
	cfg.Stack.Proxy = filepath.Join(cfg.Stack.Bin, "proxy-without-idempotency")
	cfg.RunArgs = []string{"--settle-timeout", "2s"}
	cfg.BudgetUSD = 100_000 * money.Dollar // or the cap would keep the retries from the vendor
	got, err := demo.Run(t.Context(), cfg)
	require.ErrorIs(t, err, demo.ErrFailed)
	require.ErrorContains(t, err, "duplicate charges")
	require.Positive(t, got.DuplicateCharges)
}

func TestControl_ALedgerThatChecksAndThenActsIsCaught(t *testing.T) {
	cfg := demoConfig(t, 600)
	cfg.Stack.Proxy = filepath.Join(cfg.Stack.Bin, "proxy-check-then-act")
	cfg.Stack.Latency = 100 * time.Millisecond // or no calls might be in flight at once when the cap is near
	got, err := demo.Run(t.Context(), cfg)
	require.ErrorIs(t, err, demo.ErrFailed)
	require.ErrorContains(t, err, "above the cap")
	require.Positive(t, got.OverspendUSD)
}

func TestRun_GoesThroughAProxyOfItsOwn(t *testing.T) {
	cfg := demoConfig(t, 600)
	cfg.Stack.Proxy = filepath.Join(cfg.Stack.Bin, "vaultproxy")
	_, err := demo.Run(t.Context(), cfg)
	require.NoError(t, err)
}

func TestDemo_FailsWhenItShowsNothing(t *testing.T) {
	cfg := demoConfig(t, 60)
	cfg.BudgetUSD = 1_000_000 * money.Dollar
	_, err := demo.Run(t.Context(), cfg)
	require.ErrorIs(t, err, demo.ErrFailed)
	require.ErrorContains(t, err, "no customer ended as cap_denied")
}

func TestDemo_ItsLastLineIsJSON(t *testing.T) {
	line, err := json.Marshal(demo.Result{CapUSD: 500 * money.Dollar, Faults: map[string]int{"answer_lost": 1}})
	require.NoError(t, err)
	require.JSONEq(t, `{"customers":0,"charged":0,"declined":0,"cap_denied":0,"not_attempted":0,"unknown":0,"failed":0,
		"cap_usd":"500.00","settled_usd":"0.00","vendor_charged_usd":"0.00","vendor_charges":0,"duplicate_charges":0,
		"overspend_usd":"0.00","replays":0,"faults":{"answer_lost":1},"seconds":0,"worker_peak_bytes":0,"histories":{"executions":0,
		"longest":{"workflow_id":"","events":0,"bytes":0},"largest":{"workflow_id":"","events":0,"bytes":0}}}`, string(line))
}
