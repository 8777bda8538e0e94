package sqlstore

import (
	"errors"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// suspect is a call that was reserved by a commit whose result got lost.
type suspect struct {
	call ledger.CallKey
	key  KeyDay
}

// needsOf locks the budgets of suspects before they are read: should their commit
// still be under way somewhere, it has those locks, and this waits for its end.
func needsOf(suspects []suspect) Needs {
	var n Needs
	for _, s := range suspects {
		n.Keys, n.Calls = append(n.Keys, s.key), append(n.Calls, s.call)
	}
	return n
}

// settleSuspects looks at the calls of a commit whose result got lost: nothing
// was sent for those that are there after all, but only proof says so.
func (b *Batch) settleSuspects(suspects []suspect) error {
	for _, s := range suspects {
		c, err := b.callOf(s.call)
		if errors.Is(err, ledger.ErrNotFound) || (err == nil && (c.State != ledger.Dispatched || c.Epoch != b.epoch)) {
			continue
		}
		if err != nil {
			return err
		}
		if err := b.doubt(c, "commit_in_doubt"); err != nil {
			return err
		}
	}
	return nil
}
