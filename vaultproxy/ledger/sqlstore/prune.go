package sqlstore

import (
	"context"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// prunable are runs that nothing was reserved in since $1, and that have no key
// which lives at $2.
const prunable = `SELECT r.run_no FROM runs r
	WHERE r.opened_at < $1
	AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.run_no = r.run_no AND c.reserved_at >= $1)
	AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.run_no = r.run_no AND k.revoked_at IS NULL AND k.expires_at > $2)
	AND EXISTS (SELECT 1 FROM calls c WHERE c.run_no = r.run_no AND (c.state = 'settled' OR c.state = 'released') AND c.final_at < $1)
	ORDER BY r.run_no LIMIT 100`

// Prune goes run by run, so that nobody waits for long. A run is closed before
// its calls go: an idempotency key that is forgotten must never charge again.
func (s *Store) Prune(ctx context.Context, before time.Time) (total ledger.Pruned, err error) {
	for {
		now, err := s.Now(ctx)
		if err != nil {
			return total, err
		}
		rows, err := s.query(ctx, prunable, before.UnixMicro(), now.UnixMicro())
		if err != nil {
			return total, err
		}
		runs, err := all(rows, func(row Row) (no int64, err error) { err = row.Scan(&no); return no, err })
		if err != nil {
			return total, unavailable(err)
		}
		pruned := 0
		for _, no := range runs {
			var one ledger.Pruned
			if err := s.write(ctx, Needs{RunNos: []int64{no}}, func(b *Batch) (err error) {
				one, err = b.prune(no, before)
				return err
			}); err != nil {
				return total, err
			}
			pruned += one.Runs
			total.Runs, total.Calls, total.AuditRows = total.Runs+one.Runs, total.Calls+one.Calls, total.AuditRows+one.AuditRows
		}
		if pruned == 0 {
			return total, nil
		}
	}
}

// prune looks again under the run's lock, then closes and empties the run.
func (b *Batch) prune(runNo int64, before time.Time) (ledger.Pruned, error) {
	var out ledger.Pruned
	if err := b.Flush(); err != nil {
		return out, err
	}
	if _, err := b.budget(runBudget(runNo), -1); err != nil {
		return out, err
	}
	var busy int
	if err := b.tx.QueryRow(`SELECT count(*) FROM runs r WHERE r.run_no = $3
		AND (EXISTS (SELECT 1 FROM calls c WHERE c.run_no = r.run_no AND c.reserved_at >= $1)
		OR EXISTS (SELECT 1 FROM keys k WHERE k.run_no = r.run_no AND k.revoked_at IS NULL AND k.expires_at > $2))`,
		before.UnixMicro(), b.now.UnixMicro(), runNo).Scan(&busy); err != nil || busy > 0 {
		return out, err
	}
	var tenant, label string
	if err := b.tx.QueryRow(`SELECT tenant, label FROM runs WHERE run_no = $1`, runNo).Scan(&tenant, &label); err != nil {
		return out, err
	}
	const final = `(c.state = 'settled' OR c.state = 'released') AND c.final_at < $2`
	if _, err := b.tx.Exec(`UPDATE runs SET closed_at = coalesce(closed_at, $2) WHERE run_no = $1`, runNo, b.now.UnixMicro()); err != nil {
		return out, err
	}
	if _, err := b.tx.Exec(`INSERT INTO daily_totals (run_no, issue_id, vendor, day_no, settled, settled_calls, released_calls, declined_calls)
		SELECT c.run_no, k.issue_id, c.vendor, c.reserved_at / 86400000000, CAST(sum(c.amount) AS BIGINT),
			count(CASE WHEN c.state = 'settled' THEN 1 END), count(CASE WHEN c.state = 'released' THEN 1 END), CAST(sum(c.declined) AS BIGINT)
		FROM calls c JOIN keys k ON k.key_no = c.key_no WHERE c.run_no = $1 AND `+final+`
		GROUP BY c.run_no, k.issue_id, c.vendor, c.reserved_at / 86400000000
		ON CONFLICT (run_no, issue_id, vendor, day_no) DO UPDATE SET settled = daily_totals.settled + excluded.settled,
			settled_calls = daily_totals.settled_calls + excluded.settled_calls,
			released_calls = daily_totals.released_calls + excluded.released_calls,
			declined_calls = daily_totals.declined_calls + excluded.declined_calls`, runNo, before.UnixMicro()); err != nil {
		return out, err
	}
	if _, err := b.tx.Exec(`DELETE FROM answers WHERE seq IN (SELECT c.seq FROM calls c WHERE c.run_no = $1 AND `+final+`)`,
		runNo, before.UnixMicro()); err != nil {
		return out, err
	}
	audits, err := b.tx.Exec(`DELETE FROM audit WHERE tenant = $1 AND run = $2 AND at < $3 AND (call_id = '' OR call_id IN
		(SELECT c.call_id FROM calls c WHERE c.run_no = $4 AND (c.state = 'settled' OR c.state = 'released') AND c.final_at < $3))`,
		tenant, label, before.UnixMicro(), runNo)
	if err != nil {
		return out, err
	}
	calls, err := b.tx.Exec(`DELETE FROM calls AS c WHERE c.run_no = $1 AND `+final, runNo, before.UnixMicro())
	if err != nil {
		return out, err
	}
	clear(b.calls)
	clear(b.byKey)
	clear(b.byObject)
	clear(b.keys)
	return ledger.Pruned{Runs: 1, Calls: int(calls), AuditRows: int(audits)}, nil
}
