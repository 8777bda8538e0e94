package postgres

import (
	"fmt"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// Rows are written many at a time: each statement takes its columns as arrays.

type queuer func(what string, rows int, query string, args ...any)

// columns turns rows into arrays, one for each column. A column has one type:
// string, int64 or []byte.
func columns[T any](rows []T, values func(T) []any) []any {
	var out []any
	for n, row := range rows {
		for i, v := range values(row) {
			if n == 0 {
				switch v.(type) {
				case string:
					out = append(out, make([]string, len(rows)))
				case []byte:
					out = append(out, make([][]byte, len(rows)))
				default:
					out = append(out, make([]int64, len(rows)))
				}
			}
			switch array := out[i].(type) {
			case []string:
				array[n], _ = v.(string)
			case [][]byte:
				array[n], _ = v.([]byte)
			case []int64:
				array[n], _ = v.(int64)
			}
		}
	}
	return out
}

// unnest is a FROM clause over arrays; types are those of the columns, in order.
func unnest(names, types string) string {
	var arrays []string
	for i, kind := range strings.Fields(types) {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, kind))
	}
	return `unnest(` + strings.Join(arrays, ", ") + `) AS n (` + names + `)`
}

func repeated(kind string, n int) string { return strings.Repeat(kind+" ", n) }

// The rows are named by ANY, too: by the join alone, a planner without statistics
// goes through the whole table.
var moveCalls = `UPDATE calls c SET state = n.state, reason = n.reason, hold = n.hold, amount = n.amount, object = n.object,
	books = n.books, declined = n.declined, answered = n.answered, answer_status = n.answer_status, sends = n.sends,
	unproven = n.unproven, resend = n.resend, checks = n.checks, first_sent_at = n.first_sent_at, last_sent_at = n.last_sent_at,
	prior_sent_at = n.prior_sent_at, committed_at = n.committed_at, final_at = nullif(n.final_at, 0), next_check_at = n.next_check_at,
	claimed_until = n.claimed_until, request = CASE WHEN n.final_at = 0 THEN c.request END
	FROM ` + unnest(`seq, was_sends, was_unproven, was_state, state, reason, object, hold, amount, books, declined, answered,
	answer_status, sends, unproven, resend, checks, first_sent_at, last_sent_at, prior_sent_at, committed_at, final_at, next_check_at,
	claimed_until`, repeated("bigint", 3)+repeated("text", 4)+repeated("bigint", 17)) + `
	WHERE c.seq = ANY($1) AND c.seq = n.seq AND c.state = n.was_state AND c.sends = n.was_sends AND c.unproven = n.was_unproven`

var reopenCalls = `UPDATE calls c SET key_no = n.key_no, op_no = n.op_no, item = n.item, workflow_id = n.workflow_id,
	target = n.target, reserved_at = n.reserved_at, epoch = n.epoch, request = n.request
	FROM ` + unnest(`seq, key_no, op_no, reserved_at, epoch, item, workflow_id, target, request`,
	repeated("bigint", 5)+repeated("text", 3)+"bytea") + ` WHERE c.seq = n.seq`

// queueMoves writes changed calls, guarded by what they were when they were read.
func queueMoves(queue queuer, calls []*sqlstore.Call) {
	if len(calls) == 0 {
		return
	}
	queue("move calls", len(calls), moveCalls, columns(calls, func(c *sqlstore.Call) []any {
		state, sends, unproven := c.Was()
		return []any{
			c.Seq, int64(sends), int64(unproven), string(state), string(c.State), c.Reason, c.Object, int64(c.Hold), int64(c.Amount),
			sqlstore.Flag(c.Books), sqlstore.Flag(c.Declined), sqlstore.Flag(c.Answered), int64(c.AnswerStatus), int64(c.Sends),
			int64(c.Unproven), int64(c.Resend), int64(c.Checks), sqlstore.ToMicro(c.FirstSentAt), sqlstore.ToMicro(c.LastSentAt),
			sqlstore.ToMicro(c.PriorSentAt), sqlstore.ToMicro(c.CommittedAt), sqlstore.ToMicro(c.FinalAt), sqlstore.ToMicro(c.NextCheckAt), sqlstore.ToMicro(c.ClaimedUntil),
		}
	})...)
	var reopened []*sqlstore.Call
	for _, c := range calls {
		if c.Reopened() {
			reopened = append(reopened, c)
		}
	}
	if len(reopened) == 0 {
		return
	}
	queue("dispatch calls anew", len(reopened), reopenCalls, columns(reopened, func(c *sqlstore.Call) []any {
		return []any{
			c.Seq, c.KeyNo, c.OpNo, c.ReservedAt.UnixMicro(), c.Epoch, c.Item, c.WorkflowID, c.Target, c.Request,
		}
	})...)
}

var insertCalls = `INSERT INTO calls (seq, run_no, key_no, op_no, hold, books, created_at, reserved_at, first_sent_at, last_sent_at,
	epoch, vendor, idempotency_key, call_id, state, item, workflow_id, object, target, digest, request, sends, unproven)
	SELECT seq, run_no, key_no, op_no, hold, books, at, at, at, at, epoch, vendor, idempotency_key, call_id, 'dispatched', item,
	workflow_id, object, target, digest, request, 1, 1
	FROM ` + unnest(`seq, run_no, key_no, op_no, hold, books, at, epoch, vendor, idempotency_key, call_id, item, workflow_id, object,
	target, digest, request`, repeated("bigint", 8)+repeated("text", 7)+repeated("bytea", 2))

func queueInserts(queue queuer, calls []*sqlstore.Call) {
	if len(calls) == 0 {
		return
	}
	queue("insert calls", len(calls), insertCalls, columns(calls, func(c *sqlstore.Call) []any {
		return []any{
			c.Seq, c.RunNo, c.KeyNo, c.OpNo, int64(c.Hold), sqlstore.Flag(c.Books), c.ReservedAt.UnixMicro(), c.Epoch, c.Vendor,
			c.IdempotencyKey, c.ID, c.Item, c.WorkflowID, c.Object, c.Target, c.Digest[:], c.Request,
		}
	})...)
}

var insertAnswers = `INSERT INTO answers (seq, answer) SELECT seq, answer FROM ` + unnest(`seq, answer`, `bigint bytea`) + `
	ON CONFLICT (seq) DO UPDATE SET answer = excluded.answer`

func queueAnswers(queue queuer, calls []*sqlstore.Call) {
	if len(calls) == 0 {
		return
	}
	queue("keep answers", len(calls), insertAnswers, columns(calls, func(c *sqlstore.Call) []any {
		return []any{c.Seq, c.Answer}
	})...)
}

var updateBudgets = `UPDATE budgets b SET cap = n.cap, allowed = n.allowed, settled = n.settled, in_flight = n.in_flight,
	committed = n.committed, unknown = n.unknown, overrun = n.overrun, lowered = n.lowered, contended_until = n.contended_until
	FROM ` + unnest(`budget_no, cap, allowed, settled, in_flight, committed, unknown, overrun, lowered, contended_until`,
	repeated("bigint", 10)) + ` WHERE b.budget_no = n.budget_no`

func queueBudgets(queue queuer, budgets []*sqlstore.Budget) {
	if len(budgets) == 0 {
		return
	}
	queue("book on budgets", len(budgets), updateBudgets, columns(budgets, func(b *sqlstore.Budget) []any {
		return []any{
			b.No, int64(b.Cap), int64(b.Allowed), int64(b.Settled), int64(b.InFlight), int64(b.Committed), int64(b.Unknown),
			int64(b.Overrun), int64(b.Lowered), sqlstore.ToMicro(b.ContendedUntil),
		}
	})...)
}

var insertAudit = `INSERT INTO audit (` + sqlstore.AuditColumns + `) SELECT ` + sqlstore.AuditColumns + ` FROM ` +
	unnest(sqlstore.AuditColumns, "bigint "+repeated("text", 13)+repeated("bigint", 3)+"text bigint "+repeated("text", 2))

func queueAudit(queue queuer, changes sqlstore.Changes) {
	if len(changes.Audit) == 0 {
		return
	}
	queue("write audit rows", len(changes.Audit), insertAudit, columns(changes.Audit, func(a ledger.AuditRow) []any {
		return sqlstore.AuditValues(changes.At, a)
	})...)
}
