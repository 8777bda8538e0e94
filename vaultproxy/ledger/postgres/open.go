package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Defaults of Config.
const (
	// DefaultLease is how long a process may be silent before others take care of
	// what it had in flight. It must outlast a pause that it survives.
	DefaultLease = 30 * time.Second
	// DefaultTimeout bounds one transaction, waiting for locks included.
	DefaultTimeout = 5 * time.Second
)

// Config says where the ledger is.
type Config struct {
	URL     string           // such as postgres://tollgate@db.internal/tollgate
	Now     func() time.Time // nil: the database's clock, which is the one to use where several processes share it
	Lease   time.Duration    // zero: DefaultLease
	Timeout time.Duration    // zero: DefaultTimeout
	// MaxBatch and Writers are for comparison: one operation a commit, from many
	// connections. Zero: group commit on one connection.
	MaxBatch int
	Writers  int
}

// Store is a ledger.Store in a PostgreSQL database.
type Store struct {
	*sqlstore.Store

	db *database
}

// database is the server, as this process uses it: a sqlstore.Backend.
type database struct {
	cfg   Config
	id    string
	pool  *pgxpool.Pool
	read  *sql.DB
	clock clock
	facts facts

	witness witness
	asking  chan struct{} // held by the one who asks for the time

	store *sqlstore.Store
	bg    context.Context //nolint:containedctx // of the lease and the listener, until Close
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu    sync.Mutex
	epoch int64
}

var (
	_ ledger.Store     = (*Store)(nil)
	_ sqlstore.Backend = (*database)(nil)
)

// Open connects to the database, brings its schema up to date, and takes an epoch.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if cfg.Lease == 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Lease < 0 || cfg.Timeout < 0 {
		return nil, errors.New("open ledger: the lease and the timeout must not be negative")
	}
	d := &database{cfg: cfg, facts: facts{byID: map[string]*fact{}}, asking: make(chan struct{}, 1)}
	d.clock.fixed = cfg.Now
	d.bg, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			_ = d.Close()
			err = fmt.Errorf("open ledger: %w", err)
		}
	}()
	if err := d.connect(ctx); err != nil {
		return nil, err
	}
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	if _, _, err := d.migrate(ctx); err != nil {
		return nil, err
	}
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	if d.store, err = sqlstore.New(sqlstore.Config{Backend: d, MaxBatch: cfg.MaxBatch, Writers: cfg.Writers}); err != nil {
		return nil, err
	}
	if err := d.adoptOrphans(ctx); err != nil {
		_ = d.store.Close()
		return nil, err
	}
	d.work.Go(d.keepLease)
	d.work.Go(d.listen)
	return &Store{Store: d.store, db: d}, nil
}

// readers is how many connections read. They are apart from those that write,
// renew the lease, ask for the time and listen: a report that takes long, or many
// of them, must not keep a call from being booked.
const (
	readers = 8
	others  = 4
)

func (d *database) connect(ctx context.Context) error {
	cfg, err := pgxpool.ParseConfig(d.cfg.URL)
	if err != nil {
		return errors.New("the database's URL cannot be read; it looks like postgres://user@host/name")
	}
	cfg.MaxConns = int32(readers + others + d.cfg.Writers) //nolint:gosec // a handful
	params := cfg.ConnConfig.RuntimeParams
	params["application_name"] = "tollgate"
	params["timezone"] = "UTC"
	params["default_transaction_isolation"] = "read committed"
	params["idle_in_transaction_session_timeout"] = milliseconds(2 * d.cfg.Timeout) // a lock must not outlive who took it by long
	params["statement_timeout"] = milliseconds(d.cfg.Timeout)
	cfg.ConnConfig.ConnectTimeout = d.cfg.Timeout
	cfg.ConnConfig.OnNotice = warned
	if d.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return reachable(err)
	}
	d.read = stdlib.OpenDBFromPool(d.pool)
	d.read.SetMaxOpenConns(readers)
	if err := d.pool.Ping(ctx); err != nil {
		return reachable(err)
	}
	return nil
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d", d.Milliseconds()) }

// reachable keeps a connection's error short, and without what the URL holds.
func reachable(err error) error {
	var refused *pgconn.ConnectError
	if errors.As(err, &refused) {
		return fmt.Errorf("the database cannot be reached: %s", strings.Join(strings.Fields(refused.Error()), " "))
	}
	return err
}

// check refuses a server that would forget what it said was committed.
func (d *database) check(ctx context.Context) error {
	var standby bool
	if err := d.pool.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
		return err
	}
	if standby {
		return errors.New("the database is a standby, which cannot be written to: give the primary's address")
	}
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var value string
		if err := d.pool.QueryRow(ctx, `SELECT current_setting($1)`, setting).Scan(&value); err != nil {
			return err
		}
		if value == "off" {
			return fmt.Errorf("the server runs with %s off and may lose what it has committed, and with it money: turn it on", setting)
		}
	}
	return nil
}

// Migrate brings the schema up to date, as Open does, and nothing else.
func Migrate(ctx context.Context, cfg Config) (from, to int64, err error) {
	cfg.Timeout = DefaultTimeout
	d := &database{cfg: cfg}
	d.bg, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err = errors.Join(err, d.Close()); err != nil {
			err = fmt.Errorf("migrate ledger: %w", err)
		}
	}()
	if err := d.connect(ctx); err != nil {
		return 0, 0, err
	}
	if err := d.check(ctx); err != nil {
		return 0, 0, err
	}
	return d.migrate(ctx)
}

// patient are connections for what goes through large tables, and may take longer
// than any call.
func (d *database) patient() *sql.DB {
	cfg := d.pool.Config().ConnConfig.Copy()
	delete(cfg.RuntimeParams, "statement_timeout")
	delete(cfg.RuntimeParams, "idle_in_transaction_session_timeout")
	return stdlib.OpenDB(*cfg)
}

func (d *database) migrate(ctx context.Context) (from, to int64, err error) {
	db := d.patient()
	defer func() { _ = db.Close() }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, 0, err
	}
	locker, err := lock.NewPostgresSessionLocker() // proxies that start together migrate one after the other
	if err != nil {
		return 0, 0, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return 0, 0, fmt.Errorf("read migrations: %w", err)
	}
	from, err = p.GetDBVersion(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	sources := p.ListSources()
	if to = sources[len(sources)-1].Version; from > to {
		return 0, 0, fmt.Errorf("the database has schema version %d and this program knows %d: run the newer program", from, to)
	}
	if _, err := p.Up(ctx); err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	return from, to, nil
}

// enter reads or makes the ledger's identity and takes an epoch.
func (d *database) enter(ctx context.Context) error {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails: crypto/rand ends the program instead
	if _, err := d.pool.Exec(ctx, `INSERT INTO ledger (one, ledger_id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`,
		hex.EncodeToString(id)); err != nil {
		return err
	}
	if err := d.pool.QueryRow(ctx, `SELECT ledger_id FROM ledger`).Scan(&d.id); err != nil {
		return err
	}
	return d.newEpoch(ctx, 0)
}

// LedgerID names this ledger.
func (d *database) LedgerID() string { return d.id }

// DB is the pool for reading.
func (d *database) DB() *sql.DB { return d.read }

// Snapshot keeps one state over all statements of a transaction.
func (*database) Snapshot() sql.IsolationLevel { return sql.LevelRepeatableRead }

// Shared is true: other processes work on the database too.
func (*database) Shared() bool { return true }

// Absent is never certain: another process may have just made the call.
func (*database) Absent(ledger.CallKey) bool { return false }

// AbsentObject is never certain either.
func (*database) AbsentObject(sqlstore.Object) bool { return false }

// Close ends the epoch, so that others need not wait for its lease, and
// disconnects.
func (d *database) Close() error {
	d.stop()
	d.work.Wait()
	defer d.witness.close()
	if d.read == nil {
		if d.pool != nil {
			d.pool.Close()
		}
		return nil
	}
	err := d.endEpoch()
	err = errors.Join(err, d.read.Close())
	d.pool.Close()
	return err
}
