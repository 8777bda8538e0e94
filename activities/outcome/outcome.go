// Package outcome counts how the items of a run ended. Activities and workflows
// speak of items in it: as sets, in which thousands of neighbours take the room
// of one, and as tallies.
package outcome

import (
	"fmt"
	"slices"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Outcome is how one customer's charge ended.
type Outcome string

// The outcomes. Unknown means that the vendor may have acted; NotAttempted and
// Failed are both without effect.
const (
	Charged      Outcome = "charged"
	Declined     Outcome = "declined"
	CapDenied    Outcome = "cap_denied"
	NotAttempted Outcome = "not_attempted"
	Unknown      Outcome = "unknown"
	Failed       Outcome = "failed"
)

// Tally counts outcomes, and adds up what was charged.
type Tally struct {
	Charged      int       `json:"charged"`
	Declined     int       `json:"declined"`
	CapDenied    int       `json:"cap_denied"`
	NotAttempted int       `json:"not_attempted"`
	Unknown      int       `json:"unknown"`
	Failed       int       `json:"failed"`
	ChargedUSD   money.USD `json:"charged_usd"`
}

// Total is how many items were counted.
func (t *Tally) Total() int {
	return t.Charged + t.Declined + t.CapDenied + t.NotAttempted + t.Unknown + t.Failed
}

// Count adds n items of one outcome.
func (t *Tally) Count(outcome Outcome, n int) {
	*t.counter(outcome) += n
}

// Merge adds another tally.
func (t *Tally) Merge(other Tally) {
	t.Charged += other.Charged
	t.Declined += other.Declined
	t.CapDenied += other.CapDenied
	t.NotAttempted += other.NotAttempted
	t.Unknown += other.Unknown
	t.Failed += other.Failed
	t.AddCharged(other.ChargedUSD)
}

// AddCharged adds an amount, in micro-USD. It cannot overflow: a million customers at the vendor's largest
// amount are a ninth of what fits. Should a forged input try, the sum sticks at
// the maximum instead of turning negative.
func (t *Tally) AddCharged(amount money.USD) {
	sum, err := money.Add(t.ChargedUSD, amount)
	if err != nil {
		sum = money.Max
	}
	t.ChargedUSD = sum
}

func (t *Tally) counter(outcome Outcome) *int {
	switch outcome {
	case Charged:
		return &t.Charged
	case Declined:
		return &t.Declined
	case CapDenied:
		return &t.CapDenied
	case NotAttempted:
		return &t.NotAttempted
	case Unknown:
		return &t.Unknown
	case Failed:
		return &t.Failed
	}
	panic(fmt.Sprintf("outcome %q has no counter", outcome))
}

// MaxRanges bounds the ranges kept for one outcome, so that the result
// of the largest run stays a small payload. Counts are always complete.
const MaxRanges = 200

// Exceptions lists the items that were not charged, as ranges of item indexes.
type Exceptions struct {
	Declined     Ranges `json:"declined,omitempty"`
	CapDenied    Ranges `json:"cap_denied,omitempty"`
	NotAttempted Ranges `json:"not_attempted,omitempty"`
	Unknown      Ranges `json:"unknown,omitempty"`
	Failed       Ranges `json:"failed,omitempty"`
	// Truncated: there were more ranges than fit; the ledger's audit has them all.
	Truncated bool `json:"truncated,omitempty"`
}

// Of is the set of an outcome; nil for Charged, which is no exception.
func (e *Exceptions) Of(outcome Outcome) *Ranges {
	switch outcome {
	case Declined:
		return &e.Declined
	case CapDenied:
		return &e.CapDenied
	case NotAttempted:
		return &e.NotAttempted
	case Unknown:
		return &e.Unknown
	case Failed:
		return &e.Failed
	case Charged:
	}
	return nil
}

// exceptional are the outcomes that Exceptions lists, in a fixed order.
func exceptional() []Outcome {
	return []Outcome{Declined, CapDenied, NotAttempted, Unknown, Failed}
}

// Merge adds other, keeping no more ranges than fit.
func (e *Exceptions) Merge(other Exceptions) {
	e.Truncated = e.Truncated || other.Truncated
	for _, outcome := range exceptional() {
		set := e.Of(outcome)
		set.Merge(*other.Of(outcome))
		clipped, dropped := set.Clip(MaxRanges)
		*set = clipped
		e.Truncated = e.Truncated || dropped
	}
}

// Append adds all of other, however much it is.
func (e *Exceptions) Append(other Exceptions) {
	e.Truncated = e.Truncated || other.Truncated
	for _, outcome := range exceptional() {
		e.Of(outcome).Merge(*other.Of(outcome))
	}
}

// Clone is a copy that shares nothing with the original.
func (e Exceptions) Clone() Exceptions {
	for _, outcome := range exceptional() {
		set := e.Of(outcome)
		*set = slices.Clone(*set)
	}
	return e
}

// Book counts the items [from, to) in both, and lists them unless they were charged.
func Book(t *Tally, e *Exceptions, what Outcome, from, to int) {
	t.Count(what, max(0, to-from))
	if set := e.Of(what); set != nil {
		set.Add(from, to)
	}
}
