package vaultproxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// maxListedKeys bounds GET /vault/keys; narrow it by agent_run_label.
const maxListedKeys = 200

func (p *Proxy) listKeys(r *http.Request) reply {
	q, err := asked(r, "agent_run_label", "tenant")
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	keys, err := p.store.Keys(r.Context(), ledger.KeyFilter{
		Run: q.Get("agent_run_label"), Tenant: q.Get("tenant"), Limit: maxListedKeys,
	})
	if err != nil {
		return p.failed(err)
	}
	list := client.KeyList{Keys: make([]client.Key, 0, len(keys))}
	for _, k := range keys {
		view, err := p.keyView(r.Context(), k)
		if err != nil {
			return p.failed(err)
		}
		list.Keys = append(list.Keys, view)
	}
	return jsonReply(http.StatusOK, list)
}

func (p *Proxy) showKey(r *http.Request) reply {
	k, err := p.store.Key(r.Context(), r.PathValue("key_id"))
	if err != nil {
		return p.failed(err)
	}
	view, err := p.keyView(r.Context(), k)
	if err != nil {
		return p.failed(err)
	}
	return jsonReply(http.StatusOK, view)
}

// keyView tells everything of a key but its token.
func (p *Proxy) keyView(ctx context.Context, k ledger.Key) (client.Key, error) {
	use, err := p.store.KeyUse(ctx, k.ID)
	if err != nil {
		return client.Key{}, err
	}
	now, err := p.store.Now(ctx)
	if err != nil {
		return client.Key{}, err
	}
	view := client.Key{
		KeyID: k.ID, State: "live", Vendor: k.Vendor, AllowedEndpoints: k.Terms.AllowedEndpoints, AgentRunLabel: k.Run,
		Phase: k.Phase, Tenant: k.Tenant, AgentName: k.AgentName, Generation: k.Generation, IssuedAt: k.IssuedAt,
		ExpiresAt: k.ExpiresAt, PerCallUSDCap: k.Terms.PerCallCap, Calls: countsView(use.Counts),
		Scope: client.Scope{
			Customers: k.Terms.Scope.Customers, ConnectedAccounts: k.Terms.Scope.Accounts, ApplicationFees: k.Terms.Scope.ApplicationFees,
		},
	}
	switch {
	case !k.RevokedAt.IsZero():
		view.State, view.RevokedAt = "revoked", &k.RevokedAt
	case k.RunClosed:
		view.State = "revoked"
	case !now.Before(k.ExpiresAt):
		view.State = "expired"
	}
	for _, b := range use.Budgets {
		view.Budgets = append(view.Budgets, budgetView(b))
	}
	return view, nil
}

func (p *Proxy) revokeKey(r *http.Request) reply {
	got, err := p.store.RevokeKey(r.Context(), r.PathValue("key_id"))
	return p.revoked(got, err, "", "")
}

// revokeMany revokes all keys of a run and lets no further one be issued under
// it, or revokes all keys of a tenant. A label that is there but empty is a
// variable that somebody forgot to set, and must not mean the whole tenant.
func (p *Proxy) revokeMany(r *http.Request) reply {
	q, err := asked(r, "agent_run_label", "tenant")
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	run, tenant := q.Get("agent_run_label"), q.Get("tenant")
	switch {
	case run != "":
		got, err := p.store.CloseRun(r.Context(), tenant, run)
		if errors.Is(err, ledger.ErrNotFound) {
			return noSuchRun(tenant)
		}
		return p.revoked(got, err, run, tenant)
	case tenant != "" && !q.Has("agent_run_label"):
		got, err := p.store.RevokeTenant(r.Context(), tenant)
		return p.revoked(got, err, "", tenant)
	}
	return fail(http.StatusBadRequest, string(RequestInvalid), "name a key in the path, a run by ?agent_run_label=, or a tenant by ?tenant=")
}

func noSuchRun(tenant string) reply {
	message := "the ledger has no run of this label and tenant"
	if tenant == "" {
		message = "the ledger has no run of this label without a tenant; name the tenant of one that has it by &tenant="
	}
	return fail(http.StatusNotFound, "not_found", message)
}

func (p *Proxy) revoked(got ledger.Revocation, err error, run, tenant string) reply {
	if err != nil {
		return p.failed(err)
	}
	p.log.Info("key", "verdict", ledger.VerdictRevoked, "key_ids", got.KeyIDs, "run", run, "tenant", tenant, "in_flight", got.InFlight)
	return jsonReply(http.StatusOK, client.Revocation{
		KeyIDs: got.KeyIDs, AgentRunLabel: run, Tenant: tenant, RevokedAt: got.At, InFlight: got.InFlight, InFlightUSD: got.InFlightUSD,
		UnknownCalls: got.Unknown, UnknownUSD: got.UnknownUSD,
	})
}

func budgetView(b ledger.Budget) client.Budget {
	view := client.Budget{
		Scope: b.Scope, Name: b.Name, Tenant: b.Tenant, Window: b.Window, CapUSD: b.Cap, SettledUSD: b.Settled, ReservedUSD: b.InFlight,
		CommittedUSD: b.Committed, UnknownUSD: b.Unknown, RemainingUSD: b.Remaining(), OverrunUSD: b.Overrun,
	}
	if at := b.ResetsAt(); !at.IsZero() {
		view.ResetsAt = &at
	}
	return view
}

func countsView(n ledger.Counts) client.CallCounts {
	return client.CallCounts{
		InFlight: n.InFlight, Settled: n.Settled, Committed: n.Committed, Released: n.Released, Unknown: n.Unknown,
	}
}

func timeView(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
