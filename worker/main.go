// Command worker runs the billing workflows and their activities, and inside
// itself the vault proxy through which every charge goes.
//
//	worker --stripe-secret-file stripe.key
//
// The proxy listens on 127.0.0.1:8787 and keeps its ledger in .tollgate. It
// shares the process, and so the memory, with the activities: it bounds what
// they spend, but does not keep the vendor's secret from code that runs beside
// it. Where that matters, run the proxy by itself and name it:
//
//	worker --proxy-url http://proxy:8787 --control-url http://proxy:8788 --admin-key-file admin.key
//
// Temporal is found by its standard environment variables (TEMPORAL_ADDRESS,
// TEMPORAL_NAMESPACE, TEMPORAL_TLS…), by default at 127.0.0.1:7233.
//
// The parts start in the order Temporal connection, proxy, worker, and each
// that fails takes the ones before it down again: a worker that polls can
// charge. Ports are bound and flags are checked before any of them. Then one line that begins with "worker ready" goes to standard output;
// logs go to standard error. SIGINT or SIGTERM first stops the worker, waiting
// for activities under way, then drains the proxy; a second signal ends at once.
//
// Exit codes:
//
//	0  stopped by a signal, or 'worker health' found a worker
//	1  it could not start, or a part of it died; one line says which and what to do
//	2  a flag or an argument cannot be used; nothing was started
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/tollgate/tollgate/vaultproxy/gogc"
	"github.com/tollgate/tollgate/vaultproxy/stdlog"
)

func main() {
	prepare()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Once the first signal came, the second one has its default effect again.
	context.AfterFunc(ctx, stop)
	p := &program{stdout: os.Stdout, stderr: os.Stderr, env: envconfig.EnvLookupOS}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// prepare sets what the whole process has one of.
func prepare() {
	gogc.Relax()
	stdlog.Discard()
}
