// Command brokenproxy is a vault proxy that is wrong on purpose. The demo must
// catch it: a check that nothing can fail proves nothing. It is used by tests
// alone and takes the flags of `vaultproxy serve`.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

// The ways to be wrong; the program is called by one of these names.
const (
	forgetful = "proxy-without-idempotency"
	lateCheck = "proxy-check-then-act"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(filepath.Base(os.Args[0])).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "brokenproxy:", err)
		os.Exit(1)
	}
}

func command(wrong string) *cobra.Command {
	var cfg serve.Config
	cmd := &cobra.Command{
		Use: "serve", SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), cfg, wrong) },
	}
	serve.Bind(cmd.Flags(), &cfg)
	root := &cobra.Command{Use: wrong, SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(cmd)
	return root
}

func run(ctx context.Context, cfg serve.Config, wrong string) (err error) {
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return err
	}
	ledgerFile, err := sqlite.Open(ctx, sqlite.Config{Path: serve.LedgerPath(cfg.StateDir)})
	if err != nil {
		return err
	}
	var store ledger.Store
	switch wrong {
	case forgetful:
		store = &withoutIdempotency{Store: ledgerFile}
	case lateCheck:
		store = &checkThenAct{Store: ledgerFile}
	default:
		return fmt.Errorf("call this program %s or %s", forgetful, lateCheck)
	}
	upstreams, err := serve.Upstreams(cfg)
	if err != nil {
		return err
	}
	proxy, err := vaultproxy.New(vaultproxy.Config{
		Store: store, AdminKey: os.Getenv("TOLLGATE_ADMIN_KEY"), MasterKey: make([]byte, vaultproxy.MasterKeySize),
		Logger:    slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		Upstreams: upstreams,
	})
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.DataAddr)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "vaultproxy ready: data plane http://%[1]s, control plane http://%[1]s\n", l.Addr())
	server := &http.Server{Handler: proxy.Combined(), ReadHeaderTimeout: 10 * time.Second}
	go func() { err = server.Serve(l) }()
	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(proxy.Close(drain), server.Shutdown(drain), ledgerFile.Close())
}
