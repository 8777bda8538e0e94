package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
)

// ledgerURL finds the URL of a shared ledger: in the file, else in
// TOLLGATE_LEDGER_URL. Empty: the ledger is a file in the state folder. It is no
// flag, since it may hold a password.
func ledgerURL(file string) (string, error) {
	if file != "" {
		return readSecret("ledger's URL", file)
	}
	url := strings.TrimSpace(os.Getenv("TOLLGATE_LEDGER_URL"))
	if url == "" {
		return "", nil
	}
	return url, oneLine("ledger's URL", "TOLLGATE_LEDGER_URL", url)
}

// SharedLedger reports whether the configuration names a database rather than a file.
func SharedLedger(cfg Config) (bool, error) {
	url, err := ledgerURL(cfg.LedgerURLFile)
	return url != "", err
}

// MigrateLedger brings the schema of the database that the configuration names up
// to date.
func MigrateLedger(ctx context.Context, cfg Config) (from, to int64, err error) {
	url, err := ledgerURL(cfg.LedgerURLFile)
	if err != nil {
		return 0, 0, err
	}
	if url == "" {
		return sqlite.Migrate(ctx, LedgerPath(cfg.StateDir))
	}
	return postgres.Migrate(ctx, postgres.Config{URL: url})
}

// OpenLedger opens the ledger that the configuration names, a database that
// several proxies share or a file. A file has to be there.
func OpenLedger(ctx context.Context, cfg Config) (ledger.Store, error) {
	url, err := ledgerURL(cfg.LedgerURLFile)
	if err != nil {
		return nil, err
	}
	path := LedgerPath(cfg.StateDir)
	if url == "" {
		// Opening would make one, and an empty ledger without its key would stop the next start.
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("there is no ledger: %w; name its folder by --state-dir, or a database by --ledger-url-file or TOLLGATE_LEDGER_URL", err)
		}
	}
	return openLedger(ctx, url, path)
}

func openLedger(ctx context.Context, url, path string) (ledger.Store, error) {
	if url != "" {
		s, err := postgres.Open(ctx, postgres.Config{URL: url})
		if err != nil {
			return nil, err // not s: a nil *postgres.Store would be a store that is not nil
		}
		return s, nil
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// checkShared refuses what proxies that share a ledger must not make for
// themselves: each would have another key, and none could read what another wrote.
func (s *Server) checkShared(adminKeyGiven bool) error {
	if s.url == "" {
		return nil
	}
	if s.cfg.MasterKeyFile == "" {
		return errors.New("proxies that share a ledger need the same master key: name its file by --master-key-file (make one with: openssl rand -hex 32)")
	}
	if _, err := os.Stat(s.cfg.MasterKeyFile); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the master key: %w (make one with: openssl rand -hex 32)", err)
	}
	if !adminKeyGiven {
		return errors.New("proxies that share a ledger need the same admin key: name its file by --admin-key-file, or set TOLLGATE_ADMIN_KEY")
	}
	return nil
}
