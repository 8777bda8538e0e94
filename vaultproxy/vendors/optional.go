package vendors

import (
	"context"
	"time"
)

// What follows are things that only some vendors need. A profile has them or
// leaves them out.

// Placer is a profile of a vendor whose API is spread over several hosts.
type Placer interface {
	// Place returns the base URL that a path lives under, given the one that the
	// operator configured. It must not depend on anything else: the vendor's secret
	// goes there.
	Place(base, path string) string
}

// Pacer is a profile that knows how soon something changes at its vendor.
type Pacer interface {
	// Pace is how long the reconciler leaves a call alone after so many looks at
	// it, from zero.
	Pace(looks int) time.Duration
}

// Denier is a profile of a vendor whose SDK decodes errors of a shape of its own.
type Denier interface {
	// Denial is the body of an answer that the proxy gives itself, to be written as
	// JSON. Fields are those of the data plane's own body.
	Denial(status int, fields map[string]any) any
}

// Concealer is a profile of a vendor whose answers may hold what money is spent
// with past the proxy.
type Concealer interface {
	// Conceal takes that out of an answer before anybody gets to see it or it is
	// stored. Of a read only the operation is known of what was sent.
	Conceal(Sent, Answer) Answer
}

// Books is what a Getter tells besides, where it is handed to Lookup: a look-up
// without a stamp must not find for one call what another one made.
type Books interface {
	// Taken reports whether another call holds or has settled a vendor object.
	Taken(ctx context.Context, object string) (bool, error)
	// InFlight reports whether another call with the same request is on its way: what
	// it makes shows at the vendor before it is on the books. To be asked after what
	// the vendor has was read, and before Taken.
	InFlight(ctx context.Context) (bool, error)
}
