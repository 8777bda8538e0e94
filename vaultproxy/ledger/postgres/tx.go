package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// tx is one transaction, on one connection.
type tx struct {
	ctx  context.Context //nolint:containedctx // a transaction is one call, told in several methods
	conn *pgx.Conn
	seqs []int64 // numbers of calls to come
	xid  string  // by which the server knows the transaction

	witness *pgx.Conn // was there before it began
}

var _ sqlstore.Tx = (*tx)(nil)

// Exec runs a statement in the transaction.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	tag, err := t.conn.Exec(t.ctx, query, args...)
	return tag.RowsAffected(), err
}

// QueryRow reads a row in the transaction.
func (t *tx) QueryRow(query string, args ...any) sqlstore.Row {
	return t.conn.QueryRow(t.ctx, query, args...)
}

// Query reads rows in the transaction.
func (t *tx) Query(query string, args ...any) (sqlstore.Rows, error) {
	rows, err := t.conn.Query(t.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return closer{rows}, nil
}

type closer struct{ pgx.Rows }

// Close ends the reading.
func (c closer) Close() error {
	c.Rows.Close()
	return nil
}

// ForUpdate locks what is read.
func (*tx) ForUpdate() string { return ` FOR NO KEY UPDATE` }

// seq is the number of the next new call.
func (t *tx) seq() (int64, error) {
	if len(t.seqs) == 0 {
		var one int64
		err := t.conn.QueryRow(t.ctx, `SELECT nextval('calls_seq')`).Scan(&one)
		return one, err
	}
	one := t.seqs[0]
	t.seqs = t.seqs[1:]
	return one, nil
}

// channel is where processes tell one another of room that they made.
const channel = "tollgate_freed"

func freedBudget(payload string) (id sqlstore.BudgetID, ok bool) {
	return id, json.Unmarshal([]byte(payload), &id) == nil
}

// write is one statement of a pipeline, and how many rows it must change; a
// negative number: whatever it changes.
type write struct {
	what string
	rows int
}

// Write sends everything that has changed in one go.
func (t *tx) Write(changes sqlstore.Changes) error {
	var pipeline pgx.Batch
	var writes []write
	queue := func(what string, rows int, query string, args ...any) {
		pipeline.Queue(query, args...)
		writes = append(writes, write{what, rows})
	}
	for _, call := range changes.Fresh {
		var err error
		if call.Seq, err = t.seq(); err != nil {
			return err
		}
	}
	queueMoves(queue, changes.Moved)
	queueInserts(queue, changes.Fresh)
	queueMoves(queue, changes.Booking)
	queueAnswers(queue, changes.Answers)
	queueBudgets(queue, changes.Budgets)
	queueAudit(queue, changes)
	for _, id := range changes.Freed {
		payload, err := json.Marshal(id)
		if err != nil {
			return err
		}
		queue("tell of room", -1, `SELECT pg_notify($1, $2)`, channel, string(payload))
	}
	if len(writes) == 0 {
		return nil
	}
	results := t.conn.SendBatch(t.ctx, &pipeline)
	for _, w := range writes {
		tag, err := results.Exec()
		if err == nil && w.rows >= 0 && tag.RowsAffected() != int64(w.rows) {
			err = sqlstore.MovedOn()
		}
		if err != nil {
			_ = results.Close()
			return fmt.Errorf("%s: %w", w.what, err)
		}
	}
	return results.Close()
}
