package workflows

import "github.com/tollgate/tollgate/activities/outcome"

// The words of package outcome are repeated here, so that whoever reads a Summary
// needs no other package.
type (
	// Outcome is how one customer's charge ended.
	Outcome = outcome.Outcome
	// Tally counts outcomes.
	Tally = outcome.Tally
	// Exceptions lists the items that were not charged.
	Exceptions = outcome.Exceptions
	// Ranges is a set of items.
	Ranges = outcome.Ranges
	// Range is neighbours in a set.
	Range = outcome.Range
)

// The outcomes; Summary explains each.
const (
	Charged      = outcome.Charged
	Declined     = outcome.Declined
	CapDenied    = outcome.CapDenied
	NotAttempted = outcome.NotAttempted
	Unknown      = outcome.Unknown
	Failed       = outcome.Failed
	Rejected     = outcome.Rejected
)
