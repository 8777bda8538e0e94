package workflows

import "slices"

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

// clip keeps the first ranges of a set, and says whether it dropped any.
func (r Ranges) clip(most int) (Ranges, bool) {
	if len(r) <= most {
		return r, false
	}
	return r[:most:most], true
}
