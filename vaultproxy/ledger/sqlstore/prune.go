package sqlstore

import (
	"context"
	"errors"
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
	AND r.run_no > $3 ORDER BY r.run_no LIMIT 100`

// pruneAtOnce bounds the rows of one commit, for which everybody else waits.
const pruneAtOnce = 5_000

// Prune goes run by run and slice by slice, so that nobody waits for long. A run
// is closed before its calls go: an idempotency key that is forgotten must never
// charge again. A run that fails does not keep the others from being pruned.
func (s *Store) Prune(ctx context.Context, before time.Time) (total ledger.Pruned, err error) {
	var failed error
	for last := int64(0); ; {
		now, err := s.Now(ctx)
		if err != nil {
			return total, err
		}
		rows, err := s.query(ctx, prunable, before.UnixMicro(), now.UnixMicro(), last)
		if err != nil {
			return total, err
		}
		runs, err := all(rows, func(row Row) (no int64, err error) { err = row.Scan(&no); return no, err })
		if err != nil {
			return total, unavailable(err)
		}
		if len(runs) == 0 {
			return total, failed
		}
		for _, no := range runs {
			failed = errors.Join(failed, s.pruneRun(ctx, no, before, &total))
		}
		last = runs[len(runs)-1]
	}
}

func (s *Store) pruneRun(ctx context.Context, runNo int64, before time.Time, total *ledger.Pruned) error {
	for {
		var one ledger.Pruned
		more := false
		if err := s.write(ctx, Needs{RunNos: []int64{runNo}}, func(b *Batch) (err error) {
			one, more, err = b.prune(runNo, before)
			return err
		}); err != nil {
			return err
		}
		total.Runs, total.Calls, total.AuditRows = total.Runs+one.Runs, total.Calls+one.Calls, total.AuditRows+one.AuditRows
		if !more {
			return nil
		}
	}
}

// prune looks again under the run's lock, closes the run, and removes a slice of
// what is final; once there is none, of the audit rows. It reports whether there
// is more to do.
func (b *Batch) prune(runNo int64, before time.Time) (out ledger.Pruned, more bool, err error) {
	if err := b.Flush(); err != nil {
		return out, false, err
	}
	if _, err := b.budget(runBudget(runNo), -1); err != nil {
		return out, false, err
	}
	var busy int
	if err := b.tx.QueryRow(`SELECT count(*) FROM runs r WHERE r.run_no = $3
		AND (EXISTS (SELECT 1 FROM calls c WHERE c.run_no = r.run_no AND c.reserved_at >= $1)
		OR EXISTS (SELECT 1 FROM keys k WHERE k.run_no = r.run_no AND k.revoked_at IS NULL AND k.expires_at > $2))`,
		before.UnixMicro(), b.now.UnixMicro(), runNo).Scan(&busy); err != nil || busy > 0 {
		return out, false, err
	}
	if _, err := b.tx.Exec(`UPDATE runs SET closed_at = coalesce(closed_at, $2) WHERE run_no = $1`, runNo, b.now.UnixMicro()); err != nil {
		return out, false, err
	}
	// What the batch knows of the run is out of date now.
	clear(b.keys)
	clear(b.drawn)
	calls, err := b.pruneCalls(runNo, before)
	if err != nil || calls > 0 {
		clear(b.calls)
		clear(b.byKey)
		clear(b.byObject)
		return ledger.Pruned{Calls: calls}, true, err
	}
	rows, err := b.pruneAudit(runNo, before)
	if err != nil || rows == pruneAtOnce {
		return ledger.Pruned{AuditRows: rows}, true, err
	}
	return ledger.Pruned{Runs: 1, AuditRows: rows}, false, nil
}

// finalCalls are a run's that ended before $2, up to the call $3.
const finalCalls = `c.run_no = $1 AND (c.state = 'settled' OR c.state = 'released') AND c.final_at < $2 AND c.seq <= $3`

func (b *Batch) pruneCalls(runNo int64, before time.Time) (int, error) {
	var upTo int64
	if err := b.tx.QueryRow(`SELECT coalesce(max(seq), 0) FROM (SELECT c.seq FROM calls c WHERE c.run_no = $1
		AND (c.state = 'settled' OR c.state = 'released') AND c.final_at < $2 ORDER BY c.seq LIMIT $3) AS slice`,
		runNo, before.UnixMicro(), pruneAtOnce).Scan(&upTo); err != nil || upTo == 0 {
		return 0, err
	}
	args := []any{runNo, before.UnixMicro(), upTo}
	if _, err := b.tx.Exec(`INSERT INTO daily_totals (run_no, issue_id, vendor, day_no, settled, settled_calls, released_calls, declined_calls)
		SELECT c.run_no, k.issue_id, c.vendor, c.reserved_at / 86400000000, CAST(sum(c.amount) AS BIGINT),
			count(CASE WHEN c.state = 'settled' THEN 1 END), count(CASE WHEN c.state = 'released' THEN 1 END), CAST(sum(c.declined) AS BIGINT)
		FROM calls c JOIN keys k ON k.key_no = c.key_no WHERE `+finalCalls+`
		GROUP BY c.run_no, k.issue_id, c.vendor, c.reserved_at / 86400000000
		ON CONFLICT (run_no, issue_id, vendor, day_no) DO UPDATE SET settled = daily_totals.settled + excluded.settled,
			settled_calls = daily_totals.settled_calls + excluded.settled_calls,
			released_calls = daily_totals.released_calls + excluded.released_calls,
			declined_calls = daily_totals.declined_calls + excluded.declined_calls`, args...); err != nil {
		return 0, err
	}
	if _, err := b.tx.Exec(`DELETE FROM answers WHERE seq IN (SELECT c.seq FROM calls c WHERE `+finalCalls+`)`, args...); err != nil {
		return 0, err
	}
	n, err := b.tx.Exec(`DELETE FROM calls AS c WHERE `+finalCalls, args...)
	return int(n), err
}

// pruneAudit removes a slice of the run's audit rows, but for those of calls that
// are still there.
func (b *Batch) pruneAudit(runNo int64, before time.Time) (int, error) {
	var tenant, label string
	if err := b.tx.QueryRow(`SELECT tenant, label FROM runs WHERE run_no = $1`, runNo).Scan(&tenant, &label); err != nil {
		return 0, err
	}
	n, err := b.tx.Exec(`DELETE FROM audit WHERE seq IN (SELECT a.seq FROM audit a WHERE a.run = $1 AND a.tenant = $2 AND a.at < $3
		AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.run_no = $4 AND c.call_id = a.call_id) ORDER BY a.seq LIMIT $5)`,
		label, tenant, before.UnixMicro(), runNo, pruneAtOnce)
	return int(n), err
}
