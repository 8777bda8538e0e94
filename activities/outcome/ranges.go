package outcome

import "slices"

// Span is the set of the items [from, to).
func Span(from, to int) Ranges {
	var r Ranges
	r.Add(from, to)
	return r
}

// Range is the items From up to, not including, To.
type Range struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Ranges is a set of items, ascending, with neither overlaps nor gaps of zero
// length: thousands of neighbours take the room of one.
type Ranges []Range

// Add puts [from, to) into the set. The set must not hold any of it yet, but the
// order of adding is free: charges end in any order.
func (r *Ranges) Add(from, to int) {
	if from >= to {
		return
	}
	at, _ := slices.BinarySearchFunc(*r, from, func(have Range, from int) int { return have.From - from })
	joinsLeft := at > 0 && (*r)[at-1].To == from
	joinsRight := at < len(*r) && (*r)[at].From == to
	switch {
	case joinsLeft && joinsRight:
		(*r)[at-1].To = (*r)[at].To
		*r = slices.Delete(*r, at, at+1)
	case joinsLeft:
		(*r)[at-1].To = to
	case joinsRight:
		(*r)[at].From = from
	default:
		*r = slices.Insert(*r, at, Range{From: from, To: to})
	}
}

// Merge adds every range of another set.
func (r *Ranges) Merge(other Ranges) {
	for _, o := range other {
		r.Add(o.From, o.To)
	}
}

// Len is how many items are in the set.
func (r Ranges) Len() int {
	n := 0
	for _, x := range r {
		n += x.To - x.From
	}
	return n
}

// Take removes the first items of the set, at most n, and returns them.
func (r *Ranges) Take(n int) Ranges {
	var taken Ranges
	rest := slices.Clone(*r)
	for n > 0 && len(rest) > 0 {
		to := min(rest[0].To, rest[0].From+n)
		taken = append(taken, Range{From: rest[0].From, To: to})
		n -= to - rest[0].From
		if rest[0].From = to; to == rest[0].To {
			rest = rest[1:]
		}
	}
	*r = rest
	return taken
}

// Without is the items of the set that are not in other.
func (r Ranges) Without(other Ranges) Ranges {
	var left Ranges
	passed := 0 // of other: both ascend, so that neither is gone through twice
	for _, x := range r {
		for passed < len(other) && other[passed].To <= x.From {
			passed++
		}
		for _, o := range other[passed:] {
			if o.From >= x.To {
				break
			}
			left.Add(x.From, o.From)
			x.From = min(o.To, x.To)
		}
		left.Add(x.From, x.To)
	}
	return left
}

// Both is what is in either set and also in the other.
func (r Ranges) Both(other Ranges) Ranges { return r.Without(r.Without(other)) }

// Unite adds what is in another set and not in this one yet.
func (r *Ranges) Unite(other Ranges) { r.Merge(other.Without(*r)) }

// Valid reports whether the set is ascending, without overlaps and without gaps
// of zero length: what came from elsewhere may be anything.
func (r Ranges) Valid() bool {
	last := -1
	for _, x := range r {
		if x.From <= last || x.From >= x.To {
			return false
		}
		last = x.To
	}
	return true
}

// Chunks cuts the set into lists of at most size items, in ascending order.
func (r Ranges) Chunks(size int) [][]int {
	var chunks [][]int
	var chunk []int
	for _, x := range r {
		for i := x.From; i < x.To; i++ {
			if chunk = append(chunk, i); len(chunk) == size {
				chunks, chunk = append(chunks, chunk), nil
			}
		}
	}
	if len(chunk) > 0 {
		chunks = append(chunks, chunk)
	}
	return chunks
}

// Clip keeps the first ranges of a set, and says whether it dropped any.
func (r Ranges) Clip(most int) (Ranges, bool) {
	if len(r) <= most {
		return r, false
	}
	return r[:most:most], true
}
