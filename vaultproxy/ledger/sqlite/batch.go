package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// batch is one transaction in the making. Keys and budgets that it touches are
// read once, changed in memory, and written once at its end: a hot budget costs
// one update a commit, not one a call.
type batch struct {
	ctx      context.Context //nolint:containedctx // a batch is one call, told in several methods
	s        *Store
	now      time.Time
	keys     map[string]*keyRow
	budgets  map[budgetID]*budgetRow
	order    []*budgetRow
	reserved []string // call IDs, in case the commit's result gets lost
}

type keyRow struct {
	ledger.Key
	runID int64
}

type budgetID struct{ scope, owner, window string }

type budgetRow struct {
	ledger.Budget
	id      int64
	allowed money.USD
	dirty   bool
}

func newBatch(ctx context.Context, s *Store) *batch {
	return &batch{
		ctx: ctx, s: s,
		now:  s.now().UTC().Truncate(time.Microsecond), // as it is stored, so that it reads the same ever after
		keys: map[string]*keyRow{}, budgets: map[budgetID]*budgetRow{},
	}
}

// key reads a key once a batch. ledger.ErrNotFound.
func (b *batch) key(keyID string) (*keyRow, error) {
	if k, ok := b.keys[keyID]; ok {
		return k, nil
	}
	k, err := scanKey(b.s.stmts.keyByID.QueryRowContext(b.ctx, keyID))
	if err != nil {
		return nil, err
	}
	b.keys[keyID] = k
	return k, nil
}

// budgetsOf are the accounts that a call of this key and day draws on.
func (b *batch) budgetsOf(k *keyRow, day string) ([]*budgetRow, error) {
	var rows []*budgetRow
	add := func(scope, owner, window string, cap money.USD) error {
		row, err := b.budget(budgetID{scope, owner, window}, cap)
		rows = append(rows, row)
		return err
	}
	if k.Terms.DailyCap != nil {
		if err := add("key", k.IssueID, day, *k.Terms.DailyCap); err != nil {
			return nil, err
		}
	}
	if k.Terms.TotalCap != nil {
		if err := add("key", k.IssueID, ledger.WindowTotal, *k.Terms.TotalCap); err != nil {
			return nil, err
		}
	}
	// The run's budget was made when its first key was issued; its cap is not this key's to say.
	if err := add("run", strconv.FormatInt(k.runID, 10), ledger.WindowTotal, -1); err != nil {
		return nil, err
	}
	return rows, nil
}

// budget reads an account once a batch, opening it with the cap if there is
// none; a negative cap means that it must exist.
func (b *batch) budget(id budgetID, limit money.USD) (*budgetRow, error) {
	if row, ok := b.budgets[id]; ok {
		return row, nil
	}
	row := &budgetRow{Budget: ledger.Budget{Scope: id.scope, Name: id.owner, Window: id.window, Cap: limit}, allowed: limit}
	err := b.s.stmts.budget.QueryRowContext(b.ctx, id.scope, id.owner, id.window).Scan(
		&row.id, &row.Cap, &row.allowed, &row.Settled, &row.InFlight, &row.Committed, &row.Unknown, &row.Overrun)
	if errors.Is(err, sql.ErrNoRows) && limit >= 0 {
		err = b.s.stmts.openBudget.QueryRowContext(b.ctx, id.scope, id.owner, id.window, limit, limit).Scan(&row.id)
	}
	if err != nil {
		return nil, fmt.Errorf("budget %s/%s: %w", id.scope, id.window, err)
	}
	b.budgets[id] = row
	b.order = append(b.order, row)
	return row, nil
}

// flush writes the budgets that changed. The table's CHECKs hold every one of
// them to its cap once more.
func (b *batch) flush() error {
	for _, row := range b.order {
		if !row.dirty {
			continue
		}
		if _, err := b.s.stmts.updateBudget.ExecContext(b.ctx, row.allowed, row.Settled, row.InFlight,
			row.Committed, row.Unknown, row.Overrun, row.id); err != nil {
			return fmt.Errorf("book on %s budget: %w", row.Kind(), err)
		}
		row.dirty = false
	}
	return nil
}

// bucket is the counter of a budget in which calls of a state are held.
func (row *budgetRow) bucket(s ledger.State) *money.USD {
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
func (row *budgetRow) take(s ledger.State, amount money.USD) {
	if c := row.bucket(s); c != nil {
		*c -= amount
		row.dirty = true
	}
}

func (row *budgetRow) put(s ledger.State, amount money.USD) error {
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
func (row *budgetRow) used() (money.USD, error) {
	sum := row.Settled
	for _, part := range []money.USD{row.InFlight, row.Committed, row.Unknown} {
		var err error
		if sum, err = money.Add(sum, part); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

func (b *batch) audit(a ledger.AuditRow) error {
	_, err := b.s.stmts.audit.ExecContext(b.ctx, b.now.UnixMicro(), a.Verdict, a.Code, a.By, a.Tenant, a.Run, a.KeyID,
		a.CallID, a.Item, a.WorkflowID, a.Vendor, a.Method, a.Path, a.IdempotencyKey, a.Status, int64(a.Price),
		int64(a.Amount), a.Object, a.Duration.Microseconds())
	return err
}

type scanner interface{ Scan(...any) error }

func scanKey(row scanner) (*keyRow, error) {
	var (
		k               keyRow
		terms           string
		issued, expires int64
		revoked, closed sql.NullInt64
	)
	err := row.Scan(&k.ID, &k.IssueID, &k.Generation, &k.runID, &k.Tenant, &k.Run, &closed, &k.Vendor, &k.Phase,
		&k.AgentName, &terms, &issued, &expires, &revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ledger.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(terms), &k.Terms); err != nil {
		return nil, fmt.Errorf("terms of key %s: %w", k.ID, err)
	}
	k.IssuedAt, k.ExpiresAt = fromMicro(issued), fromMicro(expires)
	k.RunClosed = closed.Valid
	if revoked.Valid {
		k.RevokedAt = fromMicro(revoked.Int64)
	}
	return &k, nil
}

// A zero time is stored as 0.
func toMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
