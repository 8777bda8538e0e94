package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// RunReports sums up runs, newest first.
func (s *Store) RunReports(ctx context.Context, run string) ([]ledger.RunReport, error) {
	var reports []ledger.RunReport
	err := s.snapshot(ctx, func(tx *sql.Tx) error {
		var w where
		w.and(run != "", "label = ?", run)
		rows, err := tx.QueryContext(ctx, `SELECT run_id, tenant, label, closed_at IS NOT NULL FROM runs`+w.String()+
			` ORDER BY run_id DESC LIMIT 1000`, w.args...)
		if err != nil {
			return err
		}
		ids, found, err := scanRuns(rows)
		if err != nil {
			return err
		}
		for i := range found {
			if err := fillReport(ctx, tx, ids[i], &found[i]); err != nil {
				return err
			}
		}
		reports = found
		return nil
	})
	return reports, err
}

func scanRuns(rows *sql.Rows) (ids []int64, found []ledger.RunReport, err error) {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var r ledger.RunReport
		if err := rows.Scan(&id, &r.Tenant, &r.Run, &r.Closed); err != nil {
			return nil, nil, err
		}
		ids, found = append(ids, id), append(found, r)
	}
	return ids, found, rows.Err()
}

func fillReport(ctx context.Context, tx *sql.Tx, id int64, r *ledger.RunReport) (err error) {
	if r.Budget, err = readBudget(ctx, tx, "run", strconv.FormatInt(id, 10), ledger.WindowTotal); err != nil {
		return err
	}
	r.Budget.Name = r.Run
	if r.Counts, r.Declined, err = countCalls(ctx, tx, `run_id = ?`, id); err != nil {
		return err
	}
	var first, last sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT min(created_at), max(last_sent_at),
		coalesce(sum(CASE WHEN sends > 1 THEN sends - 1 END), 0) FROM calls WHERE run_id = ?`, id).
		Scan(&first, &last, &r.Resends); err != nil {
		return err
	}
	if first.Valid {
		r.FirstCall, r.LastAt = fromMicro(first.Int64), fromMicro(last.Int64)
	}
	if err := fillVendors(ctx, tx, id, r); err != nil {
		return err
	}
	return fillDenials(ctx, tx, r)
}

func fillVendors(ctx context.Context, tx *sql.Tx, id int64, r *ledger.RunReport) error {
	rows, err := tx.QueryContext(ctx, `SELECT vendor, count(*), sum(amount),
		coalesce(sum(CASE WHEN state IN ('dispatched', 'committed', 'unknown') THEN hold END), 0)
		FROM calls WHERE run_id = ? GROUP BY vendor`, id)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	r.Vendors = map[string]ledger.VendorSpend{}
	for rows.Next() {
		var vendor string
		var v ledger.VendorSpend
		if err := rows.Scan(&vendor, &v.Calls, &v.Settled, &v.Held); err != nil {
			return err
		}
		r.Vendors[vendor] = v
	}
	return rows.Err()
}

func fillDenials(ctx context.Context, tx *sql.Tx, r *ledger.RunReport) error {
	rows, err := tx.QueryContext(ctx, `SELECT verdict, code, count(*) FROM audit
		WHERE run = ? AND tenant = ? AND verdict IN (?, ?) GROUP BY verdict, code`,
		r.Run, r.Tenant, ledger.VerdictDenied, ledger.VerdictReplayed)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	r.Denied = map[string]int{}
	for rows.Next() {
		var verdict, code string
		var n int
		if err := rows.Scan(&verdict, &code, &n); err != nil {
			return err
		}
		if verdict == ledger.VerdictReplayed {
			r.Replays += n
			continue
		}
		r.Denied[code] += n
	}
	return rows.Err()
}

// Verify recomputes every budget from its calls and compares.
func (s *Store) Verify(ctx context.Context) ([]string, error) {
	var lines []string
	err := s.snapshot(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT b.scope, b.owner, b.window, b.cap, b.overrun, b.allowed, b.settled, b.in_flight, b.committed, b.unknown,
				coalesce(sum(c.amount), 0),
				coalesce(sum(CASE c.state WHEN 'dispatched' THEN c.hold END), 0),
				coalesce(sum(CASE c.state WHEN 'committed' THEN c.hold END), 0),
				coalesce(sum(CASE c.state WHEN 'unknown' THEN c.hold END), 0)
			FROM budgets b LEFT JOIN (SELECT c.*, k.issue_id FROM calls c JOIN keys k USING (key_id)) c
				ON (b.scope = 'run' AND c.run_id = CAST(b.owner AS INTEGER))
				OR (b.scope = 'key' AND c.issue_id = b.owner AND (b.window = 'total' OR b.window = c.day))
			GROUP BY b.budget_id ORDER BY b.budget_id`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var scope, owner, window string
			var limit, overrun, allowed money.USD
			var have, want [4]money.USD
			if err := rows.Scan(&scope, &owner, &window, &limit, &overrun, &allowed, &have[0], &have[1], &have[2], &have[3],
				&want[0], &want[1], &want[2], &want[3]); err != nil {
				return err
			}
			name := fmt.Sprintf("budget %s/%s/%s", scope, owner, window)
			for i, counter := range []string{"settled", "in flight", "committed", "unknown"} {
				if have[i] != want[i] {
					lines = append(lines, fmt.Sprintf("%s: %s is %s, its calls say %s", name, counter, have[i], want[i]))
				}
			}
			if allowed > limit+overrun {
				lines = append(lines, fmt.Sprintf("%s: %s allowed of a cap of %s and an overrun of %s", name, allowed, limit, overrun))
			}
			if used := have[0] + have[1] + have[2] + have[3]; used > allowed {
				lines = append(lines, fmt.Sprintf("%s: %s used of %s allowed", name, used, allowed))
			}
		}
		return rows.Err()
	})
	return lines, err
}
