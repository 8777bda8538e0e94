package vaultproxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/policy"
)

// grant is what never changes of a vault key: whose it is and what it may call.
// Whether it is still live is asked of the ledger each time.
type grant struct {
	keyID, tenant, run, vendor string
	runNo                      int64
	allow                      policy.Allowlist
	scope                      ledger.Scope
	arriving                   atomic.Int64 // calls whose bodies are being read
}

// grants remembers the grants of keys in use.
type grants struct {
	mu   sync.RWMutex
	byID map[string]*grant
}

// maxGrants bounds the memory; past it the grants are read again.
const maxGrants = 10_000

func (g *grants) get(keyID string) (*grant, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	found, ok := g.byID[keyID]
	return found, ok
}

// keep remembers a grant, or returns the one that another call of the same key has
// brought meanwhile: what is counted by key is counted in one place.
func (g *grants) keep(v *grant) *grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	if found, ok := g.byID[v.keyID]; ok {
		return found
	}
	if g.byID == nil || len(g.byID) >= maxGrants {
		g.byID = map[string]*grant{}
	}
	g.byID[v.keyID] = v
	return v
}

// authenticate is the first step: which vault key is this? The token comes as
// the bearer, or as the password of Basic authentication.
func (p *Proxy) authenticate(ctx context.Context, r *http.Request) (*grant, *denial) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return nil, deny(RequestAmbiguous, "the Authorization header is given twice")
	}
	keyID, err := p.tokens.read(bearer(r))
	if errors.Is(err, errOtherLedger) {
		return nil, deny(WrongLedger, "this vault key belongs to another ledger: reach the vault proxy that issued it")
	}
	if err != nil {
		return nil, deny(KeyUnknown, "the Authorization header holds no vault key of this proxy")
	}
	if g, ok := p.grants.get(keyID); ok {
		return g, nil
	}
	k, err := p.store.Key(ctx, keyID)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, deny(KeyUnknown, "this vault key is not in the ledger")
	}
	if err != nil {
		return nil, ledgerDown()
	}
	allow, err := policy.Compile(k.Terms.AllowedEndpoints)
	if err != nil {
		return nil, deny(EndpointNotAllowed, "this vault key's allowlist cannot be read")
	}
	g := &grant{keyID: k.ID, tenant: k.Tenant, run: k.Run, runNo: k.RunNo, vendor: k.Vendor, allow: allow, scope: k.Terms.Scope}
	return p.grants.keep(g), nil
}

func bearer(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// live asks the ledger whether a key may still do something.
func (p *Proxy) live(ctx context.Context, keyID string) *denial {
	k, err := p.store.Key(ctx, keyID)
	if err != nil {
		return ledgerDown()
	}
	now, err := p.store.Now(ctx)
	switch {
	case err != nil:
		return ledgerDown()
	case !k.RevokedAt.IsZero() || k.RunClosed:
		return keyDenied(ledger.KeyRevoked)
	case !now.Before(k.ExpiresAt):
		return keyDenied(ledger.KeyExpired)
	}
	return nil
}

func ledgerDown() *denial {
	return deny(LedgerUnavailable, "the ledger cannot decide now, so nothing was sent; try again with the same idempotency key")
}

func keyDenied(reason ledger.DenialReason) *denial {
	switch reason {
	case ledger.KeyRevoked:
		return deny(KeyRevoked, "this vault key was revoked")
	case ledger.KeyExpired:
		return deny(KeyExpired, "this vault key has expired: issue it again for the same phase")
	default:
		return deny(KeyUnknown, "this vault key is not in the ledger")
	}
}
