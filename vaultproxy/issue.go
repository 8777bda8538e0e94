package vaultproxy

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/policy"
)

// maxKeyLife bounds how long a vault key may live: it is meant for one run.
const maxKeyLife = 31 * 24 * time.Hour

// issueKey mints a vault key, or returns the live one of the same identity: a
// retried activity must never end up with a second cap.
func (p *Proxy) issueKey(r *http.Request) reply {
	var req client.IssueRequest
	if err := decode(r, &req); err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	idempotencyKey := r.Header.Get("Idempotency-Key")
	if len(idempotencyKey) > maxIdempotencyKey || !printable(idempotencyKey) {
		return fail(http.StatusBadRequest, string(RequestInvalid), "the Idempotency-Key takes up to 255 printable ASCII characters")
	}
	spec, err := p.keySpec(req, idempotencyKey)
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	if valid, err := p.expiryHolds(r.Context(), &spec); err != nil {
		return p.failed(err)
	} else if !valid {
		return fail(http.StatusBadRequest, string(RequestInvalid), "expires_at must be in the future, at most 31 days ahead")
	}
	k, minted, err := p.store.Issue(r.Context(), spec)
	if err != nil {
		return p.failed(err)
	}
	p.log.Info("key", "verdict", ledger.VerdictIssued, "minted", minted, "key_id", k.ID, "run", k.Run, "vendor", k.Vendor,
		"phase", k.Phase, "generation", k.Generation, "expires_at", k.ExpiresAt)
	return jsonReply(http.StatusCreated, client.IssuedKey{VaultKey: p.tokens.mint(k.ID), KeyID: k.ID, ExpiresAt: k.ExpiresAt})
}

// expiryHolds reports whether a key may be minted until the moment that was asked
// for, or whether none has to be. A request that is repeated after its moment is
// over gets the live key all the same, or is told why there is none.
func (p *Proxy) expiryHolds(ctx context.Context, spec *ledger.KeySpec) (bool, error) {
	if spec.ExpiresAt.IsZero() {
		return true, nil
	}
	now, err := p.store.Now(ctx)
	if err != nil {
		return false, err
	}
	if spec.ExpiresAt.After(now) && spec.ExpiresAt.Sub(now) <= maxKeyLife {
		return true, nil
	}
	keys, err := p.store.Keys(ctx, ledger.KeyFilter{Run: spec.Run, Tenant: spec.Tenant, Limit: maxGenerations})
	if err != nil {
		return false, err
	}
	for _, k := range keys { // newest first: the first one of the identity is its last
		if k.IssueID != spec.IssueID {
			continue
		}
		revoked := !k.RevokedAt.IsZero()
		mints := revoked && spec.Renew || !revoked && !now.Before(k.ExpiresAt)
		if mints && !k.RunClosed {
			return false, nil
		}
		// Should it expire before it is asked for, what is minted is as dead as it.
		spec.ExpiresAt = k.ExpiresAt
		return true, nil
	}
	return false, nil
}

// maxGenerations bounds the keys of a run among which an identity is looked for.
const maxGenerations = 10_000

// keySpec checks a request and works out its identity.
func (p *Proxy) keySpec(req client.IssueRequest, idempotencyKey string) (ledger.KeySpec, error) {
	spec := ledger.KeySpec{
		KeyID: newKeyID(), Tenant: req.Tenant, Run: req.AgentRunLabel, Vendor: req.Vendor, Phase: req.Phase,
		AgentName: req.AgentName, Renew: req.Renew,
		Terms: ledger.Terms{
			AllowedEndpoints: req.AllowedEndpoints, DailyCap: req.DailyUSDCap, TotalCap: req.TotalUSDCap,
			PerCallCap: req.PerCallUSDCap, RunCap: req.RunUSDCap,
		},
	}
	if p.upstreams[req.Vendor] == nil {
		known := slices.Sorted(maps.Keys(p.upstreams))
		return spec, fmt.Errorf("vendor %.40q is not configured at this vault proxy, which has: %s; its operator adds a vendor by giving its secret", req.Vendor, strings.Join(known, ", "))
	}
	if _, err := policy.Compile(req.AllowedEndpoints); err != nil {
		return spec, err
	}
	if req.AgentRunLabel == "" {
		return spec, errors.New("agent_run_label is missing: name the run, such as temporal/default/billing-pro-2026-11")
	}
	for name, text := range map[string]string{
		"agent_run_label": req.AgentRunLabel, "phase": req.Phase, "tenant": req.Tenant, "agent_name": req.AgentName,
		"inputs_digest": req.InputsDigest,
	} {
		if len(text) > 255 || !printable(text) {
			return spec, fmt.Errorf("%s takes up to 255 printable ASCII characters", name)
		}
	}
	if err := checkCaps(spec.Terms); err != nil {
		return spec, err
	}
	if err := setExpiry(&spec, req); err != nil {
		return spec, err
	}
	id := hashParts("issue", spec.Tenant, spec.Run, spec.Vendor, spec.Phase)
	if idempotencyKey != "" {
		id = hashParts("issue by key", spec.Tenant, idempotencyKey)
	}
	spec.IssueID = hex.EncodeToString(id[:16])
	// How long a key lives is fixed when it is minted: asking for another span must
	// neither change a live key nor bar the next one.
	req.ExpiresIn, req.ExpiresAt = "", nil
	req.Renew = false // nor is a key another one for having been renewed
	encoded, err := json.Marshal(req)
	if err != nil {
		return spec, errors.New("the request cannot be encoded")
	}
	sum := hashParts("policy", string(encoded))
	spec.Digest = hex.EncodeToString(sum[:])
	return spec, nil
}

func checkCaps(t ledger.Terms) error {
	for name, limit := range map[string]*money.USD{
		"daily_usd_cap": t.DailyCap, "total_usd_cap": t.TotalCap, "per_call_usd_cap": t.PerCallCap, "run_usd_cap": t.RunCap,
	} {
		if limit != nil && *limit <= 0 {
			return fmt.Errorf("%s must be above zero", name)
		}
	}
	if t.EffectiveRunCap() == 0 {
		return errors.New("the key has no bound: set daily_usd_cap, total_usd_cap or run_usd_cap, in dollars")
	}
	return nil
}

func setExpiry(spec *ledger.KeySpec, req client.IssueRequest) error {
	switch {
	case (req.ExpiresIn == "") == (req.ExpiresAt == nil):
		return errors.New(`give either expires_in, such as "2h", or expires_at`)
	case req.ExpiresAt != nil:
		spec.ExpiresAt = req.ExpiresAt.UTC()
		return nil
	}
	life, err := time.ParseDuration(req.ExpiresIn)
	if err != nil {
		return fmt.Errorf(`expires_in %.40q is not a duration: write it like "2h" or "90m"`, req.ExpiresIn)
	}
	if life < time.Second || life > maxKeyLife {
		return errors.New("expires_in must be from 1s to 744h (31 days)")
	}
	spec.ExpiresIn = life
	return nil
}
