// Command bench prints how Tollgate compares with bare baselines, side by side.
// `make bench` builds what it needs and calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/tollgate/tollgate/bench"
	"github.com/tollgate/tollgate/e2e/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// expected is the ratio that each comparison should at least reach.
const expected = 0.6

func run(ctx context.Context) error {
	customers := flag.Int("customers", 3000, "charges in one billing run")
	calls := flag.Int("calls", 20000, "calls through the proxies in one round")
	rounds := flag.Int("rounds", 3, "rounds of each side, in turn")
	flag.Parse()
	temporal := os.Getenv("TOLLGATE_TEMPORAL")
	if temporal == "" {
		return errors.New("no Temporal CLI: run `make bench`, which finds or builds one")
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}

	fmt.Println("calls through the proxy, 64 connections …")
	proxy, err := bench.Proxy(ctx, bench.ProxyConfig{Connections: 64, Calls: *calls, Rounds: *rounds})
	if err != nil {
		return err
	}
	fmt.Printf("billing runs of %d customers, proxy embedded in the worker …\n", *customers)
	embedded, err := fanOut(ctx, bin, temporal, "", *customers, *rounds)
	if err != nil {
		return err
	}
	fmt.Println("the same with the proxy as a process of its own …")
	apart, err := fanOut(ctx, bin, temporal, filepath.Join(bin, "vaultproxy"), *customers, 1)
	if err != nil {
		return err
	}
	show(proxy, embedded, apart)
	return nil
}

func fanOut(ctx context.Context, bin, temporal, proxy string, customers, rounds int) (out bench.FanOutResult, err error) {
	dir, err := os.MkdirTemp("", "tollgate-bench-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return bench.FanOut(ctx, bench.FanOutConfig{
		Stack:     stack.Config{Dir: dir, Bin: bin, Temporal: temporal, Faults: "none", Slow: time.Second, Proxy: proxy},
		Customers: customers, Rounds: rounds,
	})
}

func show(proxy bench.Throughput, embedded, apart bench.FanOutResult) {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatLower
	t.AppendHeader(table.Row{"side by side, medians", "tollgate", "bare", "ratio", "expected"})
	row := func(name string, r bench.Throughput) {
		t.AppendRow(table.Row{
			name, fmt.Sprintf("%.0f/s", bench.Median(r.Tollgate)), fmt.Sprintf("%.0f/s", bench.Median(r.Bare)),
			fmt.Sprintf("%.2f", r.Ratio()), fmt.Sprintf("≥ %.1f", expected),
		})
	}
	row("calls: vault proxy / httputil.ReverseProxy", proxy)
	row("charges: billing run / fan-out of empty activities", embedded.Throughput)
	row("the same, proxy as a process of its own", apart.Throughput)
	t.Render()

	m := table.NewWriter()
	m.SetOutputMirror(os.Stdout)
	m.SetStyle(table.StyleLight)
	m.Style().Format.Header = text.FormatLower
	m.AppendHeader(table.Row{"peak memory, resident", "MiB"})
	m.AppendRow(table.Row{"worker with the proxy embedded", embedded.WorkerPeak >> 20})
	m.AppendRow(table.Row{"worker alone", apart.WorkerPeak >> 20})
	m.AppendRow(table.Row{"vault proxy alone", apart.ProxyPeak >> 20})
	m.Render()
}
