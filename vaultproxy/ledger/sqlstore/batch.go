package sqlstore

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
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

// Now is the batch's time.
func (b *Batch) Now() time.Time { return b.now }

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

// drawing is a key's use of its budgets on a day.
type drawing struct {
	key *Key
	day string
}

// budgetsOf are the accounts that a call of this key and day draws on, the
// narrowest first. Everyone locks them the other way round.
func (b *Batch) budgetsOf(k *Key, day string) ([]*Budget, error) {
	of := drawing{k, day}
	if rows, ok := b.drawn[of]; ok {
		return rows, nil
	}
	rows, err := b.lockBudgets(k, day)
	if err != nil {
		return nil, err
	}
	slices.Reverse(rows)
	b.drawn[of] = rows
	return rows, nil
}

func (b *Batch) lockBudgets(k *Key, day string) (rows []*Budget, _ error) {
	add := func(id BudgetID, limit money.USD) error {
		row, err := b.budget(id, limit)
		rows = append(rows, row)
		return err
	}
	caps, err := b.tenantCaps(k.Tenant)
	if err != nil {
		return nil, err
	}
	for _, c := range caps {
		row, err := b.tenantBudget(k.Tenant, c, day)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	// The run's budget was made when its first key was issued; its cap is not this key's to say.
	if err := add(runBudget(k.RunNo), -1); err != nil {
		return nil, err
	}
	if k.Terms.TotalCap != nil {
		if err := add(BudgetID{ledger.ScopeKey, k.IssueID, ledger.WindowTotal}, *k.Terms.TotalCap); err != nil {
			return nil, err
		}
	}
	if k.Terms.DailyCap != nil {
		if err := add(BudgetID{ledger.ScopeKey, k.IssueID, day}, *k.Terms.DailyCap); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// BudgetsOf names them for a backend that locks ahead, without those of the
// tenant that nobody has looked up yet.
func BudgetsOf(k *Key, day string) []BudgetID {
	ids := []BudgetID{runBudget(k.RunNo)}
	if k.Terms.TotalCap != nil {
		ids = append(ids, BudgetID{ledger.ScopeKey, k.IssueID, ledger.WindowTotal})
	}
	if k.Terms.DailyCap != nil {
		ids = append(ids, BudgetID{ledger.ScopeKey, k.IssueID, day})
	}
	return ids
}

// RunBudget names the budget of a run.
func RunBudget(runNo int64) BudgetID { return runBudget(runNo) }

func runBudget(runNo int64) BudgetID {
	return BudgetID{ledger.ScopeRun, strconv.FormatInt(runNo, 10), ledger.WindowTotal}
}

// budget reads and locks an account, unless it is known, opening it with the cap if
// there is none; a negative cap means that it must exist.
func (b *Batch) budget(id BudgetID, limit money.USD) (*Budget, error) {
	if row, ok := b.budgets[id]; ok {
		return row, nil
	}
	if row, ok := b.kept[id]; ok {
		b.adoptBudget(row)
		return row, nil
	}
	row, err := b.readBudget(id)
	if errors.Is(err, ledger.ErrNotFound) && limit >= 0 {
		if _, err := b.tx.Exec(`INSERT INTO budgets (scope, owner, span, cap, allowed) VALUES ($1, $2, $3, $4, $4)
			ON CONFLICT (scope, owner, span) DO NOTHING`, id.Scope, id.Owner, id.Window, int64(limit)); err != nil {
			return nil, err
		}
		row, err = b.readBudget(id)
	}
	if err != nil {
		return nil, fmt.Errorf("budget %s/%s: %w", id.Scope, id.Window, err)
	}
	b.adoptBudget(row)
	return row, nil
}

func (b *Batch) readBudget(id BudgetID) (*Budget, error) {
	return ScanBudget(b.tx.QueryRow(`SELECT `+BudgetColumns+FromBudgets+`WHERE b.scope = $1 AND b.owner = $2 AND b.span = $3`+
		b.tx.ForUpdate(), id.Scope, id.Owner, id.Window))
}

func (b *Batch) adoptBudget(row *Budget) {
	b.budgets[row.id()] = row
	b.order = append(b.order, row)
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

func (b *Batch) audit(a ledger.AuditRow) { b.audits = append(b.audits, a) }

// bucket is the counter of a budget in which calls of a state are held.
func (row *Budget) bucket(s ledger.State) *money.USD {
	switch s {
	case ledger.Dispatched:
		return &row.InFlight
	case ledger.Committed:
		return &row.Committed
	case ledger.Unknown:
		return &row.Unknown
	case ledger.Settled:
		return &row.Settled
	default:
		return nil
	}
}

// take and put move an amount out of and into a state's counter.
func (b *Batch) take(row *Budget, s ledger.State, amount money.USD) {
	if c := row.bucket(s); c != nil {
		*c -= amount
		row.dirty = true
		b.freed[row.id()] = struct{}{} // there may be room now, or none for ever
	}
}

func (row *Budget) put(s ledger.State, amount money.USD) error {
	c := row.bucket(s)
	if c == nil {
		return nil
	}
	sum, err := money.Add(*c, amount)
	if err != nil {
		return err
	}
	*c, row.dirty = sum, true
	return nil
}

// used is settled and held together, or an overflow.
func (row *Budget) used() (money.USD, error) {
	sum := row.Settled
	for _, part := range []money.USD{row.InFlight, row.Committed, row.Unknown} {
		var err error
		if sum, err = money.Add(sum, part); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

// TenantCap is a cap that a person set for a tenant.
type TenantCap struct {
	Span string
	Cap  money.USD
}

func (c TenantCap) window(day string) string {
	if c.Span == ledger.SpanDay {
		return day
	}
	return ledger.WindowTotal
}

// tenantCaps reads the caps of a tenant, unless they are known, the total before
// the day's. The tenant's row is locked against a cap that is being set meanwhile:
// whoever sets one sums up the calls that there are.
func (b *Batch) tenantCaps(tenant string) ([]TenantCap, error) {
	if tenant == "" {
		return nil, nil
	}
	if caps, ok := b.spans[tenant]; ok {
		return caps, nil
	}
	if err := b.lockTenant(tenant, false); err != nil {
		return nil, err
	}
	rows, err := b.tx.Query(`SELECT span, cap FROM tenant_caps WHERE tenant = $1 ORDER BY span DESC`, tenant)
	if err != nil {
		return nil, err
	}
	caps, err := all(rows, scanTenantCap)
	if err != nil {
		return nil, err
	}
	b.spans[tenant] = caps
	return caps, nil
}

func (b *Batch) lockTenant(tenant string, alone bool) error {
	lock := b.tx.ForUpdate()
	if lock == "" {
		return nil
	}
	if !alone {
		lock = ` FOR SHARE`
	}
	var name string
	err := b.tx.QueryRow(`SELECT tenant FROM tenants WHERE tenant = $1`+lock, tenant).Scan(&name)
	return notFound(err)
}
