package sqlstore

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// KeyColumns and FromKeys read a Key by ScanKey.
const (
	KeyColumns = `k.key_no, k.key_id, k.issue_id, k.generation, k.run_no, r.tenant, r.label, r.closed_at, k.vendor, k.phase,
	k.agent_name, k.terms, k.issued_at, k.expires_at, k.revoked_at`
	FromKeys = ` FROM keys k JOIN runs r ON r.run_no = k.run_no `
)

// CallColumns and FromCalls read a Call by ScanCall, with CallSealed and
// FromSealed also what is stored of its request and answer.
const (
	CallColumns = `c.seq, c.call_id, c.digest, c.state, c.reason, c.key_no, k.key_id, c.run_no, r.tenant, r.label, c.op_no,
	c.vendor, o.operation, o.method, o.path, c.idempotency_key, c.item, c.workflow_id, c.hold, c.amount, c.object, c.books,
	c.target, c.declined, c.answered, c.answer_status, c.sends, c.unproven, c.resend, c.checks, c.created_at, c.reserved_at,
	c.first_sent_at, c.last_sent_at, c.prior_sent_at, c.committed_at, c.final_at, c.next_check_at, c.claimed_until, c.epoch`
	CallSealed = `, c.request, a.answer`
	FromCalls  = ` FROM calls c JOIN keys k ON k.key_no = c.key_no JOIN runs r ON r.run_no = c.run_no
	JOIN operations o ON o.op_no = c.op_no `
	FromSealed = FromCalls + `LEFT JOIN answers a ON a.seq = c.seq `
)

// BudgetColumns and FromBudgets read a Budget by ScanBudget.
const (
	BudgetColumns = `b.budget_no, b.scope, b.owner, b.span, b.cap, b.allowed, b.settled, b.in_flight, b.committed, b.unknown,
	b.overrun, b.lowered, b.contended_until`
	FromBudgets = ` FROM budgets b `
)

// ScanKey reads a row of KeyColumns. ledger.ErrNotFound.
func ScanKey(row Row) (*Key, error) {
	var (
		k               Key
		terms           string
		issued, expires int64
		revoked, closed sql.NullInt64
	)
	err := row.Scan(&k.No, &k.ID, &k.IssueID, &k.Generation, &k.RunNo, &k.Tenant, &k.Run, &closed, &k.Vendor, &k.Phase,
		&k.AgentName, &terms, &issued, &expires, &revoked)
	if err != nil {
		return nil, notFound(err)
	}
	if err := json.Unmarshal([]byte(terms), &k.Terms); err != nil {
		return nil, fmt.Errorf("terms of key %s: %w", k.ID, err)
	}
	k.IssuedAt, k.ExpiresAt = FromMicro(issued), FromMicro(expires)
	k.RunClosed = closed.Valid
	k.RevokedAt = FromMicro(revoked.Int64)
	return &k, nil
}

// ScanCall reads a row of CallColumns, and of CallSealed if it is there. ledger.ErrNotFound.
func ScanCall(row Row, sealed bool) (*Call, error) {
	var (
		c                                  Call
		digest                             []byte
		state                              string
		created, reserved                  int64
		first, last, prior, check, claimed int64
		committed                          int64
		books, declined, answered          int64
		hold, amount                       int64
		final                              sql.NullInt64
	)
	into := []any{
		&c.Seq, &c.ID, &digest, &state, &c.Reason, &c.KeyNo, &c.KeyID, &c.RunNo, &c.Tenant, &c.Run, &c.OpNo,
		&c.Vendor, &c.Operation, &c.Method, &c.Path, &c.IdempotencyKey, &c.Item, &c.WorkflowID, &hold, &amount, &c.Object, &books,
		&c.Target, &declined, &answered, &c.AnswerStatus, &c.Sends, &c.Unproven, &c.Resend, &c.Checks, &created, &reserved,
		&first, &last, &prior, &committed, &final, &check, &claimed, &c.Epoch,
	}
	if sealed {
		into = append(into, &c.Request, &c.Answer)
	}
	if err := row.Scan(into...); err != nil {
		return nil, notFound(err)
	}
	if len(digest) == len(c.Digest) {
		c.Digest = [32]byte(digest)
	} else { // no request has a digest of zeros: none is taken for this call's
		c.Damaged = "its digest has not the length of one"
	}
	c.State, c.Hold, c.Amount = ledger.State(state), money.USD(hold), money.USD(amount)
	c.Books, c.Declined, c.Answered = books != 0, declined != 0, answered != 0
	c.CreatedAt, c.ReservedAt = FromMicro(created), FromMicro(reserved)
	c.Day = c.ReservedAt.Format(time.DateOnly)
	c.FirstSentAt, c.LastSentAt, c.PriorSentAt = FromMicro(first), FromMicro(last), FromMicro(prior)
	c.CommittedAt = FromMicro(committed)
	c.NextCheckAt, c.ClaimedUntil, c.FinalAt = FromMicro(check), FromMicro(claimed), FromMicro(final.Int64)
	c.remember()
	return &c, nil
}

// remember notes what the row is in the table.
func (c *Call) remember() { c.wasState, c.wasSends, c.wasProven = c.State, c.Sends, c.Unproven }

// ScanBudget reads a row of BudgetColumns. ledger.ErrNotFound.
func ScanBudget(row Row) (*Budget, error) {
	var b Budget
	var n [8]int64
	var contended int64
	if err := row.Scan(&b.No, &b.Scope, &b.Name, &b.Window, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &contended); err != nil {
		return nil, notFound(err)
	}
	b.Cap, b.Allowed, b.Settled, b.InFlight = money.USD(n[0]), money.USD(n[1]), money.USD(n[2]), money.USD(n[3])
	b.Committed, b.Unknown, b.Overrun = money.USD(n[4]), money.USD(n[5]), money.USD(n[6])
	b.Lowered = money.USD(n[7])
	b.ContendedUntil = FromMicro(contended)
	return &b, nil
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.ErrNotFound
	}
	return err
}

// all reads every row.
func all[T any](rows Rows, scan func(Row) (T, error)) ([]T, error) {
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

func scanCallRow(row Row) (*Call, error) { return ScanCall(row, false) }

// ToMicro is a time as it is stored: microseconds since 1970, 0 for none.
func ToMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicro is a stored time.
func FromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Flag is a bool as it is stored.
func Flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
