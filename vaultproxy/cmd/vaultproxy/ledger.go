package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

// minAge is the least age of what is pruned: a run that rests over the weekend
// must not be closed by a slip of the finger.
const minAge = 24 * time.Hour

// onLedger is a command that works on a ledger, by default the one of a state
// folder. Opening one that is not there would make it, and an empty ledger
// without its key would stop the next start.
func onLedger(cmd *cobra.Command, run func(cmd *cobra.Command, cfg serve.Config, args []string) error) *cobra.Command {
	var cfg serve.Config
	cmd.Flags().StringVar(&cfg.StateDir, "state-dir", ".tollgate", "folder of the ledger")
	cmd.Flags().StringVar(&cfg.LedgerURLFile, "ledger-url-file", "", "file with the URL of a PostgreSQL database (default: $TOLLGATE_LEDGER_URL, else the state folder)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		shared, err := serve.SharedLedger(cfg)
		if err != nil {
			return err
		}
		if _, err := os.Stat(serve.LedgerPath(cfg.StateDir)); err != nil && !shared {
			return fmt.Errorf("there is no ledger for '%s': %w; name its folder by --state-dir", cmd.CommandPath(), err)
		}
		return run(cmd, cfg, args)
	}
	return cmd
}

func migrateCommand() *cobra.Command {
	return onLedger(&cobra.Command{
		Use: "migrate", Short: "bring the ledger's schema up to date, as a start does; stop the proxy first", Args: noArguments,
	}, func(cmd *cobra.Command, cfg serve.Config, _ []string) error {
		from, to, err := serve.MigrateLedger(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		if from == to {
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "the ledger has schema version %d, the newest that this program knows\n", to)
			return nil
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "the ledger has schema version %d now; it had %d\n", to, from)
		return nil
	})
}

func verifyCommand() *cobra.Command {
	return onLedger(&cobra.Command{
		Use: "verify", Short: "recompute every budget from its calls and compare; a proxy may be at work", Args: noArguments,
	}, func(cmd *cobra.Command, cfg serve.Config, _ []string) error {
		lines, err := verify(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		for _, line := range lines {
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), line)
		}
		if len(lines) > 0 {
			return fmt.Errorf("%d differences between budgets and calls", len(lines))
		}
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "every budget equals the sum over its calls")
		return nil
	})
}

// verify does not open a file as a proxy would, which may have it.
func verify(ctx context.Context, cfg serve.Config) (lines []string, err error) {
	shared, err := serve.SharedLedger(cfg)
	if err != nil {
		return nil, err
	}
	if !shared {
		return sqlite.Verify(ctx, serve.LedgerPath(cfg.StateDir))
	}
	store, err := serve.OpenLedger(ctx, cfg)
	if err != nil {
		return nil, err
	}
	lines, err = store.Verify(ctx)
	return lines, errors.Join(err, store.Close())
}

func closeAllCommand() *cobra.Command {
	return onLedger(&cobra.Command{
		Use: "close-all", Short: "revoke every key and close every run: after a ledger was restored from an older copy", Args: noArguments,
	}, func(cmd *cobra.Command, cfg serve.Config, _ []string) (err error) {
		store, err := serve.OpenLedger(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		closed, err := store.CloseAll(cmd.Context())
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "closed %d runs; no key of this ledger causes anything new\n", closed)
		return nil
	})
}

func pruneCommand() *cobra.Command {
	var age string
	var older time.Duration
	cmd := onLedger(&cobra.Command{
		Use: "prune", Short: "close runs that have long ended and remove their final calls; where the ledger is a file, stop the proxy first", Args: noArguments,
		Example: "  vaultproxy prune --older-than 90d",
		PreRunE: func(*cobra.Command, []string) (err error) {
			older, err = parseAge(age)
			return err
		},
	}, func(cmd *cobra.Command, cfg serve.Config, _ []string) (err error) {
		store, err := serve.OpenLedger(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		now, err := store.Now(cmd.Context())
		if err != nil {
			return err
		}
		before := now.Add(-older)
		got, err := store.Prune(cmd.Context(), before)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "pruned %d runs that ended before %s: %d calls and %d audit rows\n",
			got.Runs, before.UTC().Format(time.RFC3339), got.Calls, got.AuditRows)
		return nil
	})
	cmd.Flags().StringVar(&age, "older-than", "", "age of what goes, such as 90d or 2160h, at least 24h (required)")
	return cmd
}

// parseAge reads a duration that may be given in days.
func parseAge(text string) (time.Duration, error) {
	if text == "" {
		return 0, errors.New("--older-than is missing: how old is what may go, such as 90d?")
	}
	age, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n int
		if n, err = strconv.Atoi(days); err == nil && n > 0 && n <= math.MaxInt64/int(24*time.Hour) {
			age = time.Duration(n) * 24 * time.Hour
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("--older-than is %.40q: write it like 90d or 2160h", text)
	case age < minAge:
		return 0, fmt.Errorf("--older-than is %.40q: it must be at least %s", text, minAge)
	}
	return age, nil
}

func backupCommand() *cobra.Command {
	return onLedger(&cobra.Command{
		Use: "backup FILE", Short: "copy the ledger to a new file, with every key revoked in it; a proxy may be at work",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("'%s' takes one file to write; see '%s --help'", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
	}, func(cmd *cobra.Command, cfg serve.Config, args []string) error {
		if shared, err := serve.SharedLedger(cfg); err != nil || shared {
			return errors.Join(err, errors.New("a PostgreSQL ledger is backed up by PostgreSQL's own means; once it is restored, run `vaultproxy close-all`"))
		}
		if err := sqlite.Backup(cmd.Context(), serve.LedgerPath(cfg.StateDir), args[0]); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; it is of use only together with master.key of the state folder\n", args[0])
		return nil
	})
}
