package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// Backup writes a copy of the ledger to a new file, readable by its owner alone
// and on the disk when it returns. A proxy may be at work on the ledger: the copy
// is of one moment, and nobody waits for it.
//
// In the copy every key is revoked and every run closed. What is restored has
// forgotten what was spent after it was made, so that a cap in it is no bound any
// more; but what it remembers it still replays. What was in flight becomes unknown
// when the copy is first opened, as after a crash.
func Backup(ctx context.Context, path, file string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up ledger %s: %w", path, err)
		}
	}()
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s is there already, and no backup is written over anything", file), err)
	}
	source, err := openReadOnly(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	// The finished file gets its name at the end: half a backup must not look like one.
	folder := filepath.Dir(file)
	unfinished, err := os.CreateTemp(folder, filepath.Base(file)+".unfinished-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		_ = os.Remove(unfinished.Name())
		_ = os.Remove(unfinished.Name() + "-journal")
	}()
	if err := unfinished.Close(); err != nil {
		return err
	}
	if _, err := source.ExecContext(ctx, `VACUUM INTO $1`, unfinished.Name()); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if err := closeEverything(ctx, unfinished.Name()); err != nil {
		return err
	}
	if err := syncPath(unfinished.Name()); err != nil {
		return err
	}
	if err := os.Link(unfinished.Name(), file); err != nil {
		return err
	}
	return syncPath(folder)
}

// closeEverything revokes every key of a copy, closes every run, and checks that
// the copy can be read from end to end.
func closeEverything(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "busy_timeout(5000)", "journal_mode(DELETE)", "synchronous(FULL)", "fullfsync(1)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	now := time.Now().UnixMicro()
	for _, statement := range []string{
		`UPDATE keys SET revoked_at = $1 WHERE revoked_at IS NULL`,
		`UPDATE runs SET closed_at = $1 WHERE closed_at IS NULL`,
		`INSERT INTO audit (at, verdict, code, by_whom, tenant, run, key_id, call_id, item, workflow_id, vendor, method, path,
			idempotency_key, status, price, amount, object, duration_us, who, note)
		VALUES ($1, '` + ledger.VerdictRevoked + `', 'backup', '` + ledger.ByAdmin + `', '', '', '', '', '', '', '', '', '', '', 0, 0, 0, '', 0, '',
			'this is a backup: every key is revoked and every run is closed in it')`,
	} {
		if _, err := tx.ExecContext(ctx, statement, now); err != nil {
			return fmt.Errorf("close the runs of the copy: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("close the runs of the copy: %w", err)
	}
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("the copy is damaged, and so is the ledger, most likely: %s", found)
	}
	return nil
}

// syncPath makes a file, or a new name in a folder, survive a power failure.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
