package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema of a ledger that exists up to date, and returns the
// version that it had and the one that it has.
func Migrate(ctx context.Context, path string) (from, to int64, err error) {
	if _, err := os.Stat(path); err != nil {
		return 0, 0, fmt.Errorf("migrate ledger %s: %w", path, err)
	}
	lock, path, err := lockFile(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	db, err := openDB(path, 1, "foreign_keys(1)")
	if err != nil {
		return 0, 0, fmt.Errorf("migrate ledger %s: %w", path, err)
	}
	from, to, err = migrate(ctx, db)
	if err = errors.Join(err, db.Close()); err != nil {
		return from, to, fmt.Errorf("migrate ledger %s: %w", path, err)
	}
	return from, to, nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

// newestSchema is the version that this program knows.
func newestSchema() (newest int64, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	for _, name := range names {
		version, versionErr := goose.NumericComponent(name)
		newest, err = max(newest, version), errors.Join(err, versionErr)
	}
	return newest, err
}

func migrate(ctx context.Context, db *sql.DB) (from, to int64, err error) {
	p, err := provider(db)
	if err != nil {
		return 0, 0, err
	}
	if from, err = p.GetDBVersion(ctx); err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	if to, err = newestSchema(); err != nil {
		return 0, 0, fmt.Errorf("read migrations: %w", err)
	}
	if from > to {
		return from, to, fmt.Errorf("the file has schema version %d and this program knows %d: run the newer program", from, to)
	}
	if _, err := p.Up(ctx); err != nil {
		return from, to, fmt.Errorf("migrate: %w", err)
	}
	return from, to, nil
}
