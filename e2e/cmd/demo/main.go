// Command demo runs the main job from end to end and fails if anything is not
// as it must be. `make demo` builds what it needs and calls it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything that it started is stopped")
		os.Exit(130)
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errTold):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// errTold is a failure that has been explained already.
var errTold = errors.New("the demo failed")

// mostNotices is the longest list whose customers are written to as well: writing
// takes longer than charging.
const mostNotices = 20_000

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	customers := flags.Int("customers", 3000, "how many customers to charge")
	seed := flags.Int64("seed", 1, "seed of the customers and of the vendor's faults")
	budget := flags.String("budget-usd", "", "the run's budget in dollars (default: 80 % of what the list comes to)")
	perActivity := flags.Int("charges-per-activity", 1, "charges made by one activity")
	bin := flags.String("bin", "bin", "folder of the built programs")
	proxy := flags.String("proxy", "", "a vault proxy program to run as a process of its own (default: embedded in the worker)")
	keep := flags.Bool("keep", false, "keep logs, ledger and keys even if all went well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg := demo.Config{Customers: *customers, Notices: *customers <= mostNotices, Out: os.Stdout, Err: os.Stderr}
	if *customers < 1 {
		return errors.New("--customers must be at least 1")
	}
	if *budget != "" {
		if cfg.BudgetUSD, err = money.Parse(*budget); err != nil {
			return fmt.Errorf("--budget-usd: %w", err)
		}
	}
	cfg.RunArgs = []string{"--charges-per-activity", strconv.Itoa(*perActivity)}
	temporal := os.Getenv("TOLLGATE_TEMPORAL")
	if temporal == "" {
		return errors.New("no Temporal CLI: run `make demo`, which finds or builds one, or name one in TOLLGATE_TEMPORAL")
	}
	programs, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tollgate-demo-")
	if err != nil {
		return err
	}
	cfg.Stack = stack.Config{Dir: dir, Bin: programs, Temporal: temporal, Seed: *seed, Proxy: *proxy}
	result, err := demo.Run(ctx, cfg)
	if err == nil && !*keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if result.Customers > 0 {
		line, encodeErr := json.Marshal(result)
		if encodeErr != nil {
			return encodeErr
		}
		if err != nil {
			// The reasons first: the JSON stays the last line of the standard output.
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
		fmt.Println(string(line))
		if err != nil {
			return errTold
		}
	}
	return err
}
