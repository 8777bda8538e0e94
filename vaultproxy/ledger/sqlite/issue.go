package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"

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
	err := s.write(ctx, func(b *batch) (err error) {
		out, minted, decision, err = b.issue(spec)
		return err
	})
	if err != nil {
		return ledger.Key{}, false, err
	}
	return out, minted, decision
}

func (b *batch) issue(spec ledger.KeySpec) (out ledger.Key, minted bool, decision, err error) {
	last, digest, found, err := b.lastKey(spec.IssueID)
	if err != nil {
		return out, false, nil, err
	}
	runID, closed, err := b.run(spec.Tenant, spec.Run)
	if err != nil {
		return out, false, nil, err
	}
	generation := 1
	switch {
	case found && !last.RevokedAt.IsZero():
		return out, false, ledger.ErrRunRevoked, nil
	case closed:
		return out, false, ledger.ErrRunClosed, nil
	case found && digest != spec.Digest:
		return out, false, ledger.ErrPolicyConflict, nil
	case found && b.now.Before(last.ExpiresAt):
		return last.Key, false, nil, nil
	case found:
		generation = last.Generation + 1
	}
	expires := spec.ExpiresAt
	if expires.IsZero() {
		expires = b.now.Add(spec.ExpiresIn)
	}
	if runID == 0 {
		if runID, err = b.openRun(spec); err != nil {
			return out, false, nil, err
		}
	} else if fits, err := b.runCapFits(runID, spec.Terms.RunCap); err != nil || !fits {
		return out, false, ledger.ErrPolicyConflict, err
	}
	terms, err := json.Marshal(spec.Terms)
	if err != nil {
		return out, false, nil, err
	}
	if _, err := b.s.conn.ExecContext(b.ctx, `
		INSERT INTO keys (key_id, issue_id, generation, run_id, vendor, phase, agent_name, terms, digest, issued_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, spec.KeyID, spec.IssueID, generation, runID, spec.Vendor, spec.Phase,
		spec.AgentName, string(terms), spec.Digest, b.now.UnixMicro(), expires.UnixMicro()); err != nil {
		return out, false, nil, err
	}
	k, err := b.key(spec.KeyID)
	if err != nil {
		return out, false, nil, err
	}
	if err := b.openKeyTotal(k); err != nil {
		return out, false, nil, err
	}
	return k.Key, true, nil, b.audit(keyAudit(k.Key, ledger.VerdictIssued))
}

// lastKey is the newest generation of an issue identity.
func (b *batch) lastKey(issueID string) (*keyRow, string, bool, error) {
	var digest string
	var keyID string
	err := b.s.conn.QueryRowContext(b.ctx, `SELECT key_id, digest FROM keys WHERE issue_id = ? ORDER BY generation DESC LIMIT 1`,
		issueID).Scan(&keyID, &digest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, "", false, nil
	}
	if err != nil {
		return nil, "", false, err
	}
	k, err := b.key(keyID)
	return k, digest, err == nil, err
}

// run returns the ID of a run, zero if there is none yet.
func (b *batch) run(tenant, label string) (id int64, closed bool, err error) {
	var at sql.NullInt64
	err = b.s.conn.QueryRowContext(b.ctx, `SELECT run_id, closed_at FROM runs WHERE tenant = ? AND label = ?`, tenant, label).
		Scan(&id, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return id, at.Valid, err
}

// openRun fixes the run's cap: later keys of the run draw on it and cannot move it.
func (b *batch) openRun(spec ledger.KeySpec) (int64, error) {
	var id int64
	if err := b.s.conn.QueryRowContext(b.ctx, `INSERT INTO runs (tenant, label) VALUES (?, ?) RETURNING run_id`,
		spec.Tenant, spec.Run).Scan(&id); err != nil {
		return 0, err
	}
	limit := spec.Terms.EffectiveRunCap()
	if limit <= 0 {
		return 0, errors.New("a run needs a cap")
	}
	_, err := b.budget(budgetID{"run", strconv.FormatInt(id, 10), ledger.WindowTotal}, limit)
	return id, err
}

func (b *batch) runCapFits(runID int64, asked *money.USD) (bool, error) {
	if asked == nil {
		return true, nil
	}
	row, err := b.budget(budgetID{"run", strconv.FormatInt(runID, 10), ledger.WindowTotal}, -1)
	if err != nil {
		return false, err
	}
	return row.Cap == *asked, nil
}

func (b *batch) openKeyTotal(k *keyRow) error {
	if k.Terms.TotalCap == nil {
		return nil
	}
	_, err := b.budget(budgetID{"key", k.IssueID, ledger.WindowTotal}, *k.Terms.TotalCap)
	return err
}

// RevokeKey revokes one key. What is in flight runs to its end and is booked.
func (s *Store) RevokeKey(ctx context.Context, keyID string) (ledger.Revocation, error) {
	return s.revoke(ctx, func(b *batch) ([]*keyRow, error) {
		k, err := b.key(keyID)
		if err != nil {
			return nil, err
		}
		return []*keyRow{k}, nil
	})
}

// CloseRun revokes the run's keys and lets no further one be issued under it.
func (s *Store) CloseRun(ctx context.Context, tenant, run string) (ledger.Revocation, error) {
	return s.revoke(ctx, func(b *batch) ([]*keyRow, error) {
		id, _, err := b.run(tenant, run)
		if err != nil {
			return nil, err
		}
		if id == 0 {
			return nil, ledger.ErrNotFound
		}
		if _, err := b.s.conn.ExecContext(b.ctx, `UPDATE runs SET closed_at = coalesce(closed_at, ?) WHERE run_id = ?`,
			b.now.UnixMicro(), id); err != nil {
			return nil, err
		}
		return b.keysOfRun(id)
	})
}

func (b *batch) keysOfRun(runID int64) ([]*keyRow, error) {
	rows, err := b.s.conn.QueryContext(b.ctx, `SELECT `+keyColumns+` FROM keys k JOIN runs r USING (run_id) WHERE k.run_id = ?
		ORDER BY k.issued_at`, runID)
	if err != nil {
		return nil, err
	}
	return scanKeys(rows)
}

func (s *Store) revoke(ctx context.Context, which func(*batch) ([]*keyRow, error)) (ledger.Revocation, error) {
	var (
		out      ledger.Revocation
		decision error
	)
	err := s.write(ctx, func(b *batch) error {
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

func (b *batch) revokeOne(k *keyRow, out *ledger.Revocation) error {
	out.KeyIDs = append(out.KeyIDs, k.ID)
	if k.RevokedAt.IsZero() {
		if _, err := b.s.conn.ExecContext(b.ctx, `UPDATE keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL`,
			b.now.UnixMicro(), k.ID); err != nil {
			return err
		}
		if err := b.audit(keyAudit(k.Key, ledger.VerdictRevoked)); err != nil {
			return err
		}
	} else if len(out.KeyIDs) == 1 {
		out.At = k.RevokedAt
	}
	var inFlight, unknown int
	var inFlightUSD, unknownUSD money.USD
	if err := b.s.conn.QueryRowContext(b.ctx, `SELECT
		coalesce(sum(state = 'dispatched'), 0), coalesce(sum(CASE state WHEN 'dispatched' THEN hold END), 0),
		coalesce(sum(state = 'unknown'), 0), coalesce(sum(CASE state WHEN 'unknown' THEN hold END), 0)
		FROM calls WHERE run_id = ? AND key_id = ? AND state IN ('dispatched', 'unknown')`, k.runID, k.ID).
		Scan(&inFlight, &inFlightUSD, &unknown, &unknownUSD); err != nil {
		return err
	}
	out.InFlight, out.InFlightUSD = out.InFlight+inFlight, out.InFlightUSD+inFlightUSD
	out.Unknown, out.UnknownUSD = out.Unknown+unknown, out.UnknownUSD+unknownUSD
	return nil
}

func keyAudit(k ledger.Key, verdict string) ledger.AuditRow {
	return ledger.AuditRow{
		Verdict: verdict, By: ledger.ByAdmin, Tenant: k.Tenant, Run: k.Run, KeyID: k.ID, Vendor: k.Vendor,
	}
}

func scanKeys(rows *sql.Rows) ([]*keyRow, error) {
	defer func() { _ = rows.Close() }()
	var keys []*keyRow
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}
