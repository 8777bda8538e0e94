package postgres

import (
	"sync"

	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlstore"
)

// fact is what never changes of a key: what its calls draw on.
type fact struct{ key sqlstore.Key }

// facts remembers them, so that budgets can be locked before keys are read.
type facts struct {
	mu   sync.Mutex
	byID map[string]*fact
}

const maxFacts = 10_000

func (f *facts) get(keyID string) *fact {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byID[keyID]
}

func (f *facts) put(k *sqlstore.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.byID) >= maxFacts {
		clear(f.byID)
	}
	f.byID[k.ID] = &fact{key: *k}
}
