package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// insertion is an INSERT of any number of rows. Beginning and ending a statement
// takes as long as inserting a row, so rows go many at a time.
//
// Placeholders are bare question marks: the driver takes others for names, and
// makes a string of each to look for it among the arguments.
type insertion struct {
	into, row, conflict string
	prepared            [len(rowsAtOnce)]driver.StmtExecContext
}

// rowsAtOnce are the numbers of rows that statements are kept for: any other is a
// sum of these.
var rowsAtOnce = [...]int{64, 32, 16, 8, 4, 2, 1}

func (i *insertion) text(rows int) string {
	return `INSERT INTO ` + i.into + ` VALUES ` + strings.Repeat(i.row+`, `, rows-1) + i.row + i.conflict
}

func (i *insertion) close() {
	for _, s := range i.prepared {
		if closer, ok := s.(driver.Stmt); ok {
			_ = closer.Close()
		}
	}
}

func newCalls() *insertion {
	return &insertion{
		into: `calls (seq, run_no, vendor, idempotency_key, call_id, digest, state, key_no, op_no, item, workflow_id, hold, object, books,
			target, sends, unproven, created_at, reserved_at, first_sent_at, last_sent_at, epoch, request)`,
		row: `(?, ?, ?, ?, ?, ?, 'dispatched', ?, ?, ?, ?, ?, ?, ?, ?, 1, 1, ?, ?, ?, ?, ?, ?)`,
	}
}

func newAnswers() *insertion {
	return &insertion{
		into: `answers (seq, answer)`, row: `(?, ?)`,
		conflict: ` ON CONFLICT (seq) DO UPDATE SET answer = excluded.answer`,
	}
}

func newAudit() *insertion {
	return &insertion{
		into: `audit (` + sqlstore.AuditColumns + `)`,
		row:  `(` + strings.Repeat(`?, `, strings.Count(sqlstore.AuditColumns, ",")) + `?)`,
	}
}

// insert inserts n rows, whose values are appended by index. It must be called
// from within conn.Raw.
func (w *writer) insert(driverConn any, into *insertion, n int, values func(args []any, row int) []any) error {
	row := 0
	for at, rows := range rowsAtOnce {
		for ; n-row >= rows; row += rows {
			w.values = w.values[:0]
			for i := range rows {
				w.values = values(w.values, row+i)
			}
			if into.prepared[at] == nil {
				s, err := w.prepare(driverConn, into.text(rows))
				if err != nil {
					return err
				}
				into.prepared[at] = s
			}
			if _, err := w.exec(into.prepared[at], w.values); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare prepares a statement on the driver's own connection.
func (w *writer) prepare(driverConn any, query string) (driver.StmtExecContext, error) {
	preparer, ok := driverConn.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.New("the driver prepares no statements")
	}
	prepared, err := preparer.PrepareContext(w.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	s, ok := prepared.(driver.StmtExecContext)
	if !ok {
		return nil, errors.New("the driver executes no prepared statements")
	}
	return s, nil
}

func (w *writer) exec(s driver.StmtExecContext, values []any) (driver.Result, error) {
	w.args = w.args[:0]
	for i, v := range values {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s.ExecContext(w.ctx, w.args)
}
