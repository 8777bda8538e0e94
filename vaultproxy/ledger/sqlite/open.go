// Package sqlite keeps the ledger in one SQLite file: WAL, synchronous=FULL, by
// the cgo-free driver modernc.org/sqlite.
//
// One connection writes, and belongs to the commit loop of package sqlstore.
// Reads go through a pool of their own.
//
// A file lock beside the database makes sure that one process alone holds the
// ledger. Rows that a dead process left in flight become unknown at the next
// Open: they may be on the vendor's side, and only proof may release them.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	_ "modernc.org/sqlite" // registers the driver

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// Config says where the ledger is.
type Config struct {
	Path string           // of the database file; its folder must exist
	Now  func() time.Time // nil: time.Now
	// MaxBatch bounds the operations of one commit; zero: as many as have queued
	// up. One is for comparison: every operation pays for a commit of its own.
	MaxBatch int
}

// Store is a ledger.Store in one SQLite file.
type Store struct {
	*sqlstore.Store

	db *database
}

// database is the open file: a sqlstore.Backend.
type database struct {
	id     string
	epoch  int64
	now    func() time.Time
	lock   *flock.Flock
	db     *sql.DB
	writer *writer
	read   *sql.DB
	known  known
}

var (
	_ ledger.Store     = (*Store)(nil)
	_ sqlstore.Backend = (*database)(nil)
)

// Open opens or creates the ledger, brings its schema up to date and turns
// what a former process left in flight into unknown.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if cfg.Path == "" {
		return nil, errors.New("open ledger: no path")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	lock, path, err := lockFile(cfg.Path)
	if err != nil {
		return nil, err
	}
	d := &database{now: cfg.Now, lock: lock}
	if err := d.open(ctx, path); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open ledger %s: %w", cfg.Path, err)
	}
	orphans, err := d.orphans(ctx)
	if err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open ledger %s: %w", cfg.Path, err)
	}
	s, err := sqlstore.New(sqlstore.Config{Backend: d, MaxBatch: cfg.MaxBatch})
	if err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open ledger %s: %w", cfg.Path, err)
	}
	if err := s.Orphan(ctx, orphans); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open ledger %s: %w", cfg.Path, err)
	}
	return &Store{Store: s, db: d}, nil
}

func (d *database) open(ctx context.Context, path string) (err error) {
	if err := ownerOnly(path); err != nil {
		return err
	}
	// Foreign keys are not looked up for each row that is written: the rows that a
	// call names were read, or written, in its own transaction. Verify looks.
	if d.db, err = openDB(path, 1); err != nil {
		return err
	}
	if _, _, err := migrate(ctx, d.db); err != nil {
		return err
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return err
	}
	if d.writer, err = newWriter(ctx, conn, &d.known); err != nil {
		_ = conn.Close()
		return err
	}
	if d.read, err = openDB(path, 4, "query_only(1)"); err != nil {
		return err
	}
	if err := d.enter(ctx, conn); err != nil {
		return err
	}
	return d.known.learn(ctx, conn)
}

// lockFile takes the ledger for this process alone, and returns its one path.
func lockFile(name string) (*flock.Flock, string, error) {
	path, err := onePath(name)
	if err != nil {
		return nil, "", fmt.Errorf("open ledger %s: %w", name, err)
	}
	lock := flock.New(path + ".lock")
	held, err := lock.TryLock()
	if err != nil {
		return nil, "", fmt.Errorf("open ledger %s: %w", name, err)
	}
	if !held {
		return nil, "", fmt.Errorf("open ledger %s: another vault proxy holds it; stop that one, or choose another state folder", name)
	}
	return lock, path, nil
}

// onePath is the path behind links: two names of one file must meet at one lock.
func onePath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		return target, nil
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(abs)) // the file itself is yet to be made
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, filepath.Base(abs)), nil
}

// ownerOnly creates the file readable by its owner alone: it holds who paid what.
func ownerOnly(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func openDB(path string, conns int, pragmas ...string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, append([]string{
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)",
		// Fewer checkpoints write a hot page fewer times; 32 MiB of WAL at most between two.
		"wal_autocheckpoint(8000)",
	}, pragmas...)...))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// dsn names a file, and what each connection to it begins with. Two slashes before
// a relative path would make a host of its first folder.
func dsn(path string, pragmas ...string) string {
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}).String()
}

// enter reads or makes the ledger's identity and begins a new epoch.
func (d *database) enter(ctx context.Context, conn *sql.Conn) error {
	id := make([]byte, 8)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	return conn.QueryRowContext(ctx, `
		INSERT INTO ledger (one, ledger_id, epoch) VALUES (1, ?, 1)
		ON CONFLICT (one) DO UPDATE SET epoch = epoch + 1
		RETURNING ledger_id, epoch`, hex.EncodeToString(id)).Scan(&d.id, &d.epoch)
}

// LedgerID names this ledger.
func (d *database) LedgerID() string { return d.id }

// Now is the clock of this process: the file has no other.
func (d *database) Now(context.Context) (time.Time, error) { return d.now(), nil }

// DB is the pool for reading.
func (d *database) DB() *sql.DB { return d.read }

// Snapshot is what every transaction of SQLite has.
func (*database) Snapshot() sql.IsolationLevel { return sql.LevelDefault }

// Shared is false: one process holds the file.
func (*database) Shared() bool { return false }

// Close gives the file up.
func (d *database) Close() error {
	var errs []error
	if d.read != nil {
		errs = append(errs, d.read.Close())
	}
	if d.writer != nil {
		d.writer.close()
	}
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	return errors.Join(append(errs, d.lock.Unlock())...)
}
