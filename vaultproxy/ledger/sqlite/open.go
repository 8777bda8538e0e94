// Package sqlite keeps the ledger in one SQLite file: WAL, synchronous=FULL, by
// the cgo-free driver modernc.org/sqlite.
//
// One goroutine owns the only writing connection. Callers hand it operations;
// whatever has queued up while the last commit was on its way to the disk goes
// into the next one (group commit), and nobody is answered before the commit
// that holds their operation is durable. Reads go through a pool of their own.
//
// A file lock beside the database makes sure that one process alone holds the
// ledger. Rows that a dead process left in flight become unknown at the next
// Open: they may be on the vendor's side, and only proof may release them.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the driver

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config says where the ledger is.
type Config struct {
	Path string           // of the database file; its folder must exist
	Now  func() time.Time // nil: time.Now
}

// Store is a ledger.Store in one SQLite file.
type Store struct {
	id       string
	epoch    int64
	now      func() time.Time
	lock     *flock.Flock
	db       *sql.DB
	conn     *sql.Conn // the only writer; owned by the commit loop
	stmts    statements
	read     *sql.DB
	known    known
	ops      chan *op
	quit     chan struct{}
	stopped  chan struct{}
	closing  sync.Once
	closeErr error
	// suspects are calls of a commit whose result is not known; touched by the commit loop only.
	suspects []string
}

var _ ledger.Store = (*Store)(nil)

// Open opens or creates the ledger, brings its schema up to date and turns
// what a former process left in flight into unknown.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if cfg.Path == "" {
		return nil, errors.New("open ledger: no path")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	path, err := onePath(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", cfg.Path, err)
	}
	lock := flock.New(path + ".lock")
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", cfg.Path, err)
	}
	if !held {
		return nil, fmt.Errorf("open ledger %s: another vault proxy holds it; stop that one, or choose another state folder", cfg.Path)
	}
	s := &Store{
		now: cfg.Now, lock: lock,
		ops: make(chan *op, 4096), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open ledger %s: %w", cfg.Path, err)
			_ = s.release()
		}
	}()
	if err := ownerOnly(path); err != nil {
		return nil, err
	}
	if s.db, err = openDB(path, 1, "foreign_keys(1)"); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.db); err != nil {
		return nil, err
	}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return nil, err
	}
	if err := s.stmts.prepare(ctx, s.conn); err != nil {
		return nil, err
	}
	if s.read, err = openDB(path, 4, "query_only(1)"); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	if err := s.known.learn(ctx, s.conn); err != nil {
		return nil, err
	}
	go s.commitLoop()
	if err := s.write(ctx, (*batch).orphansToUnknown); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
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
	q := url.Values{"_pragma": append([]string{
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)",
		// Fewer checkpoints write a hot page fewer times; 32 MiB of WAL at most between two.
		"wal_autocheckpoint(8000)",
	}, pragmas...)}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	at, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	sources := p.ListSources()
	if newest := sources[len(sources)-1].Version; at > newest {
		return fmt.Errorf("the file has schema version %d and this program knows %d: run the newer program", at, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// enter reads or makes the ledger's identity and begins a new epoch.
func (s *Store) enter(ctx context.Context) error {
	id := make([]byte, 8)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	return s.conn.QueryRowContext(ctx, `
		INSERT INTO ledger (one, ledger_id, epoch) VALUES (1, ?, 1)
		ON CONFLICT (one) DO UPDATE SET epoch = epoch + 1
		RETURNING ledger_id, epoch`, hex.EncodeToString(id)).Scan(&s.id, &s.epoch)
}

// LedgerID names this ledger.
func (s *Store) LedgerID() string { return s.id }

// Now is the clock of this process: the file has no other.
func (s *Store) Now(context.Context) (time.Time, error) { return s.now(), nil }

// Close finishes what is queued and gives the file up.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.quit)
		<-s.stopped
		s.closeErr = s.release()
	})
	return s.closeErr
}

func (s *Store) release() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	s.stmts.close()
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(append(errs, s.lock.Unlock())...)
}
