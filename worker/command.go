package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/worker"

	"github.com/tollgate/tollgate/vaultproxy/serve"
	"github.com/tollgate/tollgate/worker/payloadcodec"
)

// Exit codes; the package comment explains them.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// program is the command with all that it touches, so that a test can run it.
type program struct {
	stdout, stderr io.Writer
	env            envconfig.EnvLookup
}

// usageError is a command line that cannot be used.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// run executes one command line and returns the process's exit code.
func (p *program) run(ctx context.Context, args []string) int {
	var f flags
	root := &cobra.Command{
		Use:               "worker",
		Short:             "Run billing workflows, with the vault proxy inside",
		Example:           "  worker --stripe-secret-file stripe.key\n  worker --proxy-url http://proxy:8787 --control-url http://proxy:8788 --admin-key-file admin.key",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              noArguments,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd.Flags(), p)
			if err != nil {
				return err
			}
			return serveUntilDone(cmd.Context(), cfg)
		},
	}
	f.bind(root.Flags())
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v; see '%s --help'", err, cmd.CommandPath())
	})
	root.AddCommand(p.healthCommand(), p.replayCommand())

	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(p.stderr, "worker: "+oneLine(err.Error()))
	var wrong *usageError
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitError
}

// serveUntilDone runs the worker until the context ends or a part of it dies.
func serveUntilDone(ctx context.Context, cfg Config) error {
	m, err := New(cfg)
	if err != nil {
		return err
	}
	if err := m.Run(ctx); err != nil {
		return errors.Join(err, m.Close())
	}
	var died error
	select {
	case <-ctx.Done():
	case died = <-m.Died():
	}
	return errors.Join(died, m.Close())
}

// flags are the command line as it was typed.
type flags struct {
	embedded    serve.Config
	codecKeys   string
	deployment  string
	buildID     string
	proxyURL    string
	controlURL  string
	concurrency int
	stopTimeout time.Duration
	perSecond   float64
	logFormat   string
	logLevel    string
}

func (f *flags) bind(fs *pflag.FlagSet) {
	serve.Bind(fs, &f.embedded)
	fs.StringVar(&f.proxyURL, "proxy-url", "", "data plane of another vault proxy; none is started here then")
	fs.StringVar(&f.controlURL, "control-url", "", "control plane of that proxy (default the same as --proxy-url)")
	fs.IntVar(&f.concurrency, "max-concurrent-activities", 256, "charges and other activities at once in this process")
	fs.DurationVar(&f.stopTimeout, "stop-timeout", 40*time.Second, "wait for activities under way when stopping; longer than --upstream-timeout and --contention-wait together, which it follows unless given")
	fs.Float64Var(&f.perSecond, "activities-per-second", 0, "at most so many activities a second for all workers of the task queue together; give each of them the same (default no limit)")
	fs.StringVar(&f.codecKeys, "codec-key-file", "", "keys that payloads are encrypted with (default $"+
		payloadcodec.KeyFileVariable+", else $"+payloadcodec.KeyVariable+", else "+payloadcodec.FileName+" in --state-dir, made if need be, if Temporal is on this machine)")
	fs.StringVar(&f.deployment, "deployment-name", "", "worker deployment that this process is a version of, with --build-id; runs stay on the version that they began on")
	fs.StringVar(&f.buildID, "build-id", "", "version of that deployment, such as a commit")
	fs.StringVar(&f.logFormat, "log-format", "text", "text or json")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
}

// onlyEmbedded are the flags of the proxy in this process. Given together with
// --proxy-url they would have no effect, and one would believe they had.
func onlyEmbedded() []string {
	return append([]string{"data-addr", "control-addr", "upstream-timeout", "contention-wait", "ledger-url-file", "master-key-file"}, serve.VendorFlags()...)
}

func (f *flags) config(fs *pflag.FlagSet, p *program) (Config, error) {
	cfg := Config{
		Env:         p.env,
		Ready:       p.stdout,
		Concurrency: f.concurrency,
		StopTimeout: f.stopTimeout,
		Embedded:    f.embedded,
		ProxyURL:    f.proxyURL,
		ControlURL:  f.controlURL,

		ActivitiesPerSecond: f.perSecond,
		Keys:                payloadcodec.Source{File: f.codecKeys, StateDir: f.embedded.StateDir, Make: true},
		Deployment:          worker.WorkerDeploymentVersion{DeploymentName: f.deployment, BuildID: f.buildID},
	}
	if f.concurrency < 1 || f.concurrency > maxConcurrency {
		return cfg, usage("--max-concurrent-activities is %d: it must be from 1 to %d", f.concurrency, maxConcurrency)
	}
	if f.stopTimeout <= 0 {
		return cfg, usage("--stop-timeout is %s: it must be longer than zero, such as 40s", f.stopTimeout)
	}
	if f.proxyURL == "" {
		// What a call may take in the proxy that is here.
		least := f.embedded.UpstreamTimeout + max(0, f.embedded.ContentionWait)
		if !fs.Changed("stop-timeout") {
			cfg.StopTimeout = max(f.stopTimeout, least+drainMargin)
		} else if f.stopTimeout < least {
			return cfg, usage("--stop-timeout is %s: a charge under way may take %s (--upstream-timeout and --contention-wait), and one that is cut off has to be proved later; give that much at least", f.stopTimeout, least)
		}
	}
	if f.perSecond < 0 {
		return cfg, usage("--activities-per-second is %g: it must be above zero, or zero for no limit", f.perSecond)
	}
	if (f.deployment == "") != (f.buildID == "") {
		return cfg, usage("--deployment-name and --build-id go together: give both, or neither")
	}
	if strings.Contains(f.deployment, ".") {
		return cfg, usage("--deployment-name is %q: Temporal takes no '.' in it", f.deployment)
	}
	if f.proxyURL == "" && f.controlURL != "" {
		return cfg, usage("--control-url names another proxy's control plane: give its data plane too, with --proxy-url")
	}
	if f.proxyURL != "" {
		for _, name := range onlyEmbedded() {
			if fs.Changed(name) {
				return cfg, usage("--%s is for the proxy inside the worker, and --proxy-url names another: give one of them", name)
			}
		}
		if f.controlURL == "" {
			cfg.ControlURL = f.proxyURL
		}
	}
	logger, err := newLogger(p.stderr, f.logFormat, f.logLevel)
	cfg.Logger = logger
	return cfg, err
}

func newLogger(out io.Writer, format, level string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{}
	switch level {
	case "debug":
		options.Level = slog.LevelDebug
	case "info":
		options.Level = slog.LevelInfo
	case "warn":
		options.Level = slog.LevelWarn
	case "error":
		options.Level = slog.LevelError
	default:
		return nil, usage("--log-level is %q: it must be debug, info, warn or error", level)
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(out, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, options)), nil
	}
	return nil, usage("--log-format is %q: it must be text or json", format)
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("%q is not a command or an argument of '%s'; see '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath())
}

// oneLine keeps an error of several lines from looking like several errors.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
