package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"github.com/bits-and-blooms/bloom/v3"
)

// known tells which call IDs are certainly not in the file, without reading it:
// nearly every call is a new one, and would pay for a look-up that finds
// nothing. It may take a new ID for a known one, never the reverse. That is sound
// only because no other process writes to the file.
type known struct {
	mu     sync.RWMutex
	layers []*bloom.BloomFilter // each twice as large as the one before
	room   uint                 // IDs that the last layer still takes
}

const (
	firstLayer   = 100_000
	maybeTooMany = 0.01 // share of new IDs taken for known ones, of each layer
)

func (k *known) add(callID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.room == 0 {
		k.room = firstLayer << len(k.layers)
		k.layers = append(k.layers, bloom.NewWithEstimates(k.room, maybeTooMany))
	}
	k.layers[len(k.layers)-1].AddString(callID)
	k.room--
}

// absent reports that there is certainly no call of this ID.
func (k *known) absent(callID string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, layer := range k.layers {
		if layer.TestString(callID) {
			return false
		}
	}
	return true
}

// learn reads all call IDs that the file has.
func (k *known) learn(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, `SELECT call_id FROM calls`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var id sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return err
		}
		k.add(string(id))
	}
	return rows.Err()
}
