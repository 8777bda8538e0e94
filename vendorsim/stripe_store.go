package vendorsim

import (
	"slices"
	"sort"
	"sync"
	"time"
)

// identity is what all objects have in common. The sequence orders them by creation, also those
// of one second.
type identity struct {
	seq     int
	id      string
	created int64
}

func (i *identity) self() *identity { return i }

type object interface{ self() *identity }

// table holds the objects of one kind in the order of their creation, with indexes such as
// "customer=cus_1". It is guarded by the store.
type table[T object] struct {
	byID    map[string]T
	all     []T
	indexes map[string][]T
}

func newTable[T object]() table[T] {
	return table[T]{byID: map[string]T{}, indexes: map[string][]T{}}
}

func (t *table[T]) add(o T, indexes ...string) {
	o.self().seq = len(t.all)
	t.all = append(t.all, o)
	t.byID[o.self().id] = o
	for _, index := range indexes {
		t.indexes[index] = append(t.indexes[index], o)
	}
}

// pageQuery is one request of a list.
type pageQuery struct {
	limit         int
	after, before string
	from, to      int64             // bounds of created, both included
	filters       map[string]string // equality by field, each of them an index
}

// page lists newest first what the query asks for, and whether more follows in its direction.
// All filters but one are checked object by object, through fields.
func (t *table[T]) page(q pageQuery, fields func(T, string) string) ([]T, bool, *stripeError) {
	rows := t.all
	for field, value := range q.filters {
		if indexed := t.indexes[field+"="+value]; len(indexed) <= len(rows) {
			rows = indexed
		}
	}
	keep := func(o T) bool {
		for field, value := range q.filters {
			if fields(o, field) != value {
				return false
			}
		}
		return o.self().created >= q.from && o.self().created <= q.to
	}
	var found []T
	// One more than the limit tells whether there is more.
	collect := func(o T) bool {
		if keep(o) {
			found = append(found, o)
		}
		return len(found) <= q.limit
	}
	if q.before != "" {
		cursor, ok := t.byID[q.before]
		if !ok {
			return nil, false, noSuch(400, "object", "ending_before", q.before)
		}
		start := sort.Search(len(rows), func(i int) bool { return rows[i].self().seq > cursor.self().seq })
		for i := start; i < len(rows) && collect(rows[i]); i++ {
		}
		more := len(found) > q.limit
		found = found[:min(len(found), q.limit)]
		slices.Reverse(found)
		return found, more, nil
	}
	end := len(rows)
	if q.after != "" {
		cursor, ok := t.byID[q.after]
		if !ok {
			return nil, false, noSuch(400, "object", "starting_after", q.after)
		}
		end = sort.Search(len(rows), func(i int) bool { return rows[i].self().seq >= cursor.self().seq })
	}
	for i := end - 1; i >= 0 && collect(rows[i]); i-- {
	}
	more := len(found) > q.limit
	return found[:min(len(found), q.limit)], more, nil
}

// stripeStore holds all objects. Its lock is held for single steps only, never while an answer
// is encoded or held back.
type stripeStore struct {
	mu         sync.Mutex
	intents    table[*intent]
	charges    table[*charge]
	refunds    table[*refund]
	customers  table[*customer]
	records    map[string]*table[*record] // by kind
	processing map[string]*intent
	waiting    map[string]*waiting // by id
	held       map[string]*intent  // authorized and not captured
}

func newStripeStore() *stripeStore {
	records := map[string]*table[*record]{}
	for kind := range recordKinds() {
		t := newTable[*record]()
		records[kind] = &t
	}
	return &stripeStore{
		records: records, waiting: map[string]*waiting{}, held: map[string]*intent{},
		intents: newTable[*intent](), charges: newTable[*charge](),
		refunds: newTable[*refund](), customers: newTable[*customer](),
		processing: map[string]*intent{},
	}
}

// authorizationWindow is how long a card holds an amount for a capture
// (docs.stripe.com/payments/place-a-hold-on-a-payment-method).
const authorizationWindow = 7 * 24 * time.Hour

// settleDue ends whatever is old enough: the processing of PaymentIntents, the waiting of other
// objects, and authorizations that nobody captured.
func (s *stripe) settleDue(now time.Time) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, in := range s.store.processing {
		if now.Sub(in.processingSince) >= s.sim.cfg.ProcessingDelay {
			s.settle(in)
		}
	}
	for id, w := range s.store.waiting {
		if now.Sub(w.since) >= s.sim.cfg.ProcessingDelay {
			delete(s.store.waiting, id)
			w.end()
		}
	}
	for _, in := range s.store.held {
		if now.Sub(in.authorizedAt) >= authorizationWindow {
			s.cancel(in, now, "automatic")
		}
	}
}
