// Command benchledger prints how many reservations a second the ledger makes
// durable, beside its naive twin: the same schema, statements and settings, with
// a transaction for each call. It ends with 3 if a store falls short of what
// group commit is there for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/tollgate/tollgate/bench"
	"github.com/tollgate/tollgate/vaultproxy/gogc"
)

func main() {
	gogc.Relax() // as the programs that keep a ledger do
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	var short *shortError
	switch {
	case errors.As(err, &short):
		fmt.Fprintln(os.Stderr, "benchledger:", err)
		os.Exit(3)
	case err != nil:
		fmt.Fprintln(os.Stderr, "benchledger:", err)
		os.Exit(1)
	}
}

// shortError says what fell short of its target.
type shortError struct{ what []string }

func (e *shortError) Error() string { return "below the target: " + strings.Join(e.what, "; ") }

func run(ctx context.Context) error {
	var cfg bench.LedgerConfig
	flag.IntVar(&cfg.Callers, "callers", 64, "callers at the same time, all on one key")
	flag.IntVar(&cfg.Rounds, "rounds", 5, "rounds of each mode, in turn")
	flag.DurationVar(&cfg.Round, "round", 2*time.Second, "how long a round lasts")
	only := flag.String("store", "", "measure this store alone, such as SQLite; empty: every one")
	flag.Parse()
	if cfg.Callers < 1 || cfg.Rounds < 1 || cfg.Round <= 0 {
		return errors.New("callers, rounds and the length of a round must be above zero")
	}

	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatLower
	t.AppendHeader(table.Row{"store", "mode", "reservations/s", "ratio", "target", "commits/s", "mean batch"})
	var short shortError
	for _, store := range bench.LedgerStores() {
		if *only != "" && !strings.EqualFold(*only, store.Name) {
			continue
		}
		fmt.Printf("%s, %d callers on one key …\n", store.Name, cfg.Callers)
		got, err := bench.MeasureLedger(ctx, cfg, store)
		if errors.Is(err, bench.ErrNoServer) {
			t.AppendRow(table.Row{store.Name, "not measured: " + err.Error()})
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", store.Name, err)
		}
		row := func(mode string, s bench.LedgerSpeed, ratio, target string) {
			t.AppendRow(table.Row{
				store.Name, mode, fmt.Sprintf("%.0f", bench.Median(s.Reservations)), ratio, target,
				fmt.Sprintf("%.0f", bench.Median(s.Commits)), fmt.Sprintf("%.1f", s.MeanBatch()),
			})
		}
		row("group commit", got.Group, fmt.Sprintf("%.1f", got.Ratio()), target(store))
		row("a transaction a call", got.Naive, "", "")
		short.what = append(short.what, missed(store, got)...)
	}
	fmt.Println("medians of the rounds, both modes in turn:")
	t.Render()
	if len(short.what) > 0 {
		return &short
	}
	return nil
}

func target(store bench.LedgerStore) string {
	ratio := fmt.Sprintf("ratio ≥ %.0f", store.Gain)
	if store.Rate == 0 {
		return ratio
	}
	return fmt.Sprintf("≥ %.0f/s, %s", store.Rate, ratio)
}

// missed says which targets a store fell short of.
func missed(store bench.LedgerStore, got bench.LedgerResult) (what []string) {
	if rate := bench.Median(got.Group.Reservations); rate < store.Rate {
		what = append(what, fmt.Sprintf("%s makes %.0f reservations/s with group commit, wanted %.0f", store.Name, rate, store.Rate))
	}
	if ratio := got.Ratio(); ratio < store.Gain {
		what = append(what, fmt.Sprintf("%s makes %.1f times those of its twin, wanted %.0f", store.Name, ratio, store.Gain))
	}
	return what
}
