package sqlstore

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

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
