package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// newEpoch begins a life of this process after the last one, unless somebody else
// in it was faster: what belongs to a life that nobody renews is taken for lost.
func (d *database) newEpoch(ctx context.Context, last int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoch != last {
		return nil
	}
	now, err := d.Now(ctx)
	if err != nil {
		return err
	}
	var epoch int64
	if err := d.pool.QueryRow(ctx, `INSERT INTO owners (started_at, lease_until) VALUES ($1, $2) RETURNING epoch`,
		now.UnixMicro(), now.Add(d.cfg.Lease).UnixMicro()).Scan(&epoch); err != nil {
		return err
	}
	d.epoch = epoch
	return nil
}

func (d *database) currentEpoch() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.epoch
}

// endEpoch leaves what is still in flight to the others.
func (d *database) endEpoch() error {
	epoch := d.currentEpoch()
	if epoch == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Timeout)
	defer cancel()
	now, err := d.Now(ctx)
	if err != nil {
		return nil // the lease ends by itself
	}
	_, _ = d.pool.Exec(ctx, `UPDATE owners SET ended_at = $2 WHERE epoch = $1 AND ended_at IS NULL`, epoch, now.UnixMicro())
	return nil
}

// keepLease renews the lease, and takes care of those that are over.
func (d *database) keepLease() {
	tick := time.NewTicker(max(d.cfg.Lease/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.bg.Done():
			return
		}
		ctx, cancel := context.WithTimeout(d.bg, d.cfg.Timeout)
		if err := d.renewLease(ctx); err == nil {
			_ = d.adoptOrphans(ctx) // what failed is tried again at the next tick
		}
		cancel()
	}
}

// renewLease fails softly: a process that was taken for dead begins a new life.
// What it still has in flight of the old one is unknown by now, and is moved by
// what it learns of it all the same.
func (d *database) renewLease(ctx context.Context) error {
	now, err := d.Now(ctx)
	if err != nil {
		return err
	}
	epoch := d.currentEpoch()
	tag, err := d.pool.Exec(ctx, `UPDATE owners SET lease_until = $2 WHERE epoch = $1 AND ended_at IS NULL`,
		epoch, now.Add(d.cfg.Lease).UnixMicro())
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return d.newEpoch(ctx, epoch)
	}
	return nil
}

// orphansAtOnce bounds one commit; the rest follows in the next one.
const orphansAtOnce = 500

// adoptOrphans ends the lives whose lease is over, and turns what ended lives
// left in flight into unknown. It looks at ended ones every time: a transaction
// that stood still for longer than a lease may have committed since.
func (d *database) adoptOrphans(ctx context.Context) error {
	now, err := d.Now(ctx)
	if err != nil {
		return err
	}
	if _, err := d.pool.Exec(ctx, `UPDATE owners SET ended_at = $2 WHERE ended_at IS NULL AND lease_until <= $2 AND epoch <> $1`,
		d.currentEpoch(), now.UnixMicro()); err != nil {
		return err
	}
	for last := int64(0); ; { // one that cannot be moved is passed over
		rows, err := d.pool.Query(ctx, `SELECT c.seq FROM calls c JOIN owners o ON o.epoch = c.epoch
			WHERE c.state = 'dispatched' AND o.ended_at IS NOT NULL AND c.seq > $2 ORDER BY c.seq LIMIT $1`, orphansAtOnce, last)
		if err != nil {
			return err
		}
		seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(seqs) == 0 {
			return err
		}
		if err := d.store.Orphan(ctx, seqs); err != nil {
			return err
		}
		last = seqs[len(seqs)-1]
	}
}

// listen passes on what other processes say of room that they made.
func (d *database) listen() {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := d.listenOnce(func() { wait = 100 * time.Millisecond })
		if errors.Is(err, context.Canceled) || d.bg.Err() != nil {
			return
		}
		select {
		case <-time.After(wait):
		case <-d.bg.Done():
			return
		}
	}
}

func (d *database) listenOnce(connected func()) error {
	conn, err := d.pool.Acquire(d.bg)
	if err != nil {
		return err
	}
	// A connection that listens is of no use to others.
	defer func() { _ = conn.Hijack().Close(context.WithoutCancel(d.bg)) }()
	if _, err := conn.Exec(d.bg, `LISTEN `+channel); err != nil {
		return err
	}
	connected()
	for {
		n, err := conn.Conn().WaitForNotification(d.bg)
		if err != nil {
			return err
		}
		if id, ok := freedBudget(n.Payload); ok {
			d.store.Freed(id)
		}
	}
}
