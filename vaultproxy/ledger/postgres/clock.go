package postgres

import (
	"context"
	"sync"
	"time"
)

// clock is the database's clock, as last read by a transaction and carried on by
// this process's own for a moment: asking for the time must not cost every call
// a round trip.
type clock struct {
	fixed func() time.Time // of tests; nil: the database's

	mu     sync.Mutex
	theirs time.Time
	ours   time.Time
}

// trusted is for how long a reading is carried on.
const trusted = time.Second

// set notes a reading.
func (c *clock) set(theirs time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.theirs, c.ours = theirs, time.Now()
}

// read tells the time, if the last reading is fresh by the wall clock and by the
// monotonic one: they part where a machine was suspended or its clock was set.
func (c *clock) read() (time.Time, bool) {
	if c.fixed != nil {
		return c.fixed(), true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	elapsed, wall := now.Sub(c.ours), now.Round(0).Sub(c.ours.Round(0))
	if c.theirs.IsZero() || elapsed > trusted || wall > trusted || wall < 0 {
		return time.Time{}, false
	}
	return c.theirs.Add(elapsed), true
}

// microClock is the server's time in microseconds since 1970.
const microClock = `CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)`

// Now is the ledger's clock.
func (d *database) Now(ctx context.Context) (time.Time, error) {
	if now, fresh := d.clock.read(); fresh {
		return now, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	select { // one asks for all who wait
	case d.asking <- struct{}{}:
		defer func() { <-d.asking }()
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	if now, fresh := d.clock.read(); fresh {
		return now, nil
	}
	var micro int64
	if err := d.pool.QueryRow(ctx, `SELECT `+microClock).Scan(&micro); err != nil {
		return time.Time{}, err
	}
	now := time.UnixMicro(micro).UTC()
	d.clock.set(now)
	return now, nil
}
