package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/e2e/stack"
)

// FanOutConfig says how wide the fan-out is. Both sides use the same window,
// batch size and parallelism.
type FanOutConfig struct {
	Stack     stack.Config
	Customers int
	Rounds    int
}

const (
	window      = 64
	batchSize   = 500
	parallelism = 2
)

// FanOutResult is charges, and empty activities, a second by round, and the most
// memory that the processes held, in bytes (zero where the system does not tell).
type FanOutResult struct {
	Throughput
	WorkerPeak, ProxyPeak int64
}

// FanOut measures a billing run of the real worker and starter, every charge
// through the vault proxy to the stand-in vendor, against a bare windowed
// fan-out of empty activities on the same Temporal server.
func FanOut(ctx context.Context, cfg FanOutConfig) (out FanOutResult, err error) {
	s, err := stack.Start(ctx, cfg.Stack)
	if err != nil {
		return out, err
	}
	defer s.Close()
	if err := s.StartWorker(ctx); err != nil {
		return out, err
	}
	c, err := client.Dial(client.Options{
		HostPort: s.TemporalAddr, Namespace: stack.Namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return out, err
	}
	defer c.Close()
	bare := bareWorker(c)
	if err := bare.Start(); err != nil {
		return out, err
	}
	defer bare.Stop()
	for round := range cfg.Rounds {
		one, err := bareRun(ctx, c, cfg.Customers, round)
		if err != nil {
			return out, fmt.Errorf("bare fan-out: %w", err)
		}
		out.Bare = append(out.Bare, one)
		if one, err = billingRun(ctx, s, cfg, round); err != nil {
			return out, fmt.Errorf("billing run: %w", err)
		}
		out.Tollgate = append(out.Tollgate, one)
	}
	out.WorkerPeak, out.ProxyPeak = peaks(s)
	return out, nil
}

func peaks(s *stack.Stack) (workerPeak, proxyPeak int64) {
	if p := s.Worker(); p != nil {
		workerPeak, _ = p.PeakMemory() // unknown where there is no /proc
	}
	if p := s.Proxy(); p != nil {
		proxyPeak, _ = p.PeakMemory()
	}
	return workerPeak, proxyPeak
}

func billingRun(ctx context.Context, s *stack.Stack, cfg FanOutConfig, round int) (float64, error) {
	list := filepath.Join(cfg.Stack.Dir, fmt.Sprintf("customers-%d.csv", round))
	var text strings.Builder
	text.WriteString("customer,payment_method,amount_cents,currency\n")
	for i := range cfg.Customers {
		fmt.Fprintf(&text, "cus_bench_%d_%d,pm_card_visa,1000,usd\n", round, i)
	}
	if err := os.WriteFile(list, []byte(text.String()), 0o600); err != nil {
		return 0, err
	}
	cmd := s.Starter(ctx, "run", "--plan", "bench"+strconv.Itoa(round), "--period", "2026-11", "--customers", list,
		"--budget-usd", "100000000", "--window", strconv.Itoa(window), "--batch-size", strconv.Itoa(batchSize),
		"--parallelism", strconv.Itoa(parallelism), "--wait")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	seconds := time.Since(began).Seconds()
	truth, err := s.Truth(ctx)
	if err != nil {
		return 0, err
	}
	if truth.Charges != cfg.Customers*(round+1) {
		return 0, fmt.Errorf("the vendor made %d charges, not %d", truth.Charges, cfg.Customers*(round+1))
	}
	return float64(cfg.Customers) / seconds, nil
}

const bareQueue = "bench-bare"

func bareWorker(c client.Client) worker.Worker {
	w := worker.New(c, bareQueue, worker.Options{
		MaxConcurrentActivityExecutionSize: 256, MaxConcurrentActivityTaskPollers: 16, MaxConcurrentWorkflowTaskPollers: 4,
	})
	w.RegisterWorkflow(bareFanOut)
	w.RegisterWorkflow(bareBatch)
	w.RegisterActivity(emptyActivity)
	return w
}

func bareRun(ctx context.Context, c client.Client, n, round int) (float64, error) {
	began := time.Now()
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: fmt.Sprintf("bench-bare-%d", round), TaskQueue: bareQueue,
	}, bareFanOut, n)
	if err != nil {
		return 0, err
	}
	if err := run.Get(ctx, nil); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// bareFanOut is what is left of a billing run without anything that bills.
func bareFanOut(ctx workflow.Context, n int) error {
	return windowed(ctx, (n+batchSize-1)/batchSize, parallelism, func(ctx workflow.Context, i int) workflow.Future {
		return workflow.ExecuteChildWorkflow(ctx, bareBatch, min(batchSize, n-i*batchSize))
	})
}

func bareBatch(ctx workflow.Context, n int) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	return windowed(ctx, n, window, func(ctx workflow.Context, i int) workflow.Future {
		return workflow.ExecuteActivity(ctx, emptyActivity, i)
	})
}

func windowed(ctx workflow.Context, n, width int, start func(workflow.Context, int) workflow.Future) error {
	slots := workflow.NewSemaphore(ctx, int64(width))
	done := workflow.NewWaitGroup(ctx)
	var failed error
	for i := range n {
		if err := slots.Acquire(ctx, 1); err != nil {
			return err
		}
		future := start(ctx, i)
		done.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer done.Done()
			defer slots.Release(1)
			failed = errors.Join(failed, future.Get(ctx, nil))
		})
	}
	done.Wait(ctx)
	return failed
}

func emptyActivity(context.Context, int) error { return nil }
