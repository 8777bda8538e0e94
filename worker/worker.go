package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	temporal "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/worker"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/serve"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

const (
	// maxConcurrency is far above what one process can use, and far below where
	// a mistyped number would eat the machine's sockets.
	maxConcurrency = 10_000
	// activityPollers: with the SDK's default of two, fetching tasks and not
	// running them bounds a wide fan-out of short charges.
	activityPollers = 16
	workflowPollers = 4
	// maxHeartbeatPause is how long a heartbeat may be held back in the worker. An
	// activity that charges many hears of a cancellation only in answer to one.
	maxHeartbeatPause = 2 * time.Second
	// A stopping proxy gets its own deadline for a vendor's answer, and drainMargin
	// to book it: a call cut off in between would have to be proved later.
	drainMargin = 5 * time.Second
)

// Config says what a worker is made of.
type Config struct {
	Env         envconfig.EnvLookup // Temporal's connection settings; nil: the process's environment
	Logger      *slog.Logger        // required
	Ready       io.Writer           // gets one line once the worker polls; required
	Concurrency int                 // activities at once, 1 to 10,000
	StopTimeout time.Duration       // wait for activities under way when stopping
	// ActivitiesPerSecond bounds all workers of the task queue together; the server
	// keeps to it, and takes the value of the last worker that started. Zero: no bound.
	ActivitiesPerSecond float64

	Embedded   serve.Config // the proxy in this process, unless:
	ProxyURL   string       // data plane of another proxy; empty: embed one
	ControlURL string       // its control plane
}

// Main is the worker process: a connection to Temporal, a vault proxy, and the
// worker that polls. Run starts them in this order, Close stops them in reverse.
type Main struct {
	cfg     Config
	died    chan error
	closing chan struct{}

	proxy  *serve.Server // nil: another process's proxy is used
	client temporal.Client
	worker worker.Worker
}

// New checks the configuration; nothing is started yet.
func New(cfg Config) (*Main, error) {
	if cfg.Logger == nil || cfg.Ready == nil {
		return nil, errors.New("a worker needs a logger and a place to say that it is ready")
	}
	if cfg.Concurrency < 1 || cfg.Concurrency > maxConcurrency {
		return nil, fmt.Errorf("a worker runs 1 to %d activities at once", maxConcurrency)
	}
	return &Main{cfg: cfg, died: make(chan error, 1), closing: make(chan struct{})}, nil
}

// Run starts everything and returns once the worker polls. After an error the
// caller still calls Close, which stops what had been started.
func (m *Main) Run(ctx context.Context) error {
	proxy, err := m.prepareProxy(ctx)
	if err != nil {
		return err
	}
	opts, err := temporaldial.Options(temporaldial.Config{Env: m.cfg.Env, Logger: m.cfg.Logger})
	if err != nil {
		return err
	}
	if m.client, err = temporaldial.Dial(ctx, opts); err != nil {
		return err
	}
	// Only now: a proxy that runs proves what its ledger has in doubt, and may be
	// asked to charge.
	if proxy, err = m.startProxy(ctx, proxy); err != nil {
		return err
	}
	acts, err := activities.New(activities.Config{DataURL: proxy.dataURL, Control: proxy.control, Logger: m.cfg.Logger})
	if err != nil {
		return err
	}

	ledger, err := proxy.control.LedgerID(ctx)
	if err != nil {
		return reachFailure(proxy.controlURL, err)
	}
	m.warnOfOtherLedgers(ctx, ledger)
	name, err := identity(ledger)
	if err != nil {
		return err
	}
	w := worker.New(m.client, workflows.TaskQueue, worker.Options{
		Identity:                           name,
		MaxConcurrentActivityExecutionSize: m.cfg.Concurrency,
		MaxConcurrentActivityTaskPollers:   activityPollers,
		MaxConcurrentWorkflowTaskPollers:   workflowPollers,
		WorkerStopTimeout:                  m.cfg.StopTimeout,
		MaxHeartbeatThrottleInterval:       maxHeartbeatPause,
		TaskQueueActivitiesPerSecond:       m.cfg.ActivitiesPerSecond,
		// Activities that are started with the workflow task do not pass the queue, and
		// so not its limit either.
		DisableEagerActivities: m.cfg.ActivitiesPerSecond > 0,
		OnFatalError:           func(err error) { m.report(fmt.Errorf("the Temporal worker died: %w", err)) },
	})
	w.RegisterWorkflow(workflows.Billing)
	w.RegisterWorkflow(workflows.ChargeBatch)
	w.RegisterWorkflow(workflows.NotifyBatch)
	w.RegisterWorkflow(workflows.ScheduledBilling)
	w.RegisterActivity(acts)
	if err := w.Start(); err != nil {
		return temporaldial.Refusal(opts, "start polling", err)
	}
	m.worker = w

	_, err = fmt.Fprintf(m.cfg.Ready, "worker ready task_queue=%s temporal=%s namespace=%s proxy=%s control=%s embedded=%t\n",
		workflows.TaskQueue, opts.HostPort, opts.Namespace, proxy.dataURL, proxy.controlURL, m.proxy != nil)
	return err
}

// Died receives an error when a part of the worker stopped by itself.
func (m *Main) Died() <-chan error { return m.died }

// Close stops polling, waits for activities under way, and only then drains the
// proxy that they are calling. It can be called after a failed Run.
func (m *Main) Close() error {
	if m.worker != nil {
		m.worker.Stop()
		m.worker = nil
	}
	if m.client != nil {
		m.client.Close()
		m.client = nil
	}
	if m.proxy == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.Embedded.UpstreamTimeout+max(0, m.cfg.Embedded.ContentionWait)+drainMargin)
	defer cancel()
	close(m.closing)
	err := m.proxy.Close(ctx)
	m.proxy = nil
	if err != nil {
		return fmt.Errorf("stop the vault proxy: %w", err)
	}
	return nil
}

// report never blocks: the first death ends the process, further ones follow from it.
func (m *Main) report(err error) {
	select {
	case m.died <- err:
	default:
	}
}
