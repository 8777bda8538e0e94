// Command vaultproxy runs the vault proxy on its own.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tollgate/tollgate/vaultproxy/gogc"
	"github.com/tollgate/tollgate/vaultproxy/stdlog"
)

func main() {
	prepare()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// prepare sets what the whole process has one of.
func prepare() {
	gogc.Relax()
	stdlog.Discard()
}

// execute runs one command line and returns the process's exit code. An error
// is one line, joined ones too.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintln(stderr, "vaultproxy:", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}
