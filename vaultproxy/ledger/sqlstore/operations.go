package sqlstore

import (
	"maps"
	"sync"
)

// operation is what many calls have in common. Calls refer to it by number,
// which keeps their rows short.
type operation struct{ vendor, operation, method, path string }

// operations remembers the numbers; they never change.
type operations struct {
	mu sync.RWMutex
	no map[operation]int64
}

func (o *operations) get(op operation) (int64, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	no, ok := o.no[op]
	return no, ok
}

func (o *operations) learn(added map[operation]int64) {
	if len(added) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.no == nil {
		o.no = map[operation]int64{}
	}
	maps.Copy(o.no, added)
}

// operation is the number of an operation, which is added if it is new.
func (b *Batch) operation(op operation) (int64, error) {
	if no, ok := b.store.operations.get(op); ok {
		return no, nil
	}
	if no, ok := b.newOps[op]; ok {
		return no, nil
	}
	if _, err := b.tx.Exec(`INSERT INTO operations (vendor, operation, method, path) VALUES ($1, $2, $3, $4)
		ON CONFLICT (vendor, operation, method, path) DO NOTHING`, op.vendor, op.operation, op.method, op.path); err != nil {
		return 0, err
	}
	var no int64
	err := b.tx.QueryRow(`SELECT op_no FROM operations WHERE vendor = $1 AND operation = $2 AND method = $3 AND path = $4`,
		op.vendor, op.operation, op.method, op.path).Scan(&no)
	if err == nil {
		b.newOps[op] = no
	}
	return no, err
}
