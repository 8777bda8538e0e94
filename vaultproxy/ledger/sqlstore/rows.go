package sqlstore

import (
	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// key reads a key, unless it is known. ledger.ErrNotFound.
func (b *Batch) key(keyID string) (*Key, error) {
	if k, ok := b.keys[keyID]; ok {
		return k, nil
	}
	k, err := ScanKey(b.tx.QueryRow(`SELECT `+KeyColumns+FromKeys+`WHERE k.key_id = $1`, keyID))
	if err != nil {
		return nil, err
	}
	b.keys[keyID] = k
	return k, nil
}

// call reads a call by its number. ledger.ErrNotFound.
func (b *Batch) call(seq int64) (*Call, error) {
	if c, ok := b.calls[seq]; ok {
		return c, nil
	}
	return b.readCall(`WHERE c.seq = $1`, seq)
}

// callOf reads the call of a key. ledger.ErrNotFound.
func (b *Batch) callOf(key ledger.CallKey) (*Call, error) {
	if c, ok := b.byKey[key]; ok {
		if c == nil {
			return nil, ledger.ErrNotFound
		}
		return c, nil
	}
	if b.store.backend.Absent(key) {
		return nil, ledger.ErrNotFound
	}
	return b.readCall(`WHERE c.run_no = $1 AND c.vendor = $2 AND c.idempotency_key = $3`, key.RunNo, key.Vendor, key.IdempotencyKey)
}

// callOfObject reads the call that books an object. ledger.ErrNotFound.
func (b *Batch) callOfObject(o Object) (*Call, error) {
	if c, ok := b.byObject[o]; ok {
		if c == nil {
			return nil, ledger.ErrNotFound
		}
		return c, nil
	}
	if b.store.backend.AbsentObject(o) {
		return nil, ledger.ErrNotFound
	}
	c, err := b.readCall(`WHERE c.vendor = $1 AND c.object = $2 AND c.books = 1`, o.Vendor, o.ID)
	if err == nil && (!c.Books || c.Object != o.ID) {
		return nil, ledger.ErrNotFound // the batch has moved it since
	}
	return c, err
}

func (b *Batch) readCall(condition string, args ...any) (*Call, error) {
	c, err := ScanCall(b.tx.QueryRow(`SELECT `+CallColumns+CallSealed+FromSealed+condition, args...), true)
	if err != nil {
		return nil, err
	}
	return b.adopt(c), nil
}

// adopt makes a row the batch's own; what it has already stays.
func (b *Batch) adopt(c *Call) *Call {
	if had, ok := b.calls[c.Seq]; ok {
		return had
	}
	b.calls[c.Seq] = c
	b.byKey[c.CallKey()] = c
	if c.Books {
		b.byObject[Object{c.Vendor, c.Object}] = c
	}
	return c
}

// insert adds a new call.
func (b *Batch) insert(c *Call) {
	c.fresh = true
	b.fresh = append(b.fresh, c)
	b.byKey[c.CallKey()] = c
}

// touch marks a call as changed.
func (b *Batch) touch(c *Call) {
	if !c.fresh && !c.dirty {
		c.dirty = true
		b.moved = append(b.moved, c)
	}
}

// unbook has a call book no object any more.
func (b *Batch) unbook(c *Call) {
	if c.Books {
		b.byObject[Object{c.Vendor, c.Object}] = nil
	}
	c.Books = false
}

func (b *Batch) bookObject(c *Call, object string) {
	b.unbook(c)
	c.Object, c.Books = object, true
	b.byObject[Object{c.Vendor, object}] = c
}
