package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// SetCap changes a cap, and says so in the audit log.
func (s *Store) SetCap(ctx context.Context, change ledger.CapChange) (ledger.Budget, error) {
	if change.Cap < 0 || (change.Span != ledger.SpanDay && change.Span != ledger.SpanTotal) {
		return ledger.Budget{}, errors.New("set cap: the cap is negative or its span is not known")
	}
	var (
		out      ledger.Budget
		decision error
	)
	needs := Needs{Tenants: []string{change.Tenant}}
	if change.Scope == ledger.ScopeRun {
		needs = Needs{Runs: []RunName{{change.Tenant, change.Name}}}
	}
	err := s.write(ctx, needs, func(b *Batch) (err error) {
		out, err = b.setCap(change)
		decision = nil
		if errors.Is(err, ledger.ErrNotFound) {
			decision, err = ledger.ErrNotFound, nil
		}
		return err
	})
	if err != nil {
		return ledger.Budget{}, err
	}
	return out, decision
}

func (b *Batch) setCap(change ledger.CapChange) (ledger.Budget, error) {
	var row *Budget
	var err error
	var before money.USD
	note := change.Note
	switch change.Scope {
	case ledger.ScopeRun:
		var r runRow
		if r, err = b.run(change.Tenant, change.Name); err != nil {
			return ledger.Budget{}, err
		}
		if row, err = b.budget(runBudget(r.no), -1); err == nil {
			before = row.Cap
		}
	case ledger.ScopeTenant:
		row, before, err = b.setTenantCap(change)
	default:
		err = ledger.ErrNotFound
	}
	if err != nil {
		return ledger.Budget{}, err
	}
	used, err := row.used()
	if err != nil {
		return ledger.Budget{}, err
	}
	row.Cap, row.Allowed, row.dirty = change.Cap, max(change.Cap, used), true
	row.Lowered = max(0, row.Allowed-row.Cap-row.Overrun)
	b.freed[row.id()] = struct{}{}
	b.audit(ledger.AuditRow{
		Verdict: ledger.VerdictCapSet, Code: change.Scope + "/" + change.Span, By: ledger.ByPerson, Tenant: change.Tenant,
		Run: change.Name, Price: before, Amount: change.Cap, Who: change.Who, Note: note,
	})
	out := row.Budget
	if change.Scope == ledger.ScopeRun {
		out.Name, out.Tenant = change.Name, change.Tenant
	}
	return out, nil
}

// setTenantCap opens the budget with what the tenant's calls use already.
func (b *Batch) setTenantCap(change ledger.CapChange) (*Budget, money.USD, error) {
	if _, err := b.tx.Exec(`INSERT INTO tenants (tenant) VALUES ($1) ON CONFLICT (tenant) DO NOTHING`, change.Tenant); err != nil {
		return nil, 0, err
	}
	if err := b.lockTenant(change.Tenant, true); err != nil {
		return nil, 0, err
	}
	c := TenantCap{Span: change.Span, Cap: change.Cap}
	var before int64
	err := notFound(b.tx.QueryRow(`SELECT cap FROM tenant_caps WHERE tenant = $1 AND span = $2`, change.Tenant, change.Span).Scan(&before))
	opened := errors.Is(err, ledger.ErrNotFound)
	if err != nil && !opened {
		return nil, 0, err
	}
	if _, err := b.tx.Exec(`INSERT INTO tenant_caps (tenant, span, cap) VALUES ($1, $2, $3)
		ON CONFLICT (tenant, span) DO UPDATE SET cap = excluded.cap`, change.Tenant, change.Span, int64(change.Cap)); err != nil {
		return nil, 0, err
	}
	delete(b.spans, change.Tenant)
	clear(b.drawn)
	if err := b.Flush(); err != nil { // the sums are taken from the tables
		return nil, 0, err
	}
	row, err := b.budget(BudgetID{ledger.ScopeTenant, change.Tenant, c.window(b.day)}, change.Cap)
	if err != nil || !opened {
		return row, money.USD(before), err
	}
	used, err := b.spent(change.Tenant, c.window(b.day))
	if err != nil {
		return nil, 0, err
	}
	err = row.fill(used)
	return row, 0, err
}

// tenantBudget is a tenant's budget of a day, or its total. That of an earlier day
// may not have been opened yet: the cap was set after its calls, which are booked
// on it from now on.
func (b *Batch) tenantBudget(tenant string, c TenantCap, day string) (*Budget, error) {
	id := BudgetID{ledger.ScopeTenant, tenant, c.window(day)}
	if id.Window == ledger.WindowTotal || day == b.day || b.budgets[id] != nil || b.kept[id] != nil {
		return b.budget(id, c.Cap)
	}
	row, err := b.readBudget(id)
	if err == nil {
		b.adoptBudget(row)
	}
	if !errors.Is(err, ledger.ErrNotFound) {
		return row, err
	}
	if err := b.Flush(); err != nil { // the sums are taken from the tables
		return nil, err
	}
	// Summed up behind the lock: somebody else may just have opened it, and moved a
	// call of that day.
	if row, err = b.budget(id, c.Cap); err != nil {
		return nil, err
	}
	used, err := b.spent(tenant, id.Window)
	if err != nil {
		return nil, err
	}
	err = row.fill(used)
	return row, err
}

// fill opens a budget with what is used already. That stays, whatever the cap.
func (row *Budget) fill(used ledger.Budget) error {
	row.Settled, row.InFlight, row.Committed, row.Unknown = used.Settled, used.InFlight, used.Committed, used.Unknown
	sum, err := row.used()
	row.Allowed, row.dirty = max(row.Cap, sum), true
	row.Lowered = max(0, row.Allowed-row.Cap-row.Overrun)
	return err
}

// spent sums up the calls of a tenant, those that were pruned included. It is one
// statement: between two, a call may be pruned, and would count twice.
func (b *Batch) spent(tenant, window string) (sum ledger.Budget, err error) {
	condition, pruned, args := `r.tenant = $1`, `p.tenant = $1`, []any{tenant}
	if window != ledger.WindowTotal {
		from, to := dayBounds(window)
		condition += ` AND c.reserved_at >= $2 AND c.reserved_at < $3`
		pruned += ` AND d.day_no = $4`
		args = append(args, from, to, from/86_400_000_000)
	}
	var n [4]int64
	var gone int64
	err = b.tx.QueryRow(`SELECT `+sumsByState+`, (SELECT CAST(coalesce(sum(d.settled), 0) AS BIGINT)
			FROM daily_totals d JOIN runs p ON p.run_no = d.run_no WHERE `+pruned+`)
		FROM calls c JOIN runs r ON r.run_no = c.run_no WHERE `+condition, args...).Scan(&n[0], &n[1], &n[2], &n[3], &gone)
	sum.Settled, sum.InFlight = money.USD(n[0]+gone), money.USD(n[1])
	sum.Committed, sum.Unknown = money.USD(n[2]), money.USD(n[3])
	return sum, err
}

// sumsByState are what calls settled, and hold in flight, committed and unknown.
const sumsByState = `CAST(coalesce(sum(c.amount), 0) AS BIGINT),
	CAST(coalesce(sum(CASE WHEN c.state = 'dispatched' THEN c.hold END), 0) AS BIGINT),
	CAST(coalesce(sum(CASE WHEN c.state = 'committed' THEN c.hold END), 0) AS BIGINT),
	CAST(coalesce(sum(CASE WHEN c.state = 'unknown' THEN c.hold END), 0) AS BIGINT)`

// dayBounds are the first microsecond of a UTC day and of the next one.
func dayBounds(day string) (from, to int64) {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return 0, 0
	}
	return at.UnixMicro(), at.AddDate(0, 0, 1).UnixMicro()
}

// Budgets lists the budgets of runs and tenants.
func (s *Store) Budgets(ctx context.Context, f ledger.BudgetFilter) ([]ledger.Budget, error) {
	var w where
	w.terms = append(w.terms, `(b.scope = 'run' OR b.scope = 'tenant')`)
	w.and(f.Scope != "", "b.scope = ", f.Scope)
	w.and(f.Name != "", "coalesce(r.label, b.owner) = ", f.Name)
	w.and(f.Tenant != "", "coalesce(r.tenant, b.owner) = ", f.Tenant)
	rows, err := s.query(ctx, `SELECT `+BudgetColumns+`, coalesce(r.label, b.owner), coalesce(r.tenant, '')`+FromBudgets+`
		LEFT JOIN runs r ON r.run_no = CASE WHEN b.scope = 'run' THEN CAST(b.owner AS BIGINT) END`+w.String()+` ORDER BY b.budget_no DESC`+
		w.limit(f.Limit), w.args...)
	if err != nil {
		return nil, err
	}
	found, err := all(rows, func(row Row) (ledger.Budget, error) {
		var name, tenant string
		b, err := ScanBudget(extra{row, []any{&name, &tenant}})
		if err != nil {
			return ledger.Budget{}, err
		}
		b.Name, b.Tenant = name, tenant
		return b.Budget, nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return found, nil
}

// extra reads further columns behind those that a scan knows.
type extra struct {
	Row
	more []any
}

func (e extra) Scan(dest ...any) error { return e.Row.Scan(append(dest, e.more...)...) }

// where collects conditions and their arguments.
type where struct {
	terms []string
	args  []any
}

func (w *where) and(use bool, term string, arg any) {
	if use {
		w.args = append(w.args, arg)
		w.terms = append(w.terms, term+"$"+strconv.Itoa(len(w.args)))
	}
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// limit is a LIMIT that zero does not narrow.
func (*where) limit(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d", n)
}
