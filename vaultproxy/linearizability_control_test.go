package vaultproxy_test

import (
	"context"
	"sync"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// The checker is worth what it finds. A store that looks at its caps and acts
// afterwards has to be found out by it.
func TestLinearizability_AStoreThatChecksAndThenActsIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, open := range stands() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := &gap{over: t.Context(), keys: map[string]*looks{}}
			s := open(t, func(below ledger.Store) ledger.Store { return &checkThenAct{below, shared} })
			for seed := range uint64(s.rounds) {
				// No more than the openings: there, nothing but a cap can be broken.
				switch verdict := playRound(t, s, seed, openings).check(); verdict {
				case porcupine.Illegal:
					t.Logf("porcupine: illegal, as it must be (round %d)", seed+1)
					return
				case porcupine.Unknown:
					require.FailNow(t, "the search was not ended", "seed %d", seed)
				default: // it was lucky
				}
			}
			require.FailNow(t, "a store that passes its caps was taken for a sound one")
		})
	}
}

// checkThenAct looks at what is settled, and counts what it did afterwards: the
// way of a gateway that counts after the call. The store below gets caps that
// never bind. Between the look and the act the clients' first charges under a key
// wait for each other, so that what may happen does happen. It is made for the
// openings: a key that not every client charged by would be waited for in vain.
type checkThenAct struct {
	ledger.Store
	gap *gap
}

// gap is shared by the replicas over one ledger.
type gap struct {
	over context.Context //nolint:containedctx // ends every wait with the test
	mu   sync.Mutex
	keys map[string]*looks
}

// looks are those at the budgets of one key.
type looks struct {
	terms ledger.Terms
	count int
	all   chan struct{} // closed when all clients have looked
}

func (s *checkThenAct) Issue(ctx context.Context, spec ledger.KeySpec) (ledger.Key, bool, error) {
	terms, none := spec.Terms, 1_000_000_000*money.Dollar
	spec.Terms.TotalCap, spec.Terms.RunCap = &none, &none
	k, minted, err := s.Store.Issue(ctx, spec)
	s.gap.mu.Lock()
	defer s.gap.mu.Unlock()
	if err == nil && s.gap.keys[k.ID] == nil {
		s.gap.keys[k.ID] = &looks{terms: terms, all: make(chan struct{})}
	}
	return k, minted, err
}

func (s *checkThenAct) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	use, err := s.KeyUse(ctx, r.KeyID)
	if err != nil {
		return ledger.Reserved{}, err
	}
	seen := s.gap.look(r.KeyID)
	for _, b := range use.Budgets {
		b.Cap = *seen.terms.TotalCap
		if b.Scope == "run" {
			b.Cap = *seen.terms.RunCap
		}
		if b.Settled+r.Price > b.Cap {
			return ledger.Reserved{}, &ledger.Denial{Reason: ledger.CapExhausted, Kind: b.Kind(), Price: r.Price, Budget: b}
		}
	}
	select {
	case <-seen.all:
	case <-s.gap.over.Done():
	}
	return s.Store.Reserve(ctx, r)
}

// look counts one.
func (g *gap) look(keyID string) *looks {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.keys[keyID]
	if seen.count++; seen.count == linearClients {
		close(seen.all)
	}
	return seen
}
