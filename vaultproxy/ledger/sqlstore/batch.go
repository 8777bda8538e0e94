package sqlstore

import (
	"maps"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// Batch is one transaction in the making. Rows that it touches are read once,
// changed in memory, and written once at its end: a hot budget costs one update
// a commit, not one a call.
type Batch struct {
	tx    Tx
	now   time.Time
	epoch int64
	store *shared
	again bool   // the operation is run alone, after the batch that it was in failed
	day   string // of now, in UTC

	*memory       // what was known before; a budget that is kept becomes the batch's own when it is used
	unseen   bool // somebody else had the transaction in hand
	budgets  map[BudgetID]*Budget
	drawn    map[drawing][]*Budget
	calls    map[int64]*Call
	byKey    map[ledger.CallKey]*Call // nil: there is none
	byObject map[Object]*Call         // nil: nobody books it
	newOps   map[operation]int64

	fresh   []*Call
	moved   []*Call
	answers []*Call
	order   []*Budget
	audits  []ledger.AuditRow
	freed   map[BudgetID]struct{}

	reserved []suspect // in case the commit's result gets lost
}

// shared is what batches of a store have in common.
type shared struct {
	queue      *queue
	operations *operations
	backend    Backend
	memory     *memory // nil while a batch has it; touched by the commit loop only
	marks      bool    // other processes wait for room too: mark the budgets that somebody waits for
}

// BatchConfig is what a backend knows when it begins a transaction.
type BatchConfig struct {
	Tx    Tx
	Now   time.Time // the ledger's clock
	Epoch int64     // of the process that owns what is reserved
}

// newBatch begins a batch. Times are stored in microseconds; its clock is cut to
// them, so that what is written reads the same ever after.
func (s *Store) newBatch(cfg BatchConfig) *Batch {
	now := cfg.Now.UTC().Truncate(time.Microsecond)
	b := &Batch{
		tx: cfg.Tx, now: now, day: now.Format(time.DateOnly), epoch: cfg.Epoch, store: &s.shared,
		budgets: map[BudgetID]*Budget{}, drawn: map[drawing][]*Budget{}, calls: map[int64]*Call{},
		byKey: map[ledger.CallKey]*Call{}, byObject: map[Object]*Call{}, newOps: map[operation]int64{},
		freed: map[BudgetID]struct{}{},
	}
	if s.backend.Shared() {
		b.memory = newMemory()
	} else {
		b.memory = s.lend()
	}
	return b
}

// Run runs operations. Alone tells that one is run by itself.
func (b *Batch) Run(ops []*Op, alone bool) error {
	b.again = alone
	for _, o := range ops {
		if err := o.Run(b); err != nil {
			return err
		}
	}
	return nil
}

// Flush writes what has changed since the last one.
func (b *Batch) Flush() error {
	if err := b.tx.Write(b.changes()); err != nil {
		return err
	}
	for _, c := range b.fresh {
		b.calls[c.Seq] = c
		c.fresh = false
		c.remember()
	}
	for _, c := range b.moved {
		c.dirty, c.reopened = false, false
		c.remember()
	}
	for _, c := range b.answers {
		c.newAnswer = false
	}
	for _, row := range b.order {
		row.dirty = false
	}
	b.fresh, b.moved, b.answers, b.audits = nil, nil, nil, nil
	return nil
}

func (b *Batch) changes() Changes {
	c := Changes{Fresh: b.fresh, Answers: b.answers, Audit: b.audits, At: b.now}
	for _, call := range b.moved {
		if call.Books {
			c.Booking = append(c.Booking, call)
		} else {
			c.Moved = append(c.Moved, call)
		}
	}
	for _, row := range b.order {
		if row.dirty {
			c.Budgets = append(c.Budgets, row)
		}
		if _, freed := b.freed[row.id()]; freed && row.ContendedUntil.After(b.now) {
			c.Freed = append(c.Freed, row.id())
		}
	}
	return c
}

// committed tells the store that the batch is durable.
func (b *Batch) committed() {
	b.store.operations.learn(b.newOps)
	b.store.giveBack(b)
	for id := range b.freed {
		b.store.queue.wake(id)
	}
}

// Load takes rows that a backend has read, and locked, beforehand.
func (b *Batch) Load(keys []*Key, budgets []*Budget) {
	for _, k := range keys {
		b.keys[k.ID] = k
	}
	for _, row := range budgets {
		b.adoptBudget(row)
	}
}

// LoadCaps takes the caps of tenants whose rows are locked, nil for one that has none.
func (b *Batch) LoadCaps(caps map[string][]TenantCap) { maps.Copy(b.spans, caps) }

// LoadCalls takes calls that were read after the budgets were locked. Of what was
// asked for, everything that is not among them does not exist.
func (b *Batch) LoadCalls(calls []*Call, asked Needs) {
	for _, c := range calls {
		b.adopt(c)
	}
	for _, key := range asked.Calls {
		if _, ok := b.byKey[key]; !ok {
			b.byKey[key] = nil
		}
	}
	for _, o := range asked.Objects {
		if _, ok := b.byObject[o]; !ok {
			b.byObject[o] = nil
		}
	}
}

func (b *Batch) audit(a ledger.AuditRow) { b.audits = append(b.audits, a) }
