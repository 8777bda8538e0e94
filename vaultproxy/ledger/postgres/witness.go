package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// witness is a connection that does nothing but tell what became of a transaction
// whose commit was not answered.
//
// A server that crashed may have given the number of a transaction that it lost to
// another one since, which has been committed. No connection outlives a crash: what
// is told by one that was there before the transaction began is told of that very
// transaction. Where there is none, nobody knows.
type witness struct {
	mu   sync.Mutex
	conn *pgx.Conn
}

var errNoWitness = errors.New("the server may have been started anew, or no standby has confirmed it")

// present is the witness, newly connected if the last one is gone.
func (w *witness) present(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil && !w.conn.IsClosed() {
		return w.conn, nil
	}
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	w.conn = conn
	return conn, nil
}

// statusOf is "committed", "aborted" or "in progress". errNoWitness.
func (d *database) statusOf(ctx context.Context, t *tx) (status string, err error) {
	w := &d.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != t.witness || w.conn.IsClosed() {
		return "", errNoWitness
	}
	var standbys string
	err = w.conn.QueryRow(ctx, `SELECT coalesce(pg_xact_status($1::xid8), ''), current_setting('synchronous_standby_names')`, t.xid).
		Scan(&status, &standbys)
	if err != nil {
		_ = w.conn.Close(ctx)
		return "", errNoWitness
	}
	if status == "committed" && standbys != "" {
		return "", errNoWitness // it may be here alone
	}
	return status, nil
}

func (w *witness) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		_ = w.conn.Close(context.Background())
	}
}
