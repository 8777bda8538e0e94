package postgres

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// wanted is what the operations of a transaction will read.
type wanted struct {
	keys    []string
	tenants []string
	alone   bool     // the tenants are locked against everybody
	days    []string // and windows, in which tenants are drawn on
	budgets []sqlstore.BudgetID
	needs   sqlstore.Needs
	fresh   int

	seen map[any]bool // keys by their IDs, and budgets
}

func (w *wanted) key(keyID string) {
	if !w.seen[keyID] {
		w.seen[keyID] = true
		w.keys = append(w.keys, keyID)
	}
}

func (w *wanted) tenant(name string) {
	if name != "" && !slices.Contains(w.tenants, name) {
		w.tenants = append(w.tenants, name)
	}
}

func (w *wanted) budget(id sqlstore.BudgetID) {
	if !w.seen[id] {
		w.seen[id] = true
		w.budgets = append(w.budgets, id)
	}
}

// gather adds up what operations need. What they name by something else than its
// budgets is looked up, without a lock and for what never changes of it: budgets
// have to be locked first, and all at once.
func (d *database) gather(t *tx, ops []*sqlstore.Op) (wanted, error) {
	w := wanted{seen: map[any]bool{}}
	today := time.Now().UTC().Format(time.DateOnly) // a guess: a budget that is not loaded ahead is read when it is needed
	if now, ok := d.clock.read(); ok {
		today = now.UTC().Format(time.DateOnly)
	}
	var uses []sqlstore.KeyDay
	for _, o := range ops {
		n := o.Needs
		uses = append(uses, n.Keys...)
		w.needs.Calls = append(w.needs.Calls, n.Calls...)
		w.needs.Seqs = append(w.needs.Seqs, n.Seqs...)
		w.needs.Objects = append(w.needs.Objects, n.Objects...)
		w.needs.Locks = append(w.needs.Locks, n.Locks...)
		w.needs.Runs = append(w.needs.Runs, n.Runs...)
		w.needs.RunNos = append(w.needs.RunNos, n.RunNos...)
		w.fresh += n.Fresh
		for _, tenant := range n.Tenants {
			w.tenant(tenant)
			w.alone = true
		}
	}
	w.days = []string{ledger.WindowTotal, today}
	found, err := t.keysOfCalls(w.needs.Locks)
	if err != nil {
		return w, err
	}
	seen := map[sqlstore.KeyDay]bool{}
	for _, use := range append(uses, found...) {
		if use.Day == "" {
			use.Day = today
		}
		if seen[use] {
			continue
		}
		seen[use] = true
		k, err := d.factOf(t, use.KeyID)
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return w, err
		}
		w.key(k.ID)
		if !slices.Contains(w.days, use.Day) {
			w.days = append(w.days, use.Day)
		}
		w.tenant(k.Tenant)
		for _, id := range sqlstore.BudgetsOf(k, use.Day) {
			w.budget(id)
		}
	}
	runs, err := t.numbersOfRuns(w.needs.Runs)
	for _, no := range append(runs, w.needs.RunNos...) {
		w.budget(sqlstore.RunBudget(no))
	}
	return w, err
}

func (d *database) factOf(t *tx, keyID string) (*sqlstore.Key, error) {
	if f := d.facts.get(keyID); f != nil {
		return &f.key, nil
	}
	k, err := sqlstore.ScanKey(t.QueryRow(`SELECT `+sqlstore.KeyColumns+sqlstore.FromKeys+`WHERE k.key_id = $1`, keyID))
	if err == nil {
		d.facts.put(k)
	}
	return k, err
}

// keysOfCalls are the keys and days whose budgets calls are booked on.
func (t *tx) keysOfCalls(seqs []int64) ([]sqlstore.KeyDay, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	rows, err := t.conn.Query(t.ctx, `SELECT DISTINCT k.key_id, c.reserved_at / 86400000000 FROM calls c
		JOIN keys k ON k.key_no = c.key_no WHERE c.seq = ANY($1)`, seqs)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (use sqlstore.KeyDay, err error) {
		var day int64
		err = row.Scan(&use.KeyID, &day)
		use.Day = time.Unix(day*86400, 0).UTC().Format(time.DateOnly)
		return use, err
	})
}

// numbersOfRuns leaves out those that are not there yet.
func (t *tx) numbersOfRuns(names []sqlstore.RunName) ([]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var tenants, labels []string
	for _, n := range names {
		tenants, labels = append(tenants, n.Tenant), append(labels, n.Label)
	}
	rows, err := t.conn.Query(t.ctx, `SELECT (SELECT r.run_no FROM runs r WHERE r.tenant = n.tenant AND r.label = n.label)
		FROM unnest($1::text[], $2::text[]) AS n (tenant, label)`, tenants, labels)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[*int64])
	var numbers []int64
	for _, no := range found {
		if no != nil {
			numbers = append(numbers, *no)
		}
	}
	return numbers, err
}

// ahead is what was read before the operations run.
type ahead struct {
	now     time.Time
	epoch   int64
	alive   bool // it has not been ended by others
	keys    []*sqlstore.Key
	budgets []*sqlstore.Budget
	caps    map[string][]sqlstore.TenantCap
	calls   []*sqlstore.Call
}

const (
	lockTenants = `SELECT tenant FROM tenants WHERE tenant = ANY($1) ORDER BY tenant `
	readCaps    = `SELECT tenant, span, cap FROM tenant_caps WHERE tenant = ANY($1) ORDER BY tenant, span DESC`
	readKeys    = `SELECT ` + sqlstore.KeyColumns + sqlstore.FromKeys + `WHERE k.key_id = ANY($1)`
	readOwner   = `SELECT ` + microClock + `, pg_current_xact_id()::text, EXISTS (SELECT 1 FROM owners WHERE epoch = $1 AND ended_at IS NULL),
		ARRAY(SELECT nextval('calls_seq') FROM generate_series(1, $2))`

	// The order is that in which everyone locks: tenant, run, key. Each is looked up
	// by itself in the index: there are many budgets of other runs.
	lockBudgets = `SELECT ` + sqlstore.BudgetColumns + sqlstore.FromBudgets + `
		WHERE b.budget_no = ANY(ARRAY(SELECT (SELECT x.budget_no FROM budgets x
			WHERE x.scope = n.scope AND x.owner = n.owner AND x.span = n.span)
			FROM unnest($1::text[], $2::text[], $3::text[]) AS n (scope, owner, span)))
		ORDER BY b.scope DESC, b.budget_no FOR NO KEY UPDATE`

	sealedCalls = `SELECT ` + sqlstore.CallColumns + sqlstore.CallSealed + sqlstore.FromSealed
	// Keys and objects are looked up one by one in their index: joined with other tables, a
	// planner without statistics goes through all calls of the run, for each key.
	callsByKey = sealedCalls + `WHERE c.seq = ANY(ARRAY(SELECT (SELECT x.seq FROM calls x
		WHERE x.run_no = n.run_no AND x.vendor = n.vendor AND x.idempotency_key = n.idempotency_key)
		FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (run_no, vendor, idempotency_key)))`
	callsBySeq    = sealedCalls + `WHERE c.seq = ANY($1)`
	callsByObject = sealedCalls + `WHERE c.seq = ANY(ARRAY(SELECT (SELECT x.seq FROM calls x
		WHERE x.vendor = n.vendor AND x.object = n.object AND x.books = 1)
		FROM unnest($1::text[], $2::text[]) AS n (vendor, object)))`
)

// readAhead locks the budgets, and reads behind the locks, in one round trip.
func (d *database) readAhead(t *tx, w wanted) (ahead, error) {
	out := ahead{epoch: d.currentEpoch(), caps: map[string][]sqlstore.TenantCap{}}
	var pipeline pgx.Batch
	for _, tenant := range w.tenants {
		out.caps[tenant] = nil
	}
	if len(w.tenants) > 0 {
		how := `FOR SHARE`
		if w.alone {
			how = `FOR NO KEY UPDATE` // all of them: locked in two parts, they would be out of order
		}
		pipeline.Queue(lockTenants+how, w.tenants)
	}
	for _, tenant := range w.tenants {
		for _, day := range w.days {
			w.budget(sqlstore.BudgetID{Scope: ledger.ScopeTenant, Owner: tenant, Window: day})
		}
	}
	if len(w.budgets) > 0 {
		var scopes, owners, spans []string
		for _, id := range w.budgets {
			scopes, owners, spans = append(scopes, id.Scope), append(owners, id.Owner), append(spans, id.Window)
		}
		pipeline.Queue(lockBudgets, scopes, owners, spans).Query(func(rows pgx.Rows) error {
			return collect(rows, &out.budgets, sqlstore.ScanBudget)
		})
	}
	pipeline.Queue(readOwner, out.epoch, w.fresh).QueryRow(func(row pgx.Row) error {
		var micro int64
		if err := row.Scan(&micro, &t.xid, &out.alive, &t.seqs); err != nil {
			return err
		}
		out.now = time.UnixMicro(micro).UTC()
		return nil
	})
	if len(w.tenants) > 0 {
		pipeline.Queue(readCaps, w.tenants).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var tenant string
				var c sqlstore.TenantCap
				if err := rows.Scan(&tenant, &c.Span, &c.Cap); err != nil {
					return err
				}
				out.caps[tenant] = append(out.caps[tenant], c)
			}
			return rows.Err()
		})
	}
	if len(w.keys) > 0 {
		pipeline.Queue(readKeys, w.keys).Query(func(rows pgx.Rows) error { return collect(rows, &out.keys, sqlstore.ScanKey) })
	}
	d.queueCalls(&pipeline, w.needs, &out)
	if err := t.conn.SendBatch(t.ctx, &pipeline).Close(); err != nil {
		return out, fmt.Errorf("read ahead: %w", err)
	}
	if d.cfg.Now != nil {
		out.now = d.cfg.Now()
	} else {
		d.clock.set(out.now)
	}
	return out, nil
}

func (*database) queueCalls(pipeline *pgx.Batch, needs sqlstore.Needs, out *ahead) {
	into := func(rows pgx.Rows) error {
		return collect(rows, &out.calls, func(row sqlstore.Row) (*sqlstore.Call, error) { return sqlstore.ScanCall(row, true) })
	}
	if len(needs.Calls) > 0 {
		var runs []int64
		var vendors, keys []string
		for _, k := range needs.Calls {
			runs, vendors, keys = append(runs, k.RunNo), append(vendors, k.Vendor), append(keys, k.IdempotencyKey)
		}
		pipeline.Queue(callsByKey, runs, vendors, keys).Query(into)
	}
	if len(needs.Seqs) > 0 {
		pipeline.Queue(callsBySeq, needs.Seqs).Query(into)
	}
	if len(needs.Objects) > 0 {
		var vendors, objects []string
		for _, o := range needs.Objects {
			vendors, objects = append(vendors, o.Vendor), append(objects, o.ID)
		}
		pipeline.Queue(callsByObject, vendors, objects).Query(into)
	}
}

func collect[T any](rows pgx.Rows, into *[]T, scan func(sqlstore.Row) (T, error)) error {
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return err
		}
		*into = append(*into, one)
	}
	return rows.Err()
}
