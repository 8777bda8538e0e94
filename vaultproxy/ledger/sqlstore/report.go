package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// maxReports bounds a list of run reports.
const maxReports = 1000

// RunReports sums up runs, newest first.
func (s *Store) RunReports(ctx context.Context, run string) ([]ledger.RunReport, error) {
	var reports []ledger.RunReport
	err := s.snapshot(ctx, func(q querier) error {
		var w where
		w.and(run != "", "label = ", run)
		rows, err := q.QueryContext(ctx, `SELECT run_no, tenant, label, CASE WHEN closed_at IS NULL THEN 0 ELSE 1 END FROM runs`+
			w.String()+` ORDER BY run_no DESC`+w.limit(maxReports), w.args...)
		if err != nil {
			return err
		}
		var numbers []int64
		reports, err = all(rows, func(row Row) (r ledger.RunReport, err error) {
			var no, closed int64
			err = row.Scan(&no, &r.Tenant, &r.Run, &closed)
			r.Closed = closed != 0
			numbers = append(numbers, no)
			return r, err
		})
		if err != nil {
			return err
		}
		for i := range reports {
			if err := fillReport(ctx, q, numbers[i], &reports[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return reports, err
}

func fillReport(ctx context.Context, q querier, no int64, r *ledger.RunReport) (err error) {
	if r.Budget, err = readBudget(ctx, q, runBudget(no)); err != nil {
		return err
	}
	r.Budget.Name, r.Budget.Tenant = r.Run, r.Tenant
	if r.Counts, r.Declined, err = countCalls(ctx, q, `run_no = $1`, no); err != nil {
		return err
	}
	var first, last sql.NullInt64
	if err := q.QueryRowContext(ctx, `SELECT min(created_at), max(last_sent_at),
		CAST(coalesce(sum(CASE WHEN sends > 1 THEN sends - 1 END), 0) AS BIGINT) FROM calls WHERE run_no = $1`, no).
		Scan(&first, &last, &r.Resends); err != nil {
		return err
	}
	r.FirstCall, r.LastAt = FromMicro(first.Int64), FromMicro(last.Int64)
	if err := fillVendors(ctx, q, no, r); err != nil {
		return err
	}
	if err := fillPruned(ctx, q, no, r); err != nil {
		return err
	}
	return fillDenials(ctx, q, r)
}

func fillVendors(ctx context.Context, q querier, no int64, r *ledger.RunReport) error {
	rows, err := q.QueryContext(ctx, `SELECT vendor, count(*), CAST(sum(amount) AS BIGINT),
		CAST(coalesce(sum(CASE WHEN state = 'dispatched' OR state = 'committed' OR state = 'unknown' THEN hold END), 0) AS BIGINT)
		FROM calls WHERE run_no = $1 GROUP BY vendor`, no)
	if err != nil {
		return err
	}
	r.Vendors = map[string]ledger.VendorSpend{}
	_, err = all(rows, func(row Row) (struct{}, error) {
		var vendor string
		var calls int
		var settled, held int64
		err := row.Scan(&vendor, &calls, &settled, &held)
		r.Vendors[vendor] = ledger.VendorSpend{Calls: calls, Settled: money.USD(settled), Held: money.USD(held)}
		return struct{}{}, err
	})
	return err
}

// fillPruned adds what is no longer there call by call.
func fillPruned(ctx context.Context, q querier, no int64, r *ledger.RunReport) error {
	rows, err := q.QueryContext(ctx, `SELECT vendor, CAST(sum(settled_calls) AS BIGINT), CAST(sum(released_calls) AS BIGINT),
		CAST(sum(declined_calls) AS BIGINT), CAST(sum(settled) AS BIGINT) FROM daily_totals WHERE run_no = $1 GROUP BY vendor`, no)
	if err != nil {
		return err
	}
	_, err = all(rows, func(row Row) (struct{}, error) {
		var vendor string
		var settledCalls, released, declined int
		var settled int64
		err := row.Scan(&vendor, &settledCalls, &released, &declined, &settled)
		v := r.Vendors[vendor]
		v.Calls, v.Settled = v.Calls+settledCalls+released, v.Settled+money.USD(settled)
		r.Vendors[vendor] = v
		r.Counts.Settled, r.Counts.Released = r.Counts.Settled+settledCalls, r.Counts.Released+released
		r.Declined += declined
		return struct{}{}, err
	})
	return err
}

func fillDenials(ctx context.Context, q querier, r *ledger.RunReport) error {
	rows, err := q.QueryContext(ctx, `SELECT verdict, code, count(*) FROM audit
		WHERE run = $1 AND tenant = $2 AND (verdict = $3 OR verdict = $4) GROUP BY verdict, code`,
		r.Run, r.Tenant, ledger.VerdictDenied, ledger.VerdictReplayed)
	if err != nil {
		return err
	}
	r.Denied = map[string]int{}
	_, err = all(rows, func(row Row) (struct{}, error) {
		var verdict, code string
		var n int
		err := row.Scan(&verdict, &code, &n)
		if verdict == ledger.VerdictReplayed {
			r.Replays += n
		} else {
			r.Denied[code] += n
		}
		return struct{}{}, err
	})
	return err
}

// sums are the counters of a budget: settled, in flight, committed, unknown.
type sums [4]money.USD

func scanSums(row Row, into *sums, others ...any) error {
	var n [4]int64
	err := row.Scan(append(others, &n[0], &n[1], &n[2], &n[3])...)
	for i := range n {
		into[i] = money.USD(n[i])
	}
	return err
}

// Verify recomputes every budget from its calls and compares.
func (s *Store) Verify(ctx context.Context) ([]string, error) {
	return s.VerifyOn(ctx, s.backend.DB())
}

// VerifyOn does so by other connections than the store's own.
func (s *Store) VerifyOn(ctx context.Context, db *sql.DB) ([]string, error) {
	var lines []string
	err := s.snapshotOf(ctx, db, func(q querier) error {
		want := map[BudgetID]sums{}
		if err := sumCalls(ctx, q, want); err != nil {
			return err
		}
		rows, err := q.QueryContext(ctx, `SELECT `+BudgetColumns+FromBudgets+`ORDER BY b.budget_no`)
		if err != nil {
			return err
		}
		budgets, err := all(rows, ScanBudget)
		if err != nil {
			return err
		}
		for _, row := range budgets {
			lines = append(lines, unsound(row, want[row.id()])...)
		}
		return nil
	})
	return lines, err
}

// sumCalls goes through the calls once, by what they draw on, and adds them up
// for each budget that they may have.
func sumCalls(ctx context.Context, q querier, want map[BudgetID]sums) error {
	const micros = 86_400_000_000
	parts := []string{
		`SELECT r.tenant, c.run_no, k.issue_id, c.reserved_at / ` + strconv.Itoa(micros) + `, ` + sumsByState + `
			FROM calls c JOIN runs r ON r.run_no = c.run_no JOIN keys k ON k.key_no = c.key_no
			GROUP BY r.tenant, c.run_no, k.issue_id, c.reserved_at / ` + strconv.Itoa(micros),
		`SELECT r.tenant, d.run_no, d.issue_id, d.day_no, CAST(sum(d.settled) AS BIGINT), 0, 0, 0
			FROM daily_totals d JOIN runs r ON r.run_no = d.run_no GROUP BY r.tenant, d.run_no, d.issue_id, d.day_no`,
	}
	for _, part := range parts {
		rows, err := q.QueryContext(ctx, part)
		if err != nil {
			return err
		}
		if _, err := all(rows, func(row Row) (struct{}, error) {
			var tenant, issue string
			var run, day int64
			var sum sums
			err := scanSums(row, &sum, &tenant, &run, &issue, &day)
			window := FromMicro(day * micros).Format("2006-01-02")
			for _, id := range []BudgetID{
				{ledger.ScopeTenant, tenant, window},
				{ledger.ScopeTenant, tenant, ledger.WindowTotal},
				{ledger.ScopeRun, owner(run), ledger.WindowTotal},
				{ledger.ScopeKey, issue, window},
				{ledger.ScopeKey, issue, ledger.WindowTotal},
			} {
				total := want[id]
				for i := range total {
					total[i] += sum[i]
				}
				want[id] = total
			}
			return struct{}{}, err
		}); err != nil {
			return err
		}
	}
	return nil
}

func unsound(row *Budget, want sums) (lines []string) {
	name := fmt.Sprintf("budget %s/%s/%s", row.Scope, row.Name, row.Window)
	have := sums{row.Settled, row.InFlight, row.Committed, row.Unknown}
	for i, counter := range []string{"settled", "in flight", "committed", "unknown"} {
		if have[i] != want[i] {
			lines = append(lines, fmt.Sprintf("%s: %s is %s, its calls say %s", name, counter, have[i], want[i]))
		}
	}
	if row.Allowed > row.Cap+row.Overrun+row.Lowered {
		lines = append(lines, fmt.Sprintf("%s: %s allowed of a cap of %s and an overrun of %s", name, row.Allowed, row.Cap, row.Overrun))
	}
	if used := row.Settled + row.Held(); used > row.Allowed {
		lines = append(lines, fmt.Sprintf("%s: %s used of %s allowed", name, used, row.Allowed))
	}
	return lines
}
