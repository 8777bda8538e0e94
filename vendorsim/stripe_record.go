package vendorsim

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// record is an object that is kept as it is shown. Its fields are replaced, never changed, so
// that a view may share them.
type record struct {
	identity
	fields map[string]any
}

func (r *record) field(name string) string {
	text, _ := r.fields[name].(string)
	return text
}

func (r *record) number(name string) int64 {
	n, _ := r.fields[name].(int64)
	return n
}

// set replaces fields.
func (r *record) set(changes map[string]any) {
	fields := maps.Clone(r.fields)
	maps.Copy(fields, changes)
	r.fields = fields
}

// recordKinds are the kinds that are kept as records, and the prefixes of their ids.
func recordKinds() map[string]string {
	return map[string]string{
		"payout": "po_", "transfer": "tr_", "transfer_reversal": "trr_", "topup": "tu_", "invoice": "in_", "invoiceitem": "ii_",
		"product": "prod_", "price": "price_", "setup_intent": "seti_",
	}
}

// add makes an object of a kind, indexed by some of its fields. Needs the store's lock.
func (s *stripe) add(c *call, kind string, fields map[string]any, indexes ...string) *record {
	r := &record{identity: identity{id: s.ids.id(recordKinds()[kind]), created: c.now.Unix()}}
	r.fields = map[string]any{"id": r.id, "object": kind, "created": r.created, "livemode": false}
	maps.Copy(r.fields, fields)
	var by []string
	for _, name := range indexes {
		if value := r.field(name); value != "" {
			by = append(by, name+"="+value)
		}
	}
	s.store.records[kind].add(r, by...)
	return r
}

// findRecord looks up the object in a call's path. Needs the store's lock.
func (s *stripe) findRecord(c *call, kind string) (*record, *stripeError) {
	r, ok := s.store.records[kind].byID[c.id]
	if !ok {
		return nil, noSuch(http.StatusNotFound, kind, "id", c.id)
	}
	return r, nil
}

// get serves GET /v1/…/{id}.
func getRecord(kind string) operation {
	return operation{params: paramSpec{"expand": list}, prepare: func(s *stripe, c *call) (plan, *stripeError) {
		if _, e := c.params.expands(""); e != nil {
			return nil, e
		}
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r, e := s.findRecord(c, kind)
		if e != nil {
			return nil, e
		}
		return func() outcome {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			s.see(r.id)
			return outcome{status: http.StatusOK, view: r.fields}
		}, nil
	}}
}

// listRecords serves GET /v1/….
func listRecords(kind string, filters ...string) operation {
	return listOperation(func(st *stripeStore) *table[*record] { return st.records[kind] }, filters, "", (*record).field,
		func(s *stripe, _ *call, r *record, _ bool) any {
			s.see(r.id)
			return r.fields
		})
}

// updateRecord serves POST /v1/…/{id} for texts and metadata, which mean nothing here.
func updateRecord(kind string, texts ...string) operation {
	spec := paramSpec{"metadata": hash, "expand": list}
	for _, name := range texts {
		spec[name] = scalar
	}
	return operation{params: spec, prepare: func(s *stripe, c *call) (plan, *stripeError) {
		added, e := c.params.metadata()
		if e != nil {
			return nil, e
		}
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r, e := s.findRecord(c, kind)
		if e != nil {
			return nil, e
		}
		return func() outcome {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			old, _ := r.fields["metadata"].(map[string]string)
			changes := map[string]any{"metadata": mergeMetadata(old, added)}
			for _, name := range texts {
				if c.params.has(name) {
					changes[name] = c.params.scalars[name]
				}
			}
			r.set(changes)
			return outcome{status: http.StatusOK, view: r.fields}
		}, nil
	}}
}

// moveRecord serves POST /v1/…/{id}/…: from one of some statuses to another.
func moveRecord(kind, verb, to string, then func(*stripe, *record), from ...string) operation {
	return operation{params: paramSpec{"expand": list, "cancellation_reason": ignored}, prepare: func(s *stripe, c *call) (plan, *stripeError) {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r, e := s.findRecord(c, kind)
		if e != nil {
			return nil, e
		}
		return func() outcome {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			if !strings.Contains(" "+strings.Join(from, " ")+" ", " "+r.field("status")+" ") {
				return invalid("", "", "this %s cannot be %s because its status is %s", kind, verb, r.field("status")).outcome()
			}
			delete(s.store.waiting, r.id)
			r.set(map[string]any{"status": to})
			if then != nil {
				then(s, r)
			}
			return outcome{status: http.StatusOK, view: r.fields}
		}, nil
	}}
}

// waiting is an object whose outcome is open at first, as that of a PaymentIntent in processing.
type waiting struct {
	since time.Time
	reads int
	end   func()
}

// wait leaves the outcome of an object open. Needs the store's lock.
func (s *stripe) await(c *call, id string, end func()) {
	s.store.waiting[id] = &waiting{since: c.now, end: end}
}

// see counts a read of an object that waits, and ends that when it has been read often enough.
// Needs the store's lock.
func (s *stripe) see(id string) {
	w := s.store.waiting[id]
	if w == nil {
		return
	}
	if w.reads++; w.reads >= s.sim.cfg.ProcessingReads {
		delete(s.store.waiting, id)
		w.end()
	}
}
