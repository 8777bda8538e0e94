package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Issue returns the live key of an issue identity, or mints one.
func (s *Store) Issue(ctx context.Context, spec ledger.KeySpec) (ledger.Key, bool, error) {
	var (
		out      ledger.Key
		minted   bool
		decision error
	)
	needs := Needs{Runs: []RunName{{spec.Tenant, spec.Run}}}
	err := s.write(ctx, needs, func(b *Batch) (err error) {
		out, minted, decision, err = b.issue(spec)
		return err
	})
	if err != nil {
		return ledger.Key{}, false, err
	}
	return out, minted, decision
}

func (b *Batch) issue(spec ledger.KeySpec) (out ledger.Key, minted bool, decision, err error) {
	// What is refused must leave no run behind, whose cap it would have fixed.
	if elsewhere, err := b.ofAnotherRun(spec); elsewhere || err != nil {
		return out, false, ledger.ErrPolicyConflict, err
	}
	run, err := b.openRun(spec)
	if err != nil {
		return out, false, nil, err
	}
	last, digest, err := b.lastKey(spec.IssueID)
	found := err == nil
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return out, false, nil, err
	}
	generation := 1
	switch {
	case found && !last.RevokedAt.IsZero() && (!spec.Renew || run.closed):
		return out, false, ledger.ErrRunRevoked, nil
	case run.closed:
		return out, false, ledger.ErrRunClosed, nil
	case found && digest != spec.Digest:
		return out, false, ledger.ErrPolicyConflict, nil
	case found && last.RevokedAt.IsZero() && b.now.Before(last.ExpiresAt):
		return last.Key, false, nil, nil
	case found:
		generation = last.Generation + 1
	}
	if asked := spec.Terms.RunCap; asked != nil && *asked != run.askedCap {
		return out, false, ledger.ErrPolicyConflict, nil
	}
	expires := spec.ExpiresAt
	if expires.IsZero() {
		expires = b.now.Add(spec.ExpiresIn)
	}
	terms, err := json.Marshal(spec.Terms)
	if err != nil {
		return out, false, nil, err
	}
	if _, err := b.tx.Exec(`
		INSERT INTO keys (key_id, issue_id, generation, run_no, vendor, phase, agent_name, terms, digest, issued_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, spec.KeyID, spec.IssueID, generation, run.no, spec.Vendor, spec.Phase,
		spec.AgentName, string(terms), spec.Digest, b.now.UnixMicro(), expires.UnixMicro()); err != nil {
		return out, false, nil, err
	}
	delete(b.keys, spec.KeyID)
	k, err := b.key(spec.KeyID)
	if err != nil {
		return out, false, nil, err
	}
	if limit := k.Terms.TotalCap; limit != nil {
		if _, err := b.budget(BudgetID{ledger.ScopeKey, k.IssueID, ledger.WindowTotal}, *limit); err != nil {
			return out, false, nil, err
		}
	}
	b.audit(keyAudit(k.Key, ledger.VerdictIssued))
	return k.Key, true, nil, nil
}

// ofAnotherRun reports whether the issue identity has keys of another run. That
// never changes, so that it takes no lock.
func (b *Batch) ofAnotherRun(spec ledger.KeySpec) (bool, error) {
	var tenant, label string
	err := notFound(b.tx.QueryRow(`SELECT r.tenant, r.label FROM keys k JOIN runs r ON r.run_no = k.run_no
		WHERE k.issue_id = $1 ORDER BY k.generation LIMIT 1`, spec.IssueID).Scan(&tenant, &label))
	if errors.Is(err, ledger.ErrNotFound) {
		return false, nil
	}
	return tenant != spec.Tenant || label != spec.Run, err
}

// lastKey is the newest generation of an issue identity. ledger.ErrNotFound.
func (b *Batch) lastKey(issueID string) (*Key, string, error) {
	var digest, keyID string
	err := b.tx.QueryRow(`SELECT key_id, digest FROM keys WHERE issue_id = $1 ORDER BY generation DESC LIMIT 1`, issueID).
		Scan(&keyID, &digest)
	if err != nil {
		return nil, "", notFound(err)
	}
	delete(b.keys, keyID) // as it stands behind the lock of its run
	k, err := b.key(keyID)
	return k, digest, err
}

// runRow is a run, and the cap that its first key asked for.
type runRow struct {
	no       int64
	closed   bool
	askedCap money.USD
}

// run reads a run behind the lock of its budget, which everyone takes before the
// run's own row. ledger.ErrNotFound.
func (b *Batch) run(tenant, label string) (runRow, error) {
	r, err := b.readRun(tenant, label)
	if err != nil || b.tx.ForUpdate() == "" {
		return r, err
	}
	if _, locked := b.budgets[runBudget(r.no)]; locked {
		return r, nil
	}
	if _, err := b.budget(runBudget(r.no), r.askedCap); err != nil {
		return r, err
	}
	return b.readRun(tenant, label)
}

func (b *Batch) readRun(tenant, label string) (runRow, error) {
	var r runRow
	var asked int64
	var closed int64
	err := b.tx.QueryRow(`SELECT run_no, asked_cap, CASE WHEN closed_at IS NULL THEN 0 ELSE 1 END FROM runs
		WHERE tenant = $1 AND label = $2`, tenant, label).Scan(&r.no, &asked, &closed)
	r.askedCap, r.closed = money.USD(asked), closed != 0
	return r, notFound(err)
}

// openRun locks the run, which is opened with its first key. That key fixes the
// run's cap: later ones draw on it and cannot move it.
func (b *Batch) openRun(spec ledger.KeySpec) (runRow, error) {
	limit := spec.Terms.EffectiveRunCap()
	if limit <= 0 {
		return runRow{}, errors.New("a run needs a cap")
	}
	if spec.Tenant != "" {
		if _, err := b.tx.Exec(`INSERT INTO tenants (tenant) VALUES ($1) ON CONFLICT (tenant) DO NOTHING`, spec.Tenant); err != nil {
			return runRow{}, err
		}
	}
	if _, err := b.tx.Exec(`INSERT INTO runs (tenant, label, asked_cap, opened_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, label) DO NOTHING`, spec.Tenant, spec.Run, int64(limit), b.now.UnixMicro()); err != nil {
		return runRow{}, err
	}
	r, err := b.run(spec.Tenant, spec.Run)
	if err != nil {
		return r, err
	}
	_, err = b.budget(runBudget(r.no), r.askedCap)
	return r, err
}

// RevokeKey revokes one key. What is in flight runs to its end and is booked.
func (s *Store) RevokeKey(ctx context.Context, keyID string) (ledger.Revocation, error) {
	return s.revoke(ctx, Needs{Keys: []KeyDay{{KeyID: keyID}}}, func(b *Batch) ([]*Key, error) {
		k, err := b.key(keyID)
		if err != nil {
			return nil, err
		}
		return []*Key{k}, nil
	})
}

// CloseRun revokes the run's keys and lets no further one be issued under it.
func (s *Store) CloseRun(ctx context.Context, tenant, run string) (ledger.Revocation, error) {
	return s.revoke(ctx, Needs{Runs: []RunName{{tenant, run}}}, func(b *Batch) ([]*Key, error) {
		r, err := b.run(tenant, run)
		if err != nil {
			return nil, err
		}
		if _, err := b.tx.Exec(`UPDATE runs SET closed_at = coalesce(closed_at, $1) WHERE run_no = $2`, b.now.UnixMicro(), r.no); err != nil {
			return nil, err
		}
		return b.selectKeys(`WHERE k.run_no = $1 ORDER BY k.issued_at, k.key_no`, r.no)
	})
}

// RevokeTenant revokes every live key of a tenant.
func (s *Store) RevokeTenant(ctx context.Context, tenant string) (ledger.Revocation, error) {
	return s.revoke(ctx, Needs{Tenants: []string{tenant}}, func(b *Batch) ([]*Key, error) {
		if err := b.tx.QueryRow(`SELECT tenant FROM tenants WHERE tenant = $1`+b.tx.ForUpdate(), tenant).Scan(&tenant); err != nil {
			return nil, notFound(err)
		}
		return b.selectKeys(`WHERE r.tenant = $1 AND k.revoked_at IS NULL AND k.expires_at > $2 ORDER BY k.run_no, k.key_no`,
			tenant, b.now.UnixMicro())
	})
}

// CloseAll closes every run, one commit each: whoever reserves meanwhile comes
// before it, or sees it.
func (s *Store) CloseAll(ctx context.Context) (closed int, err error) {
	rows, err := s.query(ctx, `SELECT tenant, label FROM runs WHERE closed_at IS NULL ORDER BY run_no`)
	if err != nil {
		return 0, err
	}
	type run struct{ tenant, label string }
	open, err := all(rows, func(row Row) (r run, err error) { err = row.Scan(&r.tenant, &r.label); return r, err })
	if err != nil {
		return 0, unavailable(err)
	}
	for _, r := range open {
		if _, err := s.CloseRun(ctx, r.tenant, r.label); err != nil {
			return closed, err
		}
		closed++
	}
	return closed, nil
}

func (b *Batch) selectKeys(condition string, args ...any) ([]*Key, error) {
	rows, err := b.tx.Query(`SELECT `+KeyColumns+FromKeys+condition, args...)
	if err != nil {
		return nil, err
	}
	return all(rows, ScanKey)
}

func (s *Store) revoke(ctx context.Context, needs Needs, which func(*Batch) ([]*Key, error)) (ledger.Revocation, error) {
	var (
		out      ledger.Revocation
		decision error
	)
	err := s.write(ctx, needs, func(b *Batch) error {
		out, decision = ledger.Revocation{At: b.now, KeyIDs: []string{}}, nil
		keys, err := which(b)
		if errors.Is(err, ledger.ErrNotFound) {
			decision = ledger.ErrNotFound
			return nil
		}
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := b.revokeOne(k, &out); err != nil {
				return err
			}
		}
		clear(b.keys) // operations behind this one in the commit must see it
		return nil
	})
	if err != nil {
		return ledger.Revocation{}, err
	}
	return out, decision
}

// revokeOne takes the lock that every reservation of the run takes: each of them
// comes before the revocation as a whole, or sees it.
func (b *Batch) revokeOne(k *Key, out *ledger.Revocation) error {
	if _, err := b.budget(runBudget(k.RunNo), -1); err != nil {
		return err
	}
	for _, id := range BudgetsOf(k, b.day) {
		b.freed[id] = struct{}{} // who waits for room must learn of it
	}
	for _, window := range []string{b.day, ledger.WindowTotal} {
		b.freed[BudgetID{ledger.ScopeTenant, k.Tenant, window}] = struct{}{}
	}
	out.KeyIDs = append(out.KeyIDs, k.ID)
	if k.RevokedAt.IsZero() {
		n, err := b.tx.Exec(`UPDATE keys SET revoked_at = $1 WHERE key_no = $2 AND revoked_at IS NULL`, b.now.UnixMicro(), k.No)
		if err != nil {
			return err
		}
		if n > 0 {
			b.audit(keyAudit(k.Key, ledger.VerdictRevoked))
		}
	} else if len(out.KeyIDs) == 1 {
		out.At = k.RevokedAt
	}
	return b.countOpen(k, out)
}

// countOpen counts what the key still has open, with what this very commit did.
func (b *Batch) countOpen(k *Key, out *ledger.Revocation) error {
	rows, err := b.tx.Query(`SELECT c.seq, c.state, c.hold FROM calls c WHERE c.key_no = $1
		AND (c.state = 'dispatched' OR c.state = 'unknown')`, k.No)
	if err != nil {
		return err
	}
	type open struct {
		seq   int64
		state string
		hold  int64
	}
	found, err := all(rows, func(row Row) (o open, err error) { err = row.Scan(&o.seq, &o.state, &o.hold); return o, err })
	if err != nil {
		return err
	}
	count := func(state ledger.State, hold money.USD) {
		switch state {
		case ledger.Dispatched:
			out.InFlight, out.InFlightUSD = out.InFlight+1, out.InFlightUSD+hold
		case ledger.Unknown:
			out.Unknown, out.UnknownUSD = out.Unknown+1, out.UnknownUSD+hold
		case ledger.Settled, ledger.Released, ledger.Committed:
		}
	}
	for _, o := range found {
		if b.calls[o.seq] == nil {
			count(ledger.State(o.state), money.USD(o.hold))
		}
	}
	for _, c := range slices.Concat(b.moved, b.fresh) {
		if c.KeyNo == k.No {
			count(c.State, c.Hold)
		}
	}
	for _, c := range b.calls {
		if c.KeyNo == k.No && !c.dirty {
			count(c.State, c.Hold)
		}
	}
	return nil
}

func keyAudit(k ledger.Key, verdict string) ledger.AuditRow {
	return ledger.AuditRow{
		Verdict: verdict, By: ledger.ByAdmin, Tenant: k.Tenant, Run: k.Run, KeyID: k.ID, Vendor: k.Vendor,
	}
}
