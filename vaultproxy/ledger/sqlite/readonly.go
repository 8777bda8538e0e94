package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// Verify recomputes every budget from its calls and returns a line for each
// difference. It changes nothing, and may run beside a proxy that is at work.
func Verify(ctx context.Context, path string) (lines []string, err error) {
	db, err := openReadOnly(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("verify ledger %s: %w", path, err)
	}
	store, err := sqlstore.New(sqlstore.Config{Backend: &readOnly{db}})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	lines, err = store.Verify(ctx)
	if err == nil {
		lines, err = strays(ctx, db, lines)
	}
	return lines, errors.Join(err, store.Close())
}

// Verify recomputes every budget from its calls, and looks for rows that name
// others which do not exist. It returns a line for each difference.
func (s *Store) Verify(ctx context.Context) ([]string, error) {
	lines, err := s.Store.Verify(ctx)
	if err != nil {
		return nil, err
	}
	return strays(ctx, s.db.read, lines)
}

// strays appends a line for each row that names one which does not exist.
func strays(ctx context.Context, db *sql.DB, lines []string) ([]string, error) {
	err := eachRow(ctx, db, `PRAGMA foreign_key_check`, func(rows *sql.Rows) error {
		var table, parent string
		var row sql.NullInt64
		var key int64
		err := rows.Scan(&table, &row, &parent, &key)
		lines = append(lines, fmt.Sprintf("row %d of %s names a row of %s that does not exist", row.Int64, table, parent))
		return err
	})
	return lines, err
}

// openReadOnly opens a ledger that exists, of this program's schema.
func openReadOnly(ctx context.Context, path string) (_ *sql.DB, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "busy_timeout(5000)")+"&mode=ro")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	var at int64
	if err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&at); err != nil {
		return nil, fmt.Errorf("read schema version: %w", err)
	}
	newest, err := newestSchema()
	if err != nil {
		return nil, err
	}
	if at != newest {
		return nil, fmt.Errorf("it has schema version %d and this program knows %d: use the program that the proxy runs with, or migrate first", at, newest)
	}
	return db, nil
}

// readOnly is a sqlstore.Backend that writes nothing.
type readOnly struct{ db *sql.DB }

var (
	_ sqlstore.Backend = (*readOnly)(nil)

	errReadOnly = errors.New("the ledger is open for reading only")
)

func (*readOnly) Transact([]*sqlstore.Op, bool, func(sqlstore.BatchConfig) *sqlstore.Batch) error {
	return errors.Join(sqlstore.ErrDown, errReadOnly)
}

func (r *readOnly) DB() *sql.DB                          { return r.db }
func (*readOnly) Now(context.Context) (time.Time, error) { return time.Now(), nil }
func (*readOnly) LedgerID() string                       { return "" }
func (*readOnly) Absent(ledger.CallKey) bool             { return false }
func (*readOnly) AbsentObject(sqlstore.Object) bool      { return false }
func (*readOnly) Snapshot() sql.IsolationLevel           { return sql.LevelDefault }
func (*readOnly) Shared() bool                           { return false }
func (r *readOnly) Close() error                         { return r.db.Close() }
