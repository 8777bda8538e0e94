package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"sync"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// known tells which calls and vendor objects are certainly not in the file,
// without reading it: nearly every call is a new one, and would pay for look-ups
// that find nothing. It may take a new one for a known one, never the reverse.
// That is sound only because no other process writes to the file.
type known struct{ calls, objects filter }

func (k *known) add(key ledger.CallKey)              { k.calls.add(callName(key)) }
func (k *known) absent(key ledger.CallKey) bool      { return k.calls.absent(callName(key)) }
func (k *known) addObject(o sqlstore.Object)         { k.objects.add(objectName(o)) }
func (k *known) absentObject(o sqlstore.Object) bool { return k.objects.absent(objectName(o)) }

// No vendor's name has a space in it.
func callName(key ledger.CallKey) string {
	return strconv.FormatInt(key.RunNo, 10) + " " + key.Vendor + " " + key.IdempotencyKey
}

func objectName(o sqlstore.Object) string { return o.Vendor + " " + o.ID }

// learn reads what the file has, from its indexes alone.
func (k *known) learn(ctx context.Context, conn *sql.Conn) error {
	if err := eachRow(ctx, conn, `SELECT run_no, vendor, idempotency_key FROM calls INDEXED BY calls_by_key`, func(rows *sql.Rows) error {
		var key ledger.CallKey
		err := rows.Scan(&key.RunNo, &key.Vendor, &key.IdempotencyKey)
		k.add(key)
		return err
	}); err != nil {
		return err
	}
	return eachRow(ctx, conn, `SELECT vendor, object FROM calls INDEXED BY calls_by_object WHERE books = 1`, func(rows *sql.Rows) error {
		var o sqlstore.Object
		err := rows.Scan(&o.Vendor, &o.ID)
		k.addObject(o)
		return err
	})
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func eachRow(ctx context.Context, on queryer, query string, do func(*sql.Rows) error) error {
	rows, err := on.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// filter is a Bloom filter that grows.
type filter struct {
	mu     sync.RWMutex
	layers []*bloom.BloomFilter // each twice as large as the one before
	room   uint                 // names that the last layer still takes
}

const (
	firstLayer   = 100_000
	maybeTooMany = 0.01 // share of new names taken for known ones, of each layer
)

func (f *filter) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room == 0 {
		f.room = firstLayer << len(f.layers)
		f.layers = append(f.layers, bloom.NewWithEstimates(f.room, maybeTooMany))
	}
	f.layers[len(f.layers)-1].AddString(name)
	f.room--
}

func (f *filter) absent(name string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, layer := range f.layers {
		if layer.TestString(name) {
			return false
		}
	}
	return true
}
