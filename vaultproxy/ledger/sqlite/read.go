package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// where collects conditions and their arguments.
type where struct {
	terms []string
	args  []any
}

func (w *where) and(use bool, term string, arg any) {
	if use {
		w.terms = append(w.terms, term)
		w.args = append(w.args, arg)
	}
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// rowLimit is a LIMIT that zero does not narrow.
func rowLimit(n int) int {
	if n <= 0 {
		return -1
	}
	return n
}

// Recall reads a call outside of any transaction; Reserve looks again inside its own.
func (s *Store) Recall(ctx context.Context, callID string) (ledger.Call, error) {
	if s.known.absent(callID) {
		select {
		case <-s.quit: // the file may be another process's by now, with calls that this one never saw
		default:
			return ledger.Call{}, ledger.ErrNotFound
		}
	}
	return s.oneCall(ctx, `WHERE c.call_id = ?`, callID)
}

// Booking reads the call that holds or settled a vendor object.
func (s *Store) Booking(ctx context.Context, vendor, object string) (ledger.Call, error) {
	return s.oneCall(ctx, `WHERE c.vendor = ? AND c.object = ? AND c.books = 1`, vendor, object)
}

func (s *Store) oneCall(ctx context.Context, condition string, args ...any) (ledger.Call, error) {
	c, err := scanCall(s.read.QueryRowContext(ctx, `SELECT `+callColumns+callSealed+fromCalls+condition, args...), true)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return c, unavailable(err)
	}
	return c, err
}

// Key reads a key.
func (s *Store) Key(ctx context.Context, keyID string) (ledger.Key, error) {
	k, err := s.key(ctx, keyID)
	if err != nil {
		return ledger.Key{}, err
	}
	return k.Key, nil
}

func (s *Store) key(ctx context.Context, keyID string) (*keyRow, error) {
	k, err := scanKey(s.read.QueryRowContext(ctx, `SELECT `+keyColumns+` FROM keys k JOIN runs r USING (run_id)
		WHERE k.key_id = ?`, keyID))
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return nil, unavailable(err)
	}
	return k, err
}

// Keys lists keys, newest first.
func (s *Store) Keys(ctx context.Context, f ledger.KeyFilter) ([]ledger.Key, error) {
	var w where
	w.and(f.Run != "", "r.label = ?", f.Run)
	w.and(f.Tenant != "", "r.tenant = ?", f.Tenant)
	rows, err := s.read.QueryContext(ctx, `SELECT `+keyColumns+` FROM keys k JOIN runs r USING (run_id)`+w.String()+
		` ORDER BY k.issued_at DESC, k.key_id LIMIT ?`, append(w.args, rowLimit(f.Limit))...)
	if err != nil {
		return nil, unavailable(err)
	}
	found, err := scanKeys(rows)
	if err != nil {
		return nil, unavailable(err)
	}
	keys := make([]ledger.Key, 0, len(found))
	for _, k := range found {
		keys = append(keys, k.Key)
	}
	return keys, nil
}

// KeyUse reads the budgets that a key draws on today and counts its calls.
func (s *Store) KeyUse(ctx context.Context, keyID string) (use ledger.KeyUse, err error) {
	err = s.snapshot(ctx, func(tx *sql.Tx) error {
		k, err := scanKey(tx.QueryRowContext(ctx, `SELECT `+keyColumns+` FROM keys k JOIN runs r USING (run_id)
			WHERE k.key_id = ?`, keyID))
		if err != nil {
			return err
		}
		today := s.now().UTC().Format(time.DateOnly)
		if limit := k.Terms.DailyCap; limit != nil {
			row, err := readBudget(ctx, tx, "key", k.IssueID, today)
			if errors.Is(err, ledger.ErrNotFound) { // nothing was spent today
				row, err = ledger.Budget{Scope: "key", Name: k.IssueID, Window: today, Cap: *limit}, nil
			}
			if err != nil {
				return err
			}
			use.Budgets = append(use.Budgets, row)
		}
		if k.Terms.TotalCap != nil {
			row, err := readBudget(ctx, tx, "key", k.IssueID, ledger.WindowTotal)
			if err != nil {
				return err
			}
			use.Budgets = append(use.Budgets, row)
		}
		row, err := readBudget(ctx, tx, "run", strconv.FormatInt(k.runID, 10), ledger.WindowTotal)
		if err != nil {
			return err
		}
		row.Name = k.Run
		use.Budgets = append(use.Budgets, row)
		use.Counts, _, err = countCalls(ctx, tx,
			`run_id = ? AND key_id IN (SELECT key_id FROM keys WHERE issue_id = ?)`, k.runID, k.IssueID)
		return err
	})
	return use, err
}

// snapshot runs several reads on one state of the file.
func (s *Store) snapshot(ctx context.Context, read func(*sql.Tx) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := read(tx); err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return unavailable(err)
	} else if err != nil {
		return err
	}
	return nil
}

func readBudget(ctx context.Context, tx *sql.Tx, scope, owner, window string) (ledger.Budget, error) {
	row := ledger.Budget{Scope: scope, Name: owner, Window: window}
	err := tx.QueryRowContext(ctx, `SELECT cap, settled, in_flight, committed, unknown, overrun FROM budgets
		WHERE scope = ? AND owner = ? AND window = ?`, scope, owner, window).
		Scan(&row.Cap, &row.Settled, &row.InFlight, &row.Committed, &row.Unknown, &row.Overrun)
	if errors.Is(err, sql.ErrNoRows) {
		err = ledger.ErrNotFound
	}
	return row, err
}

// countCalls counts calls by state, and of the released those that were declined.
func countCalls(ctx context.Context, tx *sql.Tx, condition string, args ...any) (n ledger.Counts, declined int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce(sum(state = 'dispatched'), 0), coalesce(sum(state = 'settled'), 0),
		coalesce(sum(state = 'committed'), 0), coalesce(sum(state = 'released'), 0), coalesce(sum(state = 'unknown'), 0),
		coalesce(sum(declined), 0) FROM calls WHERE `+condition, args...).
		Scan(&n.InFlight, &n.Settled, &n.Committed, &n.Released, &n.Unknown, &declined)
	return n, declined, err
}

// Calls lists calls in order of their reservation, without their sealed parts.
func (s *Store) Calls(ctx context.Context, f ledger.CallFilter) ([]ledger.Call, error) {
	var w where
	w.and(f.Run != "", "r.label = ?", f.Run)
	w.and(f.Tenant != "", "r.tenant = ?", f.Tenant)
	w.and(f.State != "", "c.state = ?", string(f.State))
	w.and(f.IdempotencyKey != "", "c.idempotency_key = ?", f.IdempotencyKey)
	w.and(f.After > 0, "c.seq > ?", f.After)
	rows, err := s.read.QueryContext(ctx, `SELECT `+callColumns+fromCalls+w.String()+` ORDER BY c.seq LIMIT ?`,
		append(w.args, rowLimit(f.Limit))...)
	if err != nil {
		return nil, unavailable(err)
	}
	calls, err := scanCalls(rows, false)
	if err != nil {
		return nil, unavailable(err)
	}
	return calls, nil
}

// Record appends an audit row.
func (s *Store) Record(ctx context.Context, a ledger.AuditRow) error {
	return s.write(ctx, func(b *batch) error { return b.audit(a) })
}

// Audit reads audit rows in order.
func (s *Store) Audit(ctx context.Context, f ledger.AuditFilter) ([]ledger.AuditRow, error) {
	var w where
	w.and(f.Run != "", "run = ?", f.Run)
	w.and(f.Tenant != "", "tenant = ?", f.Tenant)
	w.and(f.KeyID != "", "key_id = ?", f.KeyID)
	w.and(f.Vendor != "", "vendor = ?", f.Vendor)
	w.and(f.Verdict != "", "verdict = ?", f.Verdict)
	w.and(!f.Since.IsZero(), "at >= ?", f.Since.UnixMicro())
	w.and(!f.Until.IsZero(), "at < ?", f.Until.UnixMicro())
	w.and(f.After > 0, "seq > ?", f.After)
	rows, err := s.read.QueryContext(ctx, `SELECT seq, at, verdict, code, by_whom, tenant, run, key_id, call_id, item,
		workflow_id, vendor, method, path, idempotency_key, status, price, amount, object, duration_us FROM audit`+
		w.String()+` ORDER BY seq LIMIT ?`, append(w.args, rowLimit(f.Limit))...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = rows.Close() }()
	var out []ledger.AuditRow
	for rows.Next() {
		var a ledger.AuditRow
		var at, duration int64
		if err := rows.Scan(&a.Seq, &at, &a.Verdict, &a.Code, &a.By, &a.Tenant, &a.Run, &a.KeyID, &a.CallID, &a.Item,
			&a.WorkflowID, &a.Vendor, &a.Method, &a.Path, &a.IdempotencyKey, &a.Status, &a.Price, &a.Amount, &a.Object,
			&duration); err != nil {
			return nil, unavailable(err)
		}
		a.At, a.Duration = fromMicro(at), time.Duration(duration)*time.Microsecond
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err)
	}
	return out, nil
}
