package workflows

import (
	"fmt"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Outcome is how one customer's charge ended.
type Outcome string

// The outcomes; Summary explains each.
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
	t.addCharged(other.ChargedUSD)
}

// addCharged cannot overflow: a million customers at the vendor's largest
// amount are a ninth of what fits. Should a forged input try, the sum sticks at
// the maximum instead of turning negative.
func (t *Tally) addCharged(amount money.USD) {
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

// maxExceptionRanges bounds the ranges kept for one outcome, so that the result
// of the largest run stays a small payload. Counts are always complete.
const maxExceptionRanges = 200

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

// of is the set of an outcome; nil for Charged, which is no exception.
func (e *Exceptions) of(outcome Outcome) *Ranges {
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

// merge adds other, keeping no more ranges than fit.
func (e *Exceptions) merge(other Exceptions) {
	e.Truncated = e.Truncated || other.Truncated
	for _, outcome := range exceptional() {
		set := e.of(outcome)
		set.Merge(*other.of(outcome))
		clipped, dropped := set.clip(maxExceptionRanges)
		*set = clipped
		e.Truncated = e.Truncated || dropped
	}
}
