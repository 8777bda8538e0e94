package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/tollgate/tollgate/vaultproxy/serve"
)

const (
	// drainTime is how long calls in flight may take to end after a stop signal.
	drainTime = 40 * time.Second
	// drainMargin is for booking what a vendor answers at the last moment.
	drainMargin = 5 * time.Second
)

// drainFor is longer than any call may take: one that is cut off has to be proved later.
func drainFor(cfg serve.Config) time.Duration {
	return max(drainTime, cfg.UpstreamTimeout+max(0, cfg.ContentionWait)+drainMargin)
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "vaultproxy",
		Short:         "Bounded vendor spend: a proxy that holds the price before it sends the call",
		SilenceErrors: true, SilenceUsage: true,
		Args:              noArguments,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())
	})
	root.AddCommand(serveCommand(), healthCommand(), migrateCommand(), verifyCommand(), pruneCommand(), closeAllCommand(), backupCommand())
	return root
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%.40q is no command or argument of '%s'; see '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath())
}

func serveCommand() *cobra.Command {
	var (
		cfg           serve.Config
		format, level string
	)
	cmd := &cobra.Command{
		Use: "serve", Short: "run the proxy until it is told to stop", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(cmd.ErrOrStderr(), format, level)
			if err != nil {
				return err
			}
			cfg.Logger = log
			return run(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	serve.Bind(cmd.Flags(), &cfg)
	cmd.Flags().StringVar(&format, "log-format", "json", "json or text")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	least, known := levels[level]
	if !known {
		return nil, fmt.Errorf("--log-level is %.40q: it must be debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: least}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log-format is %.40q: it must be json or text", format)
}

func run(ctx context.Context, cfg serve.Config, out io.Writer) error {
	server, err := serve.Start(ctx, cfg)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "vaultproxy ready: data plane %s, control plane %s\n", server.DataURL(), server.ControlURL())
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-server.Err():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor(cfg))
	defer cancel()
	return errors.Join(failed, server.Close(drain))
}

func healthCommand() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use: "health", Short: "ask a proxy whether it is ready; for container health checks", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return fmt.Errorf("--url: %w", err)
			}
			res, err := new(http.Client).Do(req)
			if err != nil {
				return fmt.Errorf("no proxy answers at %s (%w): start it first, or name its readiness page by --url", url, err)
			}
			defer func() { _ = res.Body.Close() }()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %s", url, res.Status)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://"+serve.DefaultAddr+"/readyz", "the proxy's readiness page")
	return cmd
}
