package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// querier is a database, or one state of it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Store) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := s.backend.DB().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	return rows, nil
}

// snapshot runs several reads on one state of the ledger.
func (s *Store) snapshot(ctx context.Context, read func(querier) error) error {
	return s.snapshotOf(ctx, s.backend.DB(), read)
}

func (s *Store) snapshotOf(ctx context.Context, db *sql.DB, read func(querier) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.backend.Snapshot()})
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

// Recall reads a call outside of any transaction; Reserve looks again inside its own.
func (s *Store) Recall(ctx context.Context, key ledger.CallKey) (ledger.Call, error) {
	if s.backend.Absent(key) {
		select {
		case <-s.quit: // the ledger may be another process's by now, with calls that this one never saw
		default:
			return ledger.Call{}, ledger.ErrNotFound
		}
	}
	return s.oneCall(ctx, `WHERE c.run_no = $1 AND c.vendor = $2 AND c.idempotency_key = $3`, key.RunNo, key.Vendor, key.IdempotencyKey)
}

// Booking reads the call that holds or settled a vendor object.
func (s *Store) Booking(ctx context.Context, vendor, object string) (ledger.Call, error) {
	return s.oneCall(ctx, `WHERE c.vendor = $1 AND c.object = $2 AND c.books = 1`, vendor, object)
}

// InFlight goes through the calls in flight and in doubt, which are few.
func (s *Store) InFlight(ctx context.Context, vendor string, digest [32]byte, callID string) (bool, error) {
	var found bool
	err := s.backend.DB().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM calls WHERE (state = 'dispatched' OR state = 'unknown')
		AND state = 'dispatched' AND vendor = $1 AND digest = $2 AND call_id <> $3)`, vendor, digest[:], callID).Scan(&found)
	if err != nil {
		return false, unavailable(err)
	}
	return found, nil
}

// Find reads a call by its ID: quickly if it is in doubt, else by going through
// them all, since nothing that happens often needs it.
func (s *Store) Find(ctx context.Context, callID string) (ledger.Call, error) {
	c, err := s.oneCall(ctx, `WHERE c.next_check_at > 0 AND c.call_id = $1`, callID)
	if errors.Is(err, ledger.ErrNotFound) {
		return s.oneCall(ctx, `WHERE c.call_id = $1`, callID)
	}
	return c, err
}

func (s *Store) oneCall(ctx context.Context, condition string, args ...any) (ledger.Call, error) {
	c, err := ScanCall(s.backend.DB().QueryRowContext(ctx, `SELECT `+CallColumns+CallSealed+FromSealed+condition, args...), true)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return ledger.Call{}, err
	case err != nil:
		return ledger.Call{}, unavailable(err)
	}
	return c.Call, nil
}

func (s *Store) selectCalls(ctx context.Context, rest string, args ...any) ([]ledger.Call, error) {
	rows, err := s.query(ctx, `SELECT `+CallColumns+FromCalls+rest, args...)
	if err != nil {
		return nil, err
	}
	found, err := all(rows, scanCallRow)
	if err != nil {
		return nil, unavailable(err)
	}
	calls := make([]ledger.Call, 0, len(found))
	for _, c := range found {
		calls = append(calls, c.Call)
	}
	return calls, nil
}

// Calls lists calls in order of their reservation, without their sealed parts.
func (s *Store) Calls(ctx context.Context, f ledger.CallFilter) ([]ledger.Call, error) {
	var w where
	if f.Run != "" {
		w.and(true, "c.run_no IN (SELECT run_no FROM runs WHERE label = ", f.Run)
		w.terms[len(w.terms)-1] += ")"
	}
	w.and(f.Tenant != "", "r.tenant = ", f.Tenant)
	// A sign before the number keeps SQLite from going through the table in its
	// order where an index leads to the few rows that are wanted.
	order := ` ORDER BY c.seq`
	if f.State == ledger.Unknown || f.State == ledger.Committed {
		w.terms = append(w.terms, "c.next_check_at > 0")
		order = ` ORDER BY +c.seq`
	}
	w.and(f.State != "", "c.state = ", string(f.State))
	w.and(f.IdempotencyKey != "", "c.idempotency_key = ", f.IdempotencyKey)
	if f.IdempotencyKey != "" && f.Run != "" {
		w.terms = append(w.terms, "c.vendor IN (SELECT vendor FROM operations)")
		order = ` ORDER BY +c.seq`
	}
	w.and(f.After > 0, "c.seq > ", f.After)
	return s.selectCalls(ctx, w.String()+order+w.limit(f.Limit), w.args...)
}

// Key reads a key.
func (s *Store) Key(ctx context.Context, keyID string) (ledger.Key, error) {
	k, err := ScanKey(s.backend.DB().QueryRowContext(ctx, `SELECT `+KeyColumns+FromKeys+`WHERE k.key_id = $1`, keyID))
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Key{}, err
	}
	if err != nil {
		return ledger.Key{}, unavailable(err)
	}
	return k.Key, nil
}

// Keys lists keys, newest first.
func (s *Store) Keys(ctx context.Context, f ledger.KeyFilter) ([]ledger.Key, error) {
	var w where
	w.and(f.Run != "", "r.label = ", f.Run)
	w.and(f.Tenant != "", "r.tenant = ", f.Tenant)
	rows, err := s.query(ctx, `SELECT `+KeyColumns+FromKeys+w.String()+` ORDER BY k.issued_at DESC, k.key_id`+w.limit(f.Limit), w.args...)
	if err != nil {
		return nil, err
	}
	found, err := all(rows, ScanKey)
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
	now, err := s.Now(ctx)
	if err != nil {
		return use, err
	}
	today := now.UTC().Format(time.DateOnly)
	err = s.snapshot(ctx, func(q querier) error {
		k, err := ScanKey(q.QueryRowContext(ctx, `SELECT `+KeyColumns+FromKeys+`WHERE k.key_id = $1`, keyID))
		if err != nil {
			return err
		}
		add := func(id BudgetID, limit money.USD) error {
			row, err := readBudget(ctx, q, id)
			if errors.Is(err, ledger.ErrNotFound) && limit >= 0 { // nothing was spent today
				row, err = ledger.Budget{Scope: id.Scope, Name: id.Owner, Window: id.Window, Cap: limit}, nil
			}
			use.Budgets = append(use.Budgets, row)
			return err
		}
		if limit := k.Terms.DailyCap; limit != nil {
			if err := add(BudgetID{ledger.ScopeKey, k.IssueID, today}, *limit); err != nil {
				return err
			}
		}
		if k.Terms.TotalCap != nil {
			if err := add(BudgetID{ledger.ScopeKey, k.IssueID, ledger.WindowTotal}, -1); err != nil {
				return err
			}
		}
		if err := add(runBudget(k.RunNo), -1); err != nil {
			return err
		}
		last := &use.Budgets[len(use.Budgets)-1]
		last.Name, last.Tenant = k.Run, k.Tenant
		caps, err := readTenantCaps(ctx, q, k.Tenant)
		if err != nil {
			return err
		}
		for _, c := range caps {
			if err := add(BudgetID{ledger.ScopeTenant, k.Tenant, c.window(today)}, c.Cap); err != nil {
				return err
			}
		}
		use.Counts, _, err = countCalls(ctx, q,
			`run_no = $1 AND key_no IN (SELECT key_no FROM keys WHERE issue_id = $2)`, k.RunNo, k.IssueID)
		return err
	})
	return use, err
}

func readTenantCaps(ctx context.Context, q querier, tenant string) ([]TenantCap, error) {
	if tenant == "" {
		return nil, nil
	}
	rows, err := q.QueryContext(ctx, `SELECT span, cap FROM tenant_caps WHERE tenant = $1 ORDER BY span`, tenant)
	if err != nil {
		return nil, err
	}
	return all(rows, scanTenantCap)
}

func scanTenantCap(row Row) (c TenantCap, err error) {
	var limit int64
	err = row.Scan(&c.Span, &limit)
	c.Cap = money.USD(limit)
	return c, err
}

func readBudget(ctx context.Context, q querier, id BudgetID) (ledger.Budget, error) {
	b, err := ScanBudget(q.QueryRowContext(ctx, `SELECT `+BudgetColumns+FromBudgets+`WHERE b.scope = $1 AND b.owner = $2 AND b.span = $3`,
		id.Scope, id.Owner, id.Window))
	if err != nil {
		return ledger.Budget{}, err
	}
	return b.Budget, nil
}

// countCalls counts calls by state, and of the released those that were declined.
func countCalls(ctx context.Context, q querier, condition string, args ...any) (n ledger.Counts, declined int, err error) {
	err = q.QueryRowContext(ctx, `SELECT count(CASE WHEN state = 'dispatched' THEN 1 END), count(CASE WHEN state = 'settled' THEN 1 END),
		count(CASE WHEN state = 'committed' THEN 1 END), count(CASE WHEN state = 'released' THEN 1 END),
		count(CASE WHEN state = 'unknown' THEN 1 END), count(CASE WHEN declined = 1 THEN 1 END) FROM calls WHERE `+condition, args...).
		Scan(&n.InFlight, &n.Settled, &n.Committed, &n.Released, &n.Unknown, &declined)
	return n, declined, err
}

// Record appends an audit row.
func (s *Store) Record(ctx context.Context, a ledger.AuditRow) error {
	return s.write(ctx, Needs{}, func(b *Batch) error {
		b.audit(a)
		return nil
	})
}

// Audit reads audit rows in order.
func (s *Store) Audit(ctx context.Context, f ledger.AuditFilter) ([]ledger.AuditRow, error) {
	var w where
	w.and(f.Run != "", "run = ", f.Run)
	w.and(f.Tenant != "", "tenant = ", f.Tenant)
	w.and(f.KeyID != "", "key_id = ", f.KeyID)
	w.and(f.Vendor != "", "vendor = ", f.Vendor)
	w.and(f.Verdict != "", "verdict = ", f.Verdict)
	w.and(!f.Since.IsZero(), "at >= ", f.Since.UnixMicro())
	w.and(!f.Until.IsZero(), "at < ", f.Until.UnixMicro())
	w.and(f.After > 0, "seq > ", f.After)
	rows, err := s.query(ctx, `SELECT seq, `+AuditColumns+` FROM audit`+w.String()+` ORDER BY seq`+w.limit(f.Limit), w.args...)
	if err != nil {
		return nil, err
	}
	out, err := all(rows, scanAudit)
	if err != nil {
		return nil, unavailable(err)
	}
	return out, nil
}

// AuditColumns are those of an audit row but its number, in the order of AuditValues.
const AuditColumns = `at, verdict, code, by_whom, tenant, run, key_id, call_id, item, workflow_id, vendor, method, path,
	idempotency_key, status, price, amount, object, duration_us, who, note`

// AuditValues are the columns of a row, as they are stored.
func AuditValues(at time.Time, a ledger.AuditRow) []any {
	return []any{
		at.UnixMicro(), a.Verdict, a.Code, a.By, a.Tenant, a.Run, a.KeyID, a.CallID, a.Item, a.WorkflowID, a.Vendor, a.Method, a.Path,
		a.IdempotencyKey, int64(a.Status), int64(a.Price), int64(a.Amount), a.Object, a.Duration.Microseconds(), a.Who, a.Note,
	}
}

func scanAudit(row Row) (ledger.AuditRow, error) {
	var a ledger.AuditRow
	var at, duration int64
	err := row.Scan(&a.Seq, &at, &a.Verdict, &a.Code, &a.By, &a.Tenant, &a.Run, &a.KeyID, &a.CallID, &a.Item, &a.WorkflowID,
		&a.Vendor, &a.Method, &a.Path, &a.IdempotencyKey, &a.Status, &a.Price, &a.Amount, &a.Object, &duration, &a.Who, &a.Note)
	a.At, a.Duration = FromMicro(at), time.Duration(duration)*time.Microsecond
	return a, err
}

// Backlog counts what has no final outcome.
func (s *Store) Backlog(ctx context.Context) (ledger.Backlog, error) {
	var out ledger.Backlog
	now, err := s.Now(ctx)
	if err != nil {
		return out, err
	}
	err = s.snapshot(ctx, func(q querier) error {
		var oldest sql.NullInt64
		if err := q.QueryRowContext(ctx, `SELECT count(CASE WHEN state = 'unknown' THEN 1 END), count(CASE WHEN state = 'committed' THEN 1 END),
			min(CASE WHEN state = 'unknown' THEN next_check_at END) FROM calls WHERE next_check_at > 0`).
			Scan(&out.Counts.Unknown, &out.Counts.Committed, &oldest); err != nil {
			return err
		}
		if oldest.Valid {
			out.OldestDue = max(0, now.Sub(FromMicro(oldest.Int64)))
		}
		return q.QueryRowContext(ctx, `SELECT count(*) FROM calls
			WHERE (state = 'dispatched' OR state = 'unknown') AND state = 'dispatched'`).Scan(&out.Counts.InFlight)
	})
	return out, err
}

func owner(runNo int64) string { return strconv.FormatInt(runNo, 10) }
