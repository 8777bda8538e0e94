package vendorsim

import (
	"math"
	"net/http"
)

// listView is a page of a list.
type listView struct {
	Object  string `json:"object"`
	Data    []any  `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

// listSpec is the parameters of a list with the given filters.
func listSpec(filters ...string) paramSpec {
	spec := paramSpec{
		"limit": scalar, "starting_after": scalar, "ending_before": scalar, "created": span, "expand": list,
	}
	for _, filter := range filters {
		spec[filter] = scalar
	}
	return spec
}

// readPage reads the parameters of a list. Defaults and bounds are those of
// docs.stripe.com/api/pagination.
func readPage(p params, filters ...string) (pageQuery, *stripeError) {
	q := pageQuery{limit: 10, from: math.MinInt64, to: math.MaxInt64, filters: map[string]string{}}
	limit, sent, e := p.whole("limit")
	if e != nil {
		return q, e
	}
	if sent {
		if limit < 1 || limit > 100 {
			return q, invalid("parameter_invalid_integer", "limit", "limit must be from 1 to 100")
		}
		q.limit = int(limit)
	}
	if q.after, e = p.text("starting_after"); e != nil {
		return q, e
	}
	if q.before, e = p.text("ending_before"); e != nil {
		return q, e
	}
	if q.after != "" && q.before != "" {
		return q, invalid("parameters_exclusive", "ending_before", "only one of starting_after and ending_before may be given")
	}
	for _, filter := range filters {
		value, e := p.text(filter)
		if e != nil {
			return q, e
		}
		if value != "" {
			q.filters[filter] = value
		}
	}
	e = q.readCreated(p)
	return q, e
}

func (q *pageQuery) readCreated(p params) *stripeError {
	exact, sent, e := p.whole("created")
	if e != nil {
		return e
	}
	if sent {
		q.from, q.to = exact, exact
	}
	for bound, value := range p.hashes["created"] {
		name := "created[" + bound + "]"
		at, e := parseWhole(name, value)
		if e != nil {
			return e
		}
		switch bound {
		case "gte":
			q.from = max(q.from, at)
		case "gt":
			q.from = max(q.from, at+1)
		case "lte":
			q.to = min(q.to, at)
		case "lt":
			q.to = min(q.to, at-1)
		default:
			return invalid("parameter_unknown", name, "received unknown parameter: %s", name)
		}
	}
	return nil
}

// listOperation serves one list: which table, by which filters, shown how. Show runs under the
// store's lock.
func listOperation[T object](
	pick func(*stripeStore) *table[T], filters []string, expandable string,
	field func(T, string) string, show func(s *stripe, c *call, o T, expand bool) any,
) operation {
	return operation{params: listSpec(filters...), prepare: func(s *stripe, c *call) (plan, *stripeError) {
		q, e := readPage(c.params, filters...)
		if e != nil {
			return nil, e
		}
		expand, e := c.params.expands(expandable)
		if e != nil {
			return nil, e
		}
		return func() outcome {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			found, more, e := pick(s.store).page(q, field)
			if e != nil {
				return e.outcome()
			}
			view := listView{Object: "list", Data: make([]any, 0, len(found)), HasMore: more, URL: c.path}
			for _, o := range found {
				view.Data = append(view.Data, show(s, c, o, expand))
			}
			return outcome{status: http.StatusOK, view: view}
		}, nil
	}}
}
