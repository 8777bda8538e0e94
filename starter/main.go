// Command starter starts billing runs and shows what became of them.
//
//	starter run --plan pro --period 2026-11 --customers list.csv --budget-usd 500 --wait
//	starter status billing-pro-2026-11
//	starter report billing-pro-2026-11
//	starter revoke billing-pro-2026-11
//	starter list --open
//	starter codec-server
//
// Most commands talk to Temporal, found by Temporal's standard environment variables.
// What it stores is encrypted, and codec-server lets its UI read it. report, keys and
// audit talk to the control plane of the vault proxy, by default the one inside a worker
// on this machine; revoke talks to both.
//
// Results go to standard output, as tables or with --json; progress and errors
// go to standard error, each error as one line. Exit codes:
//
//	0    done; with --wait: the run ended and needs nobody
//	1    it could not be done, or the run itself failed or was canceled
//	2    a flag, an argument or the customer list cannot be used; nothing was started
//	3    the plan was already billed for that period, or is being billed right now
//	4    with --wait: the run ended but a person has to look: charges are unknown or
//	     failed, its key outlived it, or something else than its budget stopped it;
//	     of raise-budget: the run had stopped by then
//	130  interrupted; a run that was being watched goes on
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"golang.org/x/term"

	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		env:      envconfig.EnvLookupOS,
		dial:     temporaldial.Dial,
		now:      time.Now,
		poll:     pollEvery,
		query:    queryTimeout,
		terminal: terminalWidth,
	}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// program is the starter with all that it touches, so that a test can run it.
type program struct {
	stdout, stderr io.Writer
	env            envconfig.EnvLookup
	keys           payloadcodec.Source // of what is stored in Temporal; its folder is the state folder of all commands
	dial           func(context.Context, client.Options) (client.Client, error)
	now            func() time.Time
	poll           time.Duration // between two looks at a run that is being watched
	query          time.Duration // bounds one look
	terminal       func() int    // columns of the terminal on stderr; zero: it is none
}

// terminalWidth is zero when standard error is a file or a pipe: a bar that
// redraws itself would fill it with control characters.
func terminalWidth() int {
	fd := int(os.Stderr.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return 0
	}
	width, _, err := term.GetSize(fd)
	if err != nil {
		return 0
	}
	return width
}
