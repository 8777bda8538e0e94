package sqlstore

// memory is what the last commits left of the rows that nearly every operation
// reads, where one process writes to the ledger: they are what they would be read
// as again.
//
// A batch takes it away and brings it back once it is durable. So whatever fails,
// or may have failed, takes along all that it changed in it.
type memory struct {
	keys  map[string]*Key
	spans map[string][]TenantCap
	kept  map[BudgetID]*Budget
}

// remembered bounds each part of the memory.
const remembered = 4096

func newMemory() *memory {
	return &memory{keys: map[string]*Key{}, spans: map[string][]TenantCap{}, kept: map[BudgetID]*Budget{}}
}

// lend gives a batch the memory, or an empty one.
func (s *shared) lend() *memory {
	m := s.memory
	s.memory = nil
	if m == nil {
		m = newMemory()
	}
	return m
}

// giveBack takes the memory of a batch that is durable.
func (s *shared) giveBack(b *Batch) {
	if b.unseen || s.backend.Shared() {
		return // others may have changed rows that it knows
	}
	m := b.memory
	for _, row := range b.order {
		m.kept[row.id()] = row
	}
	if len(m.keys) > remembered {
		clear(m.keys)
	}
	if len(m.spans) > remembered {
		clear(m.spans)
	}
	if len(m.kept) > remembered {
		clear(m.kept)
	}
	s.memory = m
}
