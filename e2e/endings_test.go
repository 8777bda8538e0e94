package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
	"github.com/tollgate/tollgate/workflows"
)

// ended is a stack on which runs end in one way or another and are taken up again.
type ended struct {
	*stack.Stack

	t    *testing.T
	list string
	id   string // of the run
}

// startEnded starts a stack, with a list of so many customers of $10 each, every
// tenth of whom is declined.
func startEnded(t *testing.T, customers int, latency time.Duration) *ended {
	t.Helper()
	bin, err := programs()
	require.NoError(t, err)
	dir := t.TempDir()
	s, err := stack.Start(t.Context(), stack.Config{Dir: dir, Bin: bin, Temporal: peer.Temporal(t), Faults: "none", Latency: latency})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.StartWorker(t.Context()))
	var text strings.Builder
	text.WriteString("customer,payment_method,amount_cents,currency\n")
	for i := range customers {
		method := "pm_card_visa"
		if i%10 == 9 {
			method = "pm_card_chargeDeclined"
		}
		fmt.Fprintf(&text, "cus_%04d,%s,1000,usd\n", i, method)
	}
	list := filepath.Join(dir, "list.csv")
	require.NoError(t, os.WriteFile(list, []byte(text.String()), 0o600))
	id, err := workflows.BillingWorkflowID(demo.Plan, demo.Period)
	require.NoError(t, err)
	return &ended{s, t, list, id}
}

// bill runs the starter to the end of the run; it returns its exit code, the
// summary if there is one, and what it said.
func (e *ended) bill(args ...string) (int, workflows.Summary, string) {
	e.t.Helper()
	cmd := e.command(args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	code := exitOf(e.t, cmd.Run())
	var summary workflows.Summary
	if out.Len() > 0 {
		require.NoError(e.t, json.Unmarshal(out.Bytes(), &summary), "%s", out.String())
	}
	return code, summary, said.String()
}

func (e *ended) command(args ...string) *exec.Cmd {
	return e.Starter(e.t.Context(), append([]string{
		"run", "--plan", demo.Plan, "--period", demo.Period, "--customers", e.list, "--budget-usd", "2000",
		"--batch-size", "30", "--window", "4", "--settle-timeout", "1m", "--wait", "--json",
	}, args...)...)
}

func exitOf(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	require.NoError(t, err)
	return 0
}

func (e *ended) truth() vendorsim.Truth {
	e.t.Helper()
	truth, err := e.Truth(e.t.Context())
	require.NoError(e.t, err)
	for customer, n := range truth.PerCustomer {
		require.LessOrEqual(e.t, n, 1, "%s was charged more than once", customer)
	}
	return truth
}

// endedAfter starts a run and ends it in some way once some charges are made.
func (e *ended) endedAfter(charges int, args []string, end func() error) {
	e.t.Helper()
	cmd := e.command(args...)
	require.NoError(e.t, cmd.Start())
	require.NoError(e.t, waitForCharges(e.t.Context(), e.Stack, charges))
	require.NoError(e.t, whileHeld(e.Stack, end))
	_ = cmd.Wait()
}

// cancelHeard cancels a run, and returns once it and these children of it have dealt
// with that: from then on they begin nothing.
func cancelHeard(ctx context.Context, s *stack.Stack, id string, children ...string) error {
	if out, err := s.TemporalCLI(ctx, "workflow", "cancel", "--workflow-id", id).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, one := range append([]string{id}, children...) {
		for {
			events, err := s.History(ctx, one, "")
			var notFound *serviceerror.NotFound
			if errors.As(err, &notFound) {
				break // never begun, and the run, which comes first, begins no more
			}
			if err != nil {
				return err
			}
			if heardCancel(events) {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// heardCancel reports whether a workflow has had its turn after it was cancelled, or
// was over before.
func heardCancel(events *history.History) bool {
	requested := false
	for _, event := range events.GetEvents() {
		switch event.GetEventType() { //nolint:exhaustive // what else may have happened changes nothing
		case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
			requested = true
		case enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: // as a run tells its batches
			requested = requested || event.GetWorkflowExecutionSignaledEventAttributes().GetSignalName() == workflows.SignalStop
		case enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			if requested {
				return true
			}
		case enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
			return true
		}
	}
	return false
}

func (e *ended) temporal(args ...string) {
	e.t.Helper()
	out, err := e.TemporalCLI(e.t.Context(), args...).CombinedOutput()
	require.NoError(e.t, err, "%s", out)
}

func TestRun_GoesOnWithAnotherKeyWhenItsKeyExpires(t *testing.T) {
	for sentence, k := range map[string]string{"an activity a charge": "1", "many charges in one activity": "10"} {
		t.Run(sentence, func(t *testing.T) {
			e := startEnded(t, 120, 300*time.Millisecond)
			// At two charges at once, an activity of many does not get through on one key either.
			_, got, said := e.bill("--key-ttl", "2s", "--key-renewals", "500", "--charges-per-activity", k, "--activity-window", "2")
			require.Empty(t, got.StopReason, said)
			require.Equal(t, 108, got.Charged)
			require.Equal(t, 12, got.Declined)
			require.Equal(t, 108, e.truth().Charges)
			keys, err := mustControl(t, e.Stack).Keys(t.Context(), got.RunLabel)
			require.NoError(t, err)
			require.Greater(t, len(keys), 1)
			require.Equal(t, got.KeyID, keys[0].KeyID, "the last one, which is revoked; the others are dead")
			require.Equal(t, "revoked", keys[0].State)
		})
	}
}

func TestRun_OfManyChargesInOneActivitySurvivesTheWorkerBeingKilled(t *testing.T) {
	e := startEnded(t, 120, 400*time.Millisecond)
	cmd := e.command("--charges-per-activity", "30")
	var out bytes.Buffer
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	require.NoError(t, waitForCharges(t.Context(), e.Stack, 40))
	require.NoError(t, e.KillWorker())
	require.NoError(t, e.StartWorker(t.Context()))
	require.NoError(t, cmd.Wait())
	var got workflows.Summary
	require.NoError(t, json.Unmarshal(out.Bytes(), &got), "%s", out.String())
	require.Equal(t, 108, got.Charged)
	require.Equal(t, 12, got.Declined)
	require.Equal(t, 108, e.truth().Charges)

	timeouts := e.timeouts(120 / 30)
	require.NotEmpty(t, timeouts, "a range was under way when the worker was killed")
	for _, kind := range timeouts {
		require.Equal(t, enums.TIMEOUT_TYPE_HEARTBEAT, kind, "what is missing is noticed by the heartbeat, long before any other timeout")
	}
}

// timeouts are those that brought an activity of the run's batches to another attempt.
func (e *ended) timeouts(batches int) (kinds []enums.TimeoutType) {
	e.t.Helper()
	for n := range batches {
		events, err := e.History(e.t.Context(), workflows.BatchWorkflowID(e.id, n), "")
		require.NoError(e.t, err)
		for _, event := range events.GetEvents() {
			last := event.GetActivityTaskStartedEventAttributes().GetLastFailure()
			if timeout := last.GetTimeoutFailureInfo(); timeout != nil {
				kinds = append(kinds, timeout.GetTimeoutType())
			}
		}
	}
	return kinds
}

func TestContinue_FinishesARunHoweverItEnded(t *testing.T) {
	for sentence, end := range map[string]func(context.Context, *ended) error{
		"canceled": func(ctx context.Context, e *ended) error {
			var batches []string
			for n := range 120 / 30 {
				batches = append(batches, workflows.BatchWorkflowID(e.id, n))
			}
			return cancelHeard(ctx, e.Stack, e.id, batches...)
		},
		"terminated": func(ctx context.Context, e *ended) error {
			return e.TemporalCLI(ctx, "workflow", "terminate", "--reason", "test", "--workflow-id", e.id).Run()
		},
	} {
		for _, k := range []string{"1", "10"} {
			t.Run(sentence+", charges in an activity: "+k, func(t *testing.T) {
				e := startEnded(t, 120, 200*time.Millisecond)
				e.endedAfter(15, []string{"--charges-per-activity", k}, func() error { return end(t.Context(), e) })
				before := e.truth()
				require.Less(t, before.Charges, 100, "it was ended on its way")

				code, _, said := e.bill()
				require.Equal(t, 3, code)
				require.Contains(t, said, "--continue")

				_, got, said := e.bill("--continue")
				require.Empty(t, got.StopReason, said)
				require.Equal(t, 108, got.Charged)
				require.Equal(t, 12, got.Declined)
				require.Equal(t, 1080*money.Dollar, got.SettledUSD)
				require.Equal(t, 108, e.truth().Charges)
			})
		}
	}
}

func TestContinue_AsksOnceMoreForWhatWasDeclinedIfToldTo(t *testing.T) {
	e := startEnded(t, 30, 0)
	_, got, _ := e.bill()
	require.Equal(t, 27, got.Charged)
	require.Equal(t, 3, got.Declined)
	declines := func() int {
		page, err := mustControl(t, e.Stack).Calls(t.Context(), client.CallQuery{Run: got.RunLabel, State: "released", Limit: 1000})
		require.NoError(t, err)
		return len(page.Calls)
	}
	require.Equal(t, 3, declines())

	_, again, _ := e.bill("--continue")
	require.Equal(t, 27, again.Charged)
	require.Equal(t, 3, declines(), "nobody asked for it")

	for n := range 2 {
		_, again, _ = e.bill("--continue", "--retry-declined", "--charges-per-activity", strconv.Itoa(1+5*n))
		require.Equal(t, 27, again.Charged)
		require.Equal(t, 3, again.Declined, "the vendor's mind is as it was")
		require.Equal(t, 6+3*n, declines(), "one more attempt each")
	}
	require.Equal(t, 27, e.truth().Charges)
}

func TestContinue_NeedsMoreBudgetWhereThatWasUsedUp(t *testing.T) {
	e := startEnded(t, 30, 0)
	_, got, _ := e.bill("--budget-usd", "100")
	require.Equal(t, 10, got.Charged)
	require.Equal(t, "CapExhausted", got.StopReason)

	_, got, _ = e.bill("--continue", "--budget-usd", "100")
	require.Equal(t, 10, got.Charged)
	require.Equal(t, "CapExhausted", got.StopReason)

	raised := 200 * money.Dollar
	_, err := mustControl(t, e.Stack).SetCap(t.Context(), "run", got.RunLabel, client.CapChange{RunUSDCap: &raised, By: "test", Reason: "more money"})
	require.NoError(t, err)
	_, got, said := e.bill("--continue", "--budget-usd", "100")
	require.Equal(t, 20, got.Charged, said)
	require.Equal(t, raised, got.CapUSD)
	require.Equal(t, 20, e.truth().Charges)
}

func TestContinue_CountsWhomTheFirstRunChargedBehindTheOneWhoStopsBoth(t *testing.T) {
	s := startStack(t, 500*time.Millisecond)
	amounts := dollarsEach(30, 1)
	amounts[3] = 500
	list := writeList(t, amounts...)
	id := startRun(t, s, "pro", list, "100", "--window", "30")
	first := awaitSummary(t, s, id)
	require.Equal(t, "CapExhausted", first.StopReason)
	require.Equal(t, 29, first.Charged, "all were under way when one did not fit")

	told(t, s, "run", "--plan", "pro", "--period", "2026-11", "--customers", list, "--budget-usd", "100", "--window", "1", "--continue", "--wait", "--json")
	second := awaitSummary(t, s, id)
	require.Equal(t, "CapExhausted", second.StopReason)
	require.Equal(t, 29, second.Charged)
	require.Zero(t, second.NotAttempted)
	require.Equal(t, 29*money.Dollar, second.SettledUSD)
	truth, err := s.Truth(t.Context())
	require.NoError(t, err)
	require.Equal(t, 29, truth.Charges)
}

func TestContinue_IsRefusedWhereItCouldDoHarm(t *testing.T) {
	e := startEnded(t, 30, 0)
	code, _, said := e.bill("--continue")
	require.Equal(t, 1, code)
	require.Contains(t, said, "there is no run billing-pro-2026-11")

	_, got, _ := e.bill("--budget-usd", "100")
	require.Equal(t, 10, got.Charged)

	content, err := os.ReadFile(e.list)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(e.list, bytes.ReplaceAll(content, []byte("cus_0000,pm_card_visa"), []byte("cus_9999,pm_card_visa")), 0o600))
	code, _, said = e.bill("--continue", "--budget-usd", "100")
	require.Equal(t, 1, code)
	require.Contains(t, said, "PolicyConflict", "items are places in the list")
	require.NoError(t, os.WriteFile(e.list, content, 0o600))

	code, _, said = e.bill("--continue", "--budget-usd", "150")
	require.Equal(t, 1, code)
	require.Contains(t, said, "PolicyConflict")

	require.NoError(t, e.Starter(t.Context(), "revoke", e.id).Run())
	code, _, said = e.bill("--continue", "--budget-usd", "100")
	require.Equal(t, 1, code)
	require.Contains(t, said, "a person revoked the run")
	require.Equal(t, 10, e.truth().Charges)
}

func TestContinue_StartsARunThatFailedBeforeItsFirstCharge(t *testing.T) {
	e := startEnded(t, 30, 0)
	content, err := os.ReadFile(e.list)
	require.NoError(t, err)
	require.NoError(t, e.KillWorker())
	cmd := e.command()
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		return e.TemporalCLI(t.Context(), "workflow", "describe", "--workflow-id", e.id).Run() == nil
	}, 10*time.Minute, 50*time.Millisecond)
	require.NoError(t, os.WriteFile(e.list, append(content, "cus_late,pm_card_visa,1000,usd\n"...), 0o600))
	require.NoError(t, e.StartWorker(t.Context()))
	require.Equal(t, 1, exitOf(t, cmd.Wait()), "the list is not what the starter saw")
	require.Zero(t, e.truth().Charges)

	_, got, said := e.bill("--continue")
	require.Equal(t, 28, got.Charged, said)
}

func mustControl(t *testing.T, s *stack.Stack) *client.Client {
	t.Helper()
	control, err := s.Control()
	require.NoError(t, err)
	return control
}

// A reset starts the run anew from any of its workflow tasks. Whatever of it the
// server can bring to an end, nobody is charged a second time.
func TestReset_ToAnyWorkflowTaskChargesNobodyTwice(t *testing.T) {
	for sentence, k := range map[string]string{"an activity a charge": "1", "many charges in one activity": "3"} {
		t.Run(sentence, func(t *testing.T) {
			e := startEnded(t, 10, 0)
			args := []string{"--batch-size", "5", "--charges-per-activity", k, "--batch-timeout", "15s"}
			_, got, _ := e.bill(args...)
			require.Equal(t, 9, got.Charged)
			for _, id := range []string{e.id, workflows.BatchWorkflowID(e.id, 0)} {
				run, tasks := e.workflowTasks(id)
				require.NotEmpty(t, tasks)
				for _, event := range tasks {
					e.temporal("workflow", "reset", "--workflow-id", id, "--run-id", run, "--event-id", strconv.Itoa(event), "--reason", "test")
					said := e.ending(id)
					t.Logf("%s reset to event %d: %s", id, event, said)
					require.Equal(t, 9, e.truth().Charges, "reset to event %d", event)
				}
			}
			_, got, said := e.bill(append(args, "--continue")...)
			require.Equal(t, 9, got.Charged, said)
			require.Equal(t, 9, e.truth().Charges)
		})
	}
}

// workflowTasks lists the run ID and the completed workflow tasks of the latest run.
func (e *ended) workflowTasks(id string) (run string, events []int) {
	e.t.Helper()
	out, err := e.TemporalCLI(e.t.Context(), "workflow", "show", "--workflow-id", id, "--output", "json").Output()
	require.NoError(e.t, err)
	var history struct {
		Events []struct {
			EventID   string `json:"eventId"`
			EventType string `json:"eventType"`
			Started   struct {
				Run string `json:"originalExecutionRunId"`
			} `json:"workflowExecutionStartedEventAttributes"`
		} `json:"events"`
	}
	require.NoError(e.t, json.Unmarshal(out, &history))
	for _, event := range history.Events {
		if event.EventType == "EVENT_TYPE_WORKFLOW_TASK_COMPLETED" {
			number, err := strconv.Atoi(event.EventID)
			require.NoError(e.t, err)
			events = append(events, number)
		}
	}
	return history.Events[0].Started.Run, events
}

// ending waits for a workflow to close and tells how.
func (e *ended) ending(id string) string {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 10*time.Minute)
	defer cancel()
	out, err := e.TemporalCLI(ctx, "workflow", "result", "--workflow-id", id).CombinedOutput()
	require.NoError(e.t, ctx.Err(), "it neither goes on nor ends: %s %v", out, err)
	return strings.Join(strings.Fields(string(out)), " ")
}
