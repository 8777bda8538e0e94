// Command vendorsim runs a stand-in for Stripe, Twilio and Resend that misbehaves on purpose, for tests and demos.
// See the package documentation of vendorsim for what it does and what it does not.
//
// It prints its address in one line on standard output once it listens, logs as JSON to standard
// error, and stops on SIGINT or SIGTERM. GET /sim/truth tells what it really charged.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vendorsim: "+strings.TrimPrefix(err.Error(), "vendorsim: "))
		os.Exit(1)
	}
}
