// Command chaos runs billing runs under fire and fails if one of them is not as
// it must be. It prints a line of JSON for each round and one for all of them.
// `make chaos` builds what it needs and calls it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tollgate/tollgate/e2e/chaos"
	"github.com/tollgate/tollgate/e2e/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "chaos: interrupted; everything that it started is stopped")
		os.Exit(130)
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	rounds := flags.Int("rounds", 20, "how many rounds")
	first := flags.Int("first", 1, "number of the first round, to run one again")
	seed := flags.Int64("seed", 1, "seed of the kills, the customers and the vendor's faults")
	customers := flags.Int("customers", 1000, "how many customers to charge in a round")
	deadline := flags.Duration("deadline", 6*time.Minute, "by when a round's run must have completed and every call be final")
	bin := flags.String("bin", "bin", "folder of the built programs")
	keep := flags.Bool("keep", false, "keep logs, ledgers and keys even if all went well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || *customers < 50 || *deadline <= 0 || *first < 1 {
		return errors.New("it takes at least one round, 50 customers and a deadline above zero")
	}
	temporal := os.Getenv("TOLLGATE_TEMPORAL")
	if temporal == "" {
		return errors.New("no Temporal CLI: run `make chaos`, which finds or builds one, or name one in TOLLGATE_TEMPORAL")
	}
	programs, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tollgate-chaos-")
	if err != nil {
		return err
	}
	cfg := chaos.Config{
		Customers: *customers, Deadline: *deadline, Log: log,
		Stack: stack.Config{Dir: dir, Bin: programs, Temporal: temporal, Proxy: filepath.Join(programs, "vaultproxy")},
	}
	var total chaos.Total
	encoder := json.NewEncoder(out)
	for round := *first; round < *first+*rounds; round++ {
		_, _ = fmt.Fprintf(log, "round %d\n", round)
		result, err := chaos.Round(ctx, cfg, *seed, round)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			result.Round, result.Seed = round, *seed
			result.Problems = append(result.Problems, err.Error())
		}
		total.Add(result)
		if err := encoder.Encode(result); err != nil {
			return err
		}
	}
	if err := encoder.Encode(total); err != nil {
		return err
	}
	if total.OK < total.Rounds {
		return fmt.Errorf("%d of %d rounds failed; logs, ledgers and keys: %s", total.Rounds-total.OK, total.Rounds, dir)
	}
	if *keep {
		_, _ = fmt.Fprintln(log, "logs, ledgers and keys:", dir)
		return nil
	}
	return os.RemoveAll(dir)
}
