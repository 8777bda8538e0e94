package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tollgate/tollgate/vendorsim"
)

// stopGrace is how long requests may take to finish once the process is told to stop.
const stopGrace = 5 * time.Second

// options are the flags.
type options struct {
	addr        string
	faults      string
	healthcheck string
	logLevel    slog.Level
	config      vendorsim.Config
}

// run is the whole command. It returns when ctx ends, nil then, or with an error of one line that
// says what to do and never contains a key.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	// Before the flags are parsed: the parser's errors repeat what it was given.
	if err := refuseLiveKeys(args, environ); err != nil {
		return err
	}
	opts, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if opts.healthcheck != "" {
		return askHealth(ctx, opts.healthcheck)
	}
	opts.config.Logger = slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: opts.logLevel}))
	sim, err := vendorsim.New(opts.config)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", opts.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use: stop what listens there, or give --addr another port (port 0 picks a free one)", opts.addr)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %q: give --addr as host:port, such as 127.0.0.1:12111", opts.addr)
	}
	fmt.Fprintf(stdout, "vendorsim listening on http://%s (seed %d, faults %s)\n", listener.Addr(), opts.config.Seed, opts.faults)
	return serve(ctx, sim, listener, opts.config.Logger)
}

// serve answers until ctx ends, then finishes what is under way.
func serve(ctx context.Context, sim *vendorsim.Sim, listener net.Listener, log *slog.Logger) error {
	server := &http.Server{
		Handler: sim.Handler(), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving stopped: %w", err)
	case <-ctx.Done():
	}
	sim.Close()
	grace, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving stopped: %w", err)
	}
	return nil
}

// askHealth asks a running stand-in whether it is up.
func askHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("--healthcheck must be a URL such as http://127.0.0.1:12111/healthz: %w", err)
	}
	res, err := (&http.Client{Timeout: stopGrace}).Do(req)
	if err != nil {
		return fmt.Errorf("no stand-in answers: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}

// refuseLiveKeys finds a live key among the arguments and the environment before anything starts.
func refuseLiveKeys(args, environ []string) error {
	if slices.ContainsFunc(args, vendorsim.LooksLive) {
		return errors.New("a flag holds a live Stripe key: take it out, a stand-in needs none, and roll the key if others could see it")
	}
	if slices.ContainsFunc(args, vendorsim.LooksLiveTwilio) {
		return errors.New("a flag holds the identifier of a Twilio account or API key: take it out, a stand-in needs none")
	}
	if slices.ContainsFunc(args, vendorsim.LooksLiveResend) {
		return errors.New("a flag holds a Resend key: take it out, a stand-in needs none, and roll the key if others could see it")
	}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case vendorsim.LooksLive(name):
			return errors.New("the name of an environment variable holds a live Stripe key: unset it before starting a stand-in")
		case vendorsim.LooksLiveResend(name):
			return errors.New("the name of an environment variable holds a Resend key: unset it before starting a stand-in")
		case vendorsim.LooksLive(value):
			return fmt.Errorf("the environment variable %s holds a live Stripe key: unset it before starting a stand-in", name)
		case vendorsim.LooksLiveTwilio(value):
			return fmt.Errorf("the environment variable %s names a real Twilio account or API key: unset it before starting a stand-in", name)
		case vendorsim.LooksLiveResend(value):
			return fmt.Errorf("the environment variable %s holds a Resend key: unset it before starting a stand-in", name)
		}
	}
	return nil
}

// parse reads the flags; help goes to out.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	var level string
	flags := flag.NewFlagSet("vendorsim", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:12111", "address to listen on; port 0 picks a free port")
	flags.Uint64Var(&o.config.Seed, "seed", 1, "seed of the schedule of faults")
	flags.StringVar(&o.faults, "faults", "default", "default, none, or kind=rate,… with rates from 0 to 1 in steps of 0.001")
	flags.DurationVar(&o.config.SlowDelay, "slow", vendorsim.DefaultSlowDelay, "how long slow_answer holds an answer back")
	flags.DurationVar(&o.config.Latency, "latency", 0, "how long every request takes before it is executed")
	flags.StringVar(&level, "log-level", "warn", "debug, info, warn or error")
	flags.StringVar(&o.healthcheck, "healthcheck", "", "ask the stand-in at this URL whether it is up, and do nothing else; for containers")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, "vendorsim is a stand-in for Stripe, Twilio and Resend that misbehaves on purpose. Flags:")
		flags.SetOutput(out)
		flags.PrintDefaults()
		return o, err
	}
	switch {
	case err != nil:
		return o, fmt.Errorf("%w; --help lists the flags", err)
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; --help lists the flags", flags.Arg(0))
	case o.config.SlowDelay <= 0:
		return o, errors.New("--slow must be longer than 0, such as 1500ms")
	case o.config.Latency < 0:
		return o, errors.New("--latency must not be negative; 0 means none")
	}
	if err := o.logLevel.UnmarshalText([]byte(level)); err != nil {
		return o, fmt.Errorf("--log-level %q is not one of debug, info, warn, error", level)
	}
	if o.config.Faults, err = vendorsim.ParseFaultPlan(o.faults); err != nil {
		return o, fmt.Errorf("--faults: %w", err)
	}
	return o, nil
}
