package workflows

import "github.com/tollgate/tollgate/activities/outcome"

// How items end is told in the words of package outcome. They are repeated here,
// so that whoever reads a Summary needs no other package.
type (
	Outcome    = outcome.Outcome    // how one customer's charge ended
	Tally      = outcome.Tally      // counts of outcomes
	Exceptions = outcome.Exceptions // the items that were not charged
	Ranges     = outcome.Ranges     // a set of items
	Range      = outcome.Range      // neighbours in a set
)

// The outcomes; Summary explains each.
const (
	Charged      = outcome.Charged
	Declined     = outcome.Declined
	CapDenied    = outcome.CapDenied
	NotAttempted = outcome.NotAttempted
	Unknown      = outcome.Unknown
	Failed       = outcome.Failed
)
