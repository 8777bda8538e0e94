package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// scripted stands in for the billing run: it shows the progress that the test
// signals, and ends as the test says.
func scripted(ctx workflow.Context, in workflows.BillingInput) (workflows.Summary, error) {
	progress := workflows.Progress{State: workflows.StateStarting, Customers: in.Pinned.Count, CapUSD: in.BudgetUSD}
	err := workflow.SetQueryHandler(ctx, workflows.QueryProgress, func() (workflows.Progress, error) { return progress, nil })
	if err != nil {
		return workflows.Summary{}, err
	}
	err = workflow.SetUpdateHandler(ctx, workflows.UpdateRaiseBudget, func(_ workflow.Context, r workflows.BudgetRaise) (workflows.Raised, error) {
		return workflows.Raised{CapUSD: r.BudgetUSD, RemainingUSD: money.Dollar, StopReason: progress.StopReason}, nil
	})
	if err != nil {
		return workflows.Summary{}, err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			workflow.GetSignalChannel(ctx, "show").Receive(ctx, &progress)
		}
	})
	var end scriptedEnd
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(workflow.GetSignalChannel(ctx, "end"), func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, &end) })
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	selector.Select(ctx)
	switch {
	case ctx.Err() != nil:
		return workflows.Summary{}, temporal.NewCanceledError(canceledExample())
	case end.Failure != "":
		return workflows.Summary{}, temporal.NewNonRetryableApplicationError("the proxy refused the admin key", end.Failure, nil)
	}
	return end.Summary, nil
}

// canceledExample is what a scripted run leaves behind when it is canceled.
func canceledExample() workflows.Summary {
	return workflows.Summary{Customers: 300, Charged: 100, NotAttempted: 200, KeyRevoked: true, LedgerRead: true, StopReason: workflows.StopCanceled}
}

// scriptedEnd is how a scripted run ends: with an error type, or with a summary.
type scriptedEnd struct {
	Failure string
	Summary workflows.Summary
}

// lineWriter hands over what is written to it line by line, so that a test can
// wait for one.
type lineWriter struct {
	mu    sync.Mutex
	all   bytes.Buffer
	grown chan struct{}
}

func newLineWriter() *lineWriter { return &lineWriter{grown: make(chan struct{}, 1)} }

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.grown <- struct{}{}:
	default:
	}
	return w.all.Write(p)
}

func (w *lineWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

func (w *lineWriter) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(hangs)
	for !strings.Contains(w.String(), text) {
		select {
		case <-w.grown:
		case <-deadline:
			require.Contains(t, w.String(), text)
		}
	}
}

// devServer starts a Temporal server with a worker for scripted runs, and
// returns a client of it and its address.
func devServer(t *testing.T) (client.Client, string) {
	t.Helper()
	_, address := peer.DevServer(t)
	env := setup(t).env
	env["TEMPORAL_ADDRESS"] = address
	opts, err := temporaldial.Options(temporaldial.Config{Env: env})
	require.NoError(t, err)
	connected, err := temporaldial.Dial(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(connected.Close)
	require.NoError(t, temporaldial.EnsureSearchAttributes(t.Context(), connected, opts, workflows.SearchAttributes()))
	w := worker.New(connected, workflows.TaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(scripted, workflow.RegisterOptions{Name: "Billing"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return connected, address
}

// watched is a starter command under way.
type watched struct {
	*testBundle
	errors *lineWriter
	code   chan int
}

// begin runs a command in the background.
func begin(ctx context.Context, t *testing.T, address string, args ...string) *watched {
	t.Helper()
	return beginAt(ctx, t, time.Now, address, args...)
}

func beginAt(ctx context.Context, t *testing.T, now func() time.Time, address string, args ...string) *watched {
	t.Helper()
	w := &watched{testBundle: setup(t), errors: newLineWriter(), code: make(chan int, 1)}
	w.dial = temporaldial.Dial
	w.now = now
	w.program.stderr = w.errors
	w.env["TEMPORAL_ADDRESS"] = address
	go func() { w.code <- w.run(ctx, args) }()
	return w
}

func (w *watched) ended(t *testing.T) int {
	t.Helper()
	select {
	case code := <-w.code:
		return code
	case <-time.After(hangs):
		require.FailNow(t, "the starter did not end", w.errors.String())
		return -1
	}
}

func TestStarter_AgainstATemporalServer(t *testing.T) {
	t.Parallel()
	temporalClient, address := devServer(t)
	signal := func(t *testing.T, id, name string, value any) {
		t.Helper()
		require.NoError(t, temporalClient.SignalWorkflow(t.Context(), id, "", name, value))
	}
	run := func(plan string, more ...string) []string {
		return append([]string{"run", "--plan", plan, "--period", "2026-11", "--generate", "300", "--budget-usd", "500"}, more...)
	}
	show := func(charged int) workflows.Progress {
		return workflows.Progress{State: workflows.StateCharging, Customers: 300, Charged: charged, CapUSD: 500 * money.Dollar}
	}

	t.Run("run starts a run, and a second one is refused with an exit code of its own", func(t *testing.T) {
		t.Parallel()
		const id = "billing-twice-2026-11"
		first := begin(t.Context(), t, address, run("twice", "--json")...)
		require.Equal(t, exitOK, first.ended(t), first.errors.String())
		var started map[string]string
		require.NoError(t, json.Unmarshal(first.stdout.Bytes(), &started))
		require.Equal(t, id, started["workflow_id"])
		require.Equal(t, "temporal/default/"+id, started["run_label"])
		require.NotEmpty(t, started["run_id"])

		while := begin(t.Context(), t, address, run("twice", "--wait")...)
		require.Equal(t, exitDuplicate, while.ended(t))
		require.Regexp(t, `^starter: `+id+` is already running since 20\d\d-.* UTC; nothing was started: .*'starter status `+id+`'.*\n$`, while.errors.String())

		signal(t, id, "end", scriptedEnd{Summary: exampleSummary()})
		require.NoError(t, temporalClient.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil))
		after := begin(t.Context(), t, address, run("twice")...)
		require.Equal(t, exitDuplicate, after.ended(t))
		require.Regexp(t, `^starter: `+id+` already ran and completed at 20\d\d-.* UTC; nothing was started: .*\n$`, after.errors.String())
		require.Empty(t, after.stdout.String())
	})

	t.Run("run --wait follows the run to its summary", func(t *testing.T) {
		t.Parallel()
		const id = "billing-watched-2026-11"
		w := begin(t.Context(), t, address, run("watched", "--wait")...)
		w.errors.await(t, id+": 300 customers, $")
		w.errors.await(t, "the budget does not cover them all")
		signal(t, id, "show", show(60))
		w.errors.await(t, id+": charging 20%, 60 of 300 customers, $0.00 of $500.00\n")
		signal(t, id, "show", show(120))
		w.errors.await(t, id+": charging 40%")
		summary := exampleSummary()
		signal(t, id, "end", scriptedEnd{Summary: summary})

		require.Equal(t, exitOK, w.ended(t), w.errors.String())
		w.errors.await(t, id+": done 100%")
		var want bytes.Buffer
		require.NoError(t, writeSummary(&want, summary))
		require.Equal(t, want.String(), w.stdout.String())
	})

	t.Run("run --wait --json writes nothing but the summary to standard output", func(t *testing.T) {
		t.Parallel()
		const id = "billing-json-2026-11"
		w := begin(t.Context(), t, address, run("json", "--wait", "--json")...)
		w.errors.await(t, id+": 300 customers")
		summary := exampleSummary()
		summary.Unknown, summary.Charged = 1, summary.Charged-1
		signal(t, id, "end", scriptedEnd{Summary: summary})

		require.Equal(t, exitAttention, w.ended(t))
		w.errors.await(t, "ended and needs a look: 1 charge of unknown outcome")
		var written workflows.Summary
		require.NoError(t, json.Unmarshal(w.stdout.Bytes(), &written))
		require.Equal(t, summary, written)
	})

	t.Run("an interrupt ends the watching and not the run", func(t *testing.T) {
		t.Parallel()
		const id = "billing-interrupted-2026-11"
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		w := begin(ctx, t, address, run("interrupted", "--wait")...)
		w.errors.await(t, id+": starting")
		interrupt()
		require.Equal(t, exitInterrupted, w.ended(t))
		w.errors.await(t, "starter: no longer watching, but "+id+" goes on: ")

		again := begin(t.Context(), t, address, "status", id, "--wait")
		again.errors.await(t, id+": starting")
		signal(t, id, "end", scriptedEnd{Summary: exampleSummary()})
		require.Equal(t, exitOK, again.ended(t), again.errors.String())
	})

	t.Run("a failed run is told in one line", func(t *testing.T) {
		t.Parallel()
		const id = "billing-failed-2026-11"
		w := begin(t.Context(), t, address, run("failed", "--wait")...)
		w.errors.await(t, id+": starting")
		signal(t, id, "end", scriptedEnd{Failure: "AdminKeyRejected"})
		require.Equal(t, exitError, w.ended(t))
		line := id + " failed: AdminKeyRejected: the proxy refused the admin key; 'starter report " + id + "' shows what it spent"
		w.errors.await(t, "\nstarter: "+line+"\n")
		require.Empty(t, w.stdout.String())

		status := begin(t.Context(), t, address, "status", id)
		require.Equal(t, exitOK, status.ended(t), status.errors.String())
		require.Contains(t, status.stdout.String(), "failed")
		require.Contains(t, status.stdout.String(), line)
	})

	t.Run("a canceled run still shows what it charged", func(t *testing.T) {
		t.Parallel()
		const id = "billing-canceled-2026-11"
		w := begin(t.Context(), t, address, run("canceled", "--wait")...)
		w.errors.await(t, id+": starting")
		require.NoError(t, temporalClient.CancelWorkflow(t.Context(), id, ""))
		require.Equal(t, exitError, w.ended(t))
		w.errors.await(t, "\nstarter: "+id+" was canceled; ")
		var want bytes.Buffer
		require.NoError(t, writeSummary(&want, canceledExample()))
		require.Equal(t, want.String(), w.stdout.String())
	})

	t.Run("status shows a run under way", func(t *testing.T) {
		t.Parallel()
		const id = "billing-status-2026-11"
		require.Equal(t, exitOK, begin(t.Context(), t, address, run("status")...).ended(t))
		progress := show(60)
		progress.Declined, progress.InFlight, progress.SettledUSD = 3, 64, 120*money.Dollar
		signal(t, id, "show", progress)
		status := begin(t.Context(), t, address, "status", "--plan", "status", "--period", "2026-11", "--json")
		require.Equal(t, exitOK, status.ended(t), status.errors.String())
		var written struct {
			Status   string
			Progress workflows.Progress
		}
		require.NoError(t, json.Unmarshal(status.stdout.Bytes(), &written))
		require.Equal(t, "running", written.Status)
		require.Equal(t, progress, written.Progress)

		status = begin(t.Context(), t, address, "status", id)
		require.Equal(t, exitOK, status.ended(t), status.errors.String())
		require.Regexp(t, `^
`+id+`

status     running, started 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC
state      charging
done       63 of 300 customers, 21%
charged    60, 3 declined
in flight  64
settled    \$120.00 of \$500.00
$`, status.stdout.String())
	})

	t.Run("a run that does not get past its start is noted once", func(t *testing.T) {
		t.Parallel()
		const id = "billing-stuck-2026-11"
		clock := time.Now()
		later := func() time.Time { clock = clock.Add(time.Second); return clock }
		w := beginAt(t.Context(), t, later, address, run("stuck", "--wait")...)
		w.errors.await(t, id+": the run is still starting: the worker's log tells what it waits for\n")
		signal(t, id, "show", show(60))
		w.errors.await(t, id+": charging 20%")
		signal(t, id, "end", scriptedEnd{Summary: exampleSummary()})
		require.Equal(t, exitOK, w.ended(t), w.errors.String())
		require.Equal(t, 1, strings.Count(w.errors.String(), "still starting"))
	})

	t.Run("status of a run that never was", func(t *testing.T) {
		t.Parallel()
		status := begin(t.Context(), t, address, "status", "billing-never-2026-11")
		require.Equal(t, exitError, status.ended(t))
		require.Equal(t, "starter: there is no run billing-never-2026-11 in namespace default; 'starter run' starts one\n", status.errors.String())
	})

	t.Run("a run whose charges needed an approval is not continued without one", func(t *testing.T) {
		t.Parallel()
		const id = "billing-gated-2026-11"
		require.Equal(t, exitOK, begin(t.Context(), t, address, run("gated", "--approve-above-usd", "5")...).ended(t))
		signal(t, id, "end", scriptedEnd{Failure: "AdminKeyRejected"})
		require.Error(t, temporalClient.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil))

		open := begin(t.Context(), t, address, run("gated", "--continue")...)
		require.Equal(t, exitUsage, open.ended(t))
		require.Equal(t, "starter: charges of "+id+" needed an approval, and some may have been rejected: "+
			"give --approve all or --approve-above-usd as before, since without they would all be charged\n", open.errors.String())
		again := begin(t.Context(), t, address, run("gated", "--continue", "--approve-above-usd", "5")...)
		require.Equal(t, exitOK, again.ended(t), again.errors.String())
		signal(t, id, "end", scriptedEnd{Summary: exampleSummary()})
	})

	t.Run("a raise that came too late is told as one", func(t *testing.T) {
		t.Parallel()
		const id = "billing-raised-2026-11"
		require.Equal(t, exitOK, begin(t.Context(), t, address, run("raised")...).ended(t))
		raise := []string{"raise-budget", id, "--budget-usd", "800", "--by", "Ada", "--reason", "ok"}
		inTime := begin(t.Context(), t, address, raise...)
		require.Equal(t, exitOK, inTime.ended(t), inTime.errors.String())
		require.Equal(t, "raised the budget of "+id+" to $800.00; $1.00 left\n", inTime.stdout.String())

		signal(t, id, "show", workflows.Progress{StopReason: "CapExhausted"})
		watcher := setup(t)
		require.Eventually(t, func() bool {
			progress, err := watcher.queryProgress(t.Context(), temporalClient, id)
			return err == nil && progress.StopReason != ""
		}, 5*time.Minute, 20*time.Millisecond)
		late := begin(t.Context(), t, address, append(raise, "--json")...)
		require.Equal(t, exitAttention, late.ended(t))
		require.Contains(t, late.stdout.String(), `"stop_reason": "CapExhausted"`)
		require.Equal(t, "starter: "+id+" was stopped by CapExhausted meanwhile: finish it by 'starter run --continue' when it has ended\n", late.errors.String())
	})

	t.Run("a starter with another codec key says so", func(t *testing.T) {
		t.Parallel()
		const id = "billing-locked-2026-11"
		require.Equal(t, exitOK, begin(t.Context(), t, address, run("locked")...).ended(t))
		other := func(args ...string) *testBundle {
			b := setup(t)
			b.dial = temporaldial.Dial
			b.env["TEMPORAL_ADDRESS"], b.env[payloadcodec.KeyVariable] = address, "other: "+strings.Repeat("8b", payloadcodec.KeySize)
			b.run(t.Context(), args)
			return b
		}
		require.Contains(t, other(run("foreign")...).stdout.String(), "started billing-foreign-2026-11")
		foreign := setup(t)
		require.Eventually(t, func() bool { return foreign.failing(t.Context(), temporalClient, "billing-foreign-2026-11") }, 5*time.Minute, 50*time.Millisecond)
		later := newLineWriter()
		foreign.dial, foreign.program.stderr = temporaldial.Dial, later
		foreign.env["TEMPORAL_ADDRESS"], foreign.env[payloadcodec.KeyVariable] = address, "other: "+strings.Repeat("8b", payloadcodec.KeySize)
		clock := time.Now()
		foreign.now = func() time.Time { clock = clock.Add(time.Second); return clock }
		ctx, interrupt := context.WithCancel(t.Context())
		watching := make(chan int, 1)
		go func() { watching <- foreign.run(ctx, []string{"status", "billing-foreign-2026-11", "--wait"}) }()
		later.await(t, "a worker fails at the run's tasks and tries again: its log tells why; it may have other codec keys than this starter")
		interrupt()
		require.Equal(t, exitInterrupted, <-watching)

		const why = "its worker encrypts with a key that is not among ours (other): give both the same keys, by --codec-key-file or --state-dir"
		for _, verb := range []string{"pause", "approve"} {
			b := other(verb, id, "--by", "Ada", "--reason", "ok")
			require.Equal(t, "starter: "+id+" was asked, and "+why, b.errorLine(t))
		}
		require.Equal(t, "there is no progress to show: "+why, other("status", id).errorLine(t))
		signal(t, id, "end", scriptedEnd{Failure: "AdminKeyRejected"})
		require.Error(t, temporalClient.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil))
		require.Contains(t, other("status", id).stdout.String(), id+" ended, and "+why)
	})

	t.Run("a namespace that is not there", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.dial = temporaldial.Dial
		b.env["TEMPORAL_ADDRESS"], b.env["TEMPORAL_NAMESPACE"] = address, "nowhere"
		require.Equal(t, exitError, b.run(t.Context(), run("lost")))
		require.Equal(t, "starter: the Temporal server at "+address+" has no namespace nowhere: create it with 'temporal operator namespace create -n nowhere', or set TEMPORAL_NAMESPACE", b.errorLine(t))
	})
}

func TestStarter_SaysWhereItLookedForTemporal(t *testing.T) {
	t.Parallel()
	const nobody = "127.0.0.1:1" // a port that no machine uses

	b := setup(t)
	b.dial = temporaldial.Dial
	b.env["TEMPORAL_ADDRESS"] = nobody
	code := b.run(t.Context(), []string{"run", "--plan", "pro", "--period", "2026-11", "--generate", "3", "--budget-usd", "5", "--wait"})
	require.Equal(t, exitError, code)
	require.Equal(t, "starter: no Temporal server answers at "+nobody+" (dial tcp "+nobody+": connect: connection refused): start one with 'temporal server start-dev', or set TEMPORAL_ADDRESS", b.errorLine(t))
}
