package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

const keyColumns = `k.key_id, k.issue_id, k.generation, k.run_id, r.tenant, r.label, r.closed_at, k.vendor, k.phase,
	k.agent_name, k.terms, k.issued_at, k.expires_at, k.revoked_at`

const callColumns = `c.seq, c.call_id, c.digest, c.state, c.reason, c.key_id, r.tenant, r.label, c.vendor, c.operation,
	c.method, c.path, c.idempotency_key, c.item, c.workflow_id, c.hold, c.amount, c.object, c.target, c.day, c.declined,
	c.answered, c.answer_status, c.sends, c.unproven, c.resend, c.checks, c.created_at, c.first_sent_at,
	c.last_sent_at, c.prior_sent_at, c.final_at`

// callSealed are the two columns that lists leave out.
const callSealed = `, c.answer, c.request`

const fromCalls = ` FROM calls c JOIN runs r USING (run_id) `

// statements are prepared once, on the writing connection.
type statements struct {
	all []*sql.Stmt

	keyByID, budget, openBudget, updateBudget, audit *sql.Stmt
	callByID, insertCall, reopenCall                 *sql.Stmt
	moveCall, setBooking, callByObject               *sql.Stmt
	claim, unclaim, resend                           *sql.Stmt
}

func (st *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, p := range []struct {
		into **sql.Stmt
		text string
	}{
		{&st.keyByID, `SELECT ` + keyColumns + ` FROM keys k JOIN runs r USING (run_id) WHERE k.key_id = ?`},
		{&st.budget, `SELECT budget_id, cap, allowed, settled, in_flight, committed, unknown, overrun
			FROM budgets WHERE scope = ? AND owner = ? AND window = ?`},
		{&st.openBudget, `INSERT INTO budgets (scope, owner, window, cap, allowed) VALUES (?, ?, ?, ?, ?) RETURNING budget_id`},
		{&st.updateBudget, `UPDATE budgets SET allowed = ?, settled = ?, in_flight = ?, committed = ?, unknown = ?, overrun = ?
			WHERE budget_id = ?`},
		{&st.audit, `INSERT INTO audit (at, verdict, code, by_whom, tenant, run, key_id, call_id, item, workflow_id, vendor,
			method, path, idempotency_key, status, price, amount, object, duration_us)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&st.callByID, `SELECT ` + callColumns + callSealed + fromCalls + `WHERE c.call_id = ?`},
		{&st.callByObject, `SELECT ` + callColumns + callSealed + fromCalls + `WHERE c.vendor = ? AND c.object = ? AND c.books = 1`},
		{&st.insertCall, `INSERT INTO calls (call_id, digest, state, reason, key_id, run_id, vendor, operation, method, path,
			idempotency_key, item, workflow_id, hold, target, day, request, sends, unproven, created_at, first_sent_at,
			last_sent_at, epoch)
			VALUES (?, ?, 'dispatched', '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1, ?, ?, ?, ?)
			ON CONFLICT (call_id) DO NOTHING`},
		// A call that had been refused without effect is dispatched anew, by whatever key asks now.
		{&st.reopenCall, `UPDATE calls SET state = 'dispatched', reason = '', key_id = ?, item = ?, workflow_id = ?, hold = ?,
			target = ?, object = '', books = 0, day = ?, declined = 0, request = ?, sends = sends + 1, unproven = 1, checks = 0,
			first_sent_at = ?, last_sent_at = ?, prior_sent_at = 0, final_at = NULL, next_check_at = 0, claimed_until = 0, epoch = ?
			WHERE call_id = ? AND state = ? AND answered = 0 AND unproven = 0`},
		// OR IGNORE: an object that is taken is a decision and must not fail the statement.
		{&st.moveCall, `UPDATE OR IGNORE calls SET state = ?, reason = ?, hold = ?, amount = ?, object = ?, books = ?, declined = ?,
			answered = ?, answer_status = ?, answer = ?, request = ?, unproven = ?, resend = ?, checks = ?, first_sent_at = ?, last_sent_at = ?, final_at = ?,
			next_check_at = ?, claimed_until = 0
			WHERE call_id = ? AND state = ? AND sends = ? AND unproven = ?`},
		{&st.setBooking, `UPDATE calls SET object = ?, books = 1 WHERE call_id = ?`},
		{&st.claim, `UPDATE calls SET claimed_until = ?, checks = checks + 1
			WHERE call_id = ? AND state IN ('unknown', 'committed') AND claimed_until <= ?`},
		{&st.unclaim, `UPDATE calls SET claimed_until = 0, next_check_at = ? WHERE call_id = ? AND state IN ('unknown', 'committed')`},
		{&st.resend, `UPDATE calls SET sends = sends + 1, unproven = unproven + 1, prior_sent_at = last_sent_at, last_sent_at = ?
			WHERE call_id = ? AND state = 'unknown' AND claimed_until > ?`},
	} {
		stmt, err := conn.PrepareContext(ctx, p.text) //nolint:sqlclosecheck // close closes them all
		if err != nil {
			return fmt.Errorf("prepare statement: %w", err)
		}
		*p.into = stmt
		st.all = append(st.all, stmt)
	}
	return nil
}

func (st *statements) close() {
	for _, stmt := range st.all {
		_ = stmt.Close()
	}
}
