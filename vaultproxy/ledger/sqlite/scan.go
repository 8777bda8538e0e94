package sqlite

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

func scanCall(row scanner, sealed bool) (ledger.Call, error) {
	var (
		c                           ledger.Call
		digest                      []byte
		created, first, last, prior int64
		final                       sql.NullInt64
	)
	into := []any{
		&c.Seq, &c.ID, &digest, &c.State, &c.Reason, &c.KeyID, &c.Tenant, &c.Run, &c.Vendor, &c.Operation, &c.Method,
		&c.Path, &c.IdempotencyKey, &c.Item, &c.WorkflowID, &c.Hold, &c.Amount, &c.Object, &c.Target, &c.Day, &c.Declined,
		&c.Answered, &c.AnswerStatus, &c.Sends, &c.Unproven, &c.Resend, &c.Checks, &created, &first, &last, &prior, &final,
	}
	if sealed {
		into = append(into, &c.Answer, &c.Request)
	}
	err := row.Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return c, ledger.ErrNotFound
	}
	if err != nil {
		return c, err
	}
	if copy(c.Digest[:], digest) != len(c.Digest) {
		return c, fmt.Errorf("call %s: its digest is cut short", c.ID)
	}
	c.CreatedAt, c.FirstSentAt = fromMicro(created), fromMicro(first)
	c.LastSentAt, c.PriorSentAt = fromMicro(last), fromMicro(prior)
	if final.Valid {
		c.FinalAt = fromMicro(final.Int64)
	}
	return c, nil
}

func scanCalls(rows *sql.Rows, sealed bool) ([]ledger.Call, error) {
	defer func() { _ = rows.Close() }()
	var calls []ledger.Call
	for rows.Next() {
		c, err := scanCall(rows, sealed)
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	return calls, rows.Err()
}
