package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// attempts bounds how often a transaction is tried again that the server broke
// off for another's sake, or whose connection was lost before the commit.
const attempts = 5

// Transact runs operations in one transaction. It uses no caller's context: a
// caller that leaves must not undo the others' commit.
func (d *database) Transact(ops []*sqlstore.Op, alone bool, begin func(sqlstore.BatchConfig) *sqlstore.Batch) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.bg), d.cfg.Timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := d.try(ctx, ops, alone, begin)
		if err == nil || errors.Is(err, sqlstore.ErrCommit) || attempt == attempts || ctx.Err() != nil {
			return err
		}
		if !again(err) && !errors.Is(err, sqlstore.ErrDown) {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt*attempt) * 5 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// again reports whether the server asks to try once more.
func again(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return true
	}
	return false
}

// lost reports whether an error says that the connection or the server is gone,
// as against the statement being wrong.
func lost(conn *pgx.Conn, err error) bool {
	var refused *pgconn.PgError
	if conn.IsClosed() || !errors.As(err, &refused) {
		return conn.IsClosed() // what is no word of the server's is our own
	}
	switch refused.Code[:2] {
	case "57", "08", "53", "58": // operator intervention, connection, resources, system
		return true
	}
	return false
}

func (d *database) try(ctx context.Context, ops []*sqlstore.Op, alone bool, begin func(sqlstore.BatchConfig) *sqlstore.Batch) (err error) {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return errors.Join(sqlstore.ErrDown, err)
	}
	defer func() {
		if err != nil {
			d.giveUp(conn.Conn())
		}
		conn.Release()
	}()
	if _, err := conn.Exec(ctx, `BEGIN`); err != nil {
		return errors.Join(sqlstore.ErrDown, err)
	}
	t := &tx{ctx: ctx, conn: conn.Conn()}
	if t.witness, err = d.witness.present(ctx, d.pool); err != nil {
		return errors.Join(sqlstore.ErrDown, err)
	}
	if err := d.run(t, ops, alone, begin); err != nil {
		if lost(t.conn, err) { // and COMMIT was never sent
			err = errors.Join(sqlstore.ErrDown, err)
		}
		return err
	}
	return d.commit(ctx, conn.Conn(), t)
}

// giveUp undoes what an error left half done. A connection that cannot be rolled
// back is closed, and the pool makes a new one.
func (d *database) giveUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if conn.IsClosed() {
		return
	}
	if _, err := conn.Exec(ctx, `ROLLBACK`); err != nil {
		_ = conn.Close(ctx)
	}
}

// warning is under what a connection keeps that the server has warned on it.
const warning = "tollgate_warning"

func warned(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warning] = true
	}
}

// commit ends the transaction. If the answer is lost it asks the server what
// became of it, by the transaction's own number, and assumes nothing.
//
// A server that gives up waiting for its synchronous standby says that the
// transaction is committed, and only warns: a standby that takes over may not have it.
func (d *database) commit(ctx context.Context, conn *pgx.Conn, t *tx) error {
	said := conn.PgConn().CustomData()
	delete(said, warning)
	tag, err := conn.Exec(ctx, `COMMIT`)
	if err == nil {
		if said[warning] != nil || tag.String() != `COMMIT` {
			return sqlstore.ErrCommit
		}
		return nil
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && !lost(conn, err) {
		return err // it says itself that it did not
	}
	for t.xid != "" {
		status, asked := d.statusOf(ctx, t)
		switch {
		case asked == nil && status == "committed":
			return nil
		case asked == nil && status == "aborted":
			return errors.Join(sqlstore.ErrDown, err)
		case errors.Is(asked, errNoWitness):
			return errors.Join(sqlstore.ErrCommit, err)
		}
		select { // still in progress
		case <-time.After(20 * time.Millisecond):
			continue
		case <-ctx.Done():
		}
		break
	}
	return errors.Join(sqlstore.ErrCommit, err)
}

// run reads ahead, runs the operations and writes what they changed.
func (d *database) run(t *tx, ops []*sqlstore.Op, alone bool, begin func(sqlstore.BatchConfig) *sqlstore.Batch) error {
	w, err := d.gather(t, ops)
	if err != nil {
		return fmt.Errorf("look up what to lock: %w", err)
	}
	ahead, err := d.readAhead(t, w)
	if err != nil {
		return err
	}
	epoch := ahead.epoch
	if !ahead.alive {
		// Taken for dead: what is reserved from now on belongs to a new life.
		if err := d.newEpoch(t.ctx, epoch); err != nil {
			return err
		}
		epoch = d.currentEpoch()
	}
	b := begin(sqlstore.BatchConfig{Tx: t, Now: ahead.now, Epoch: epoch})
	b.Load(ahead.keys, ahead.budgets)
	b.LoadCaps(ahead.caps)
	b.LoadCalls(ahead.calls, w.needs)
	if err := b.Run(ops, alone); err != nil {
		return err
	}
	return b.Flush()
}
