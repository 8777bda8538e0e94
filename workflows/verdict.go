package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities"
)

// verdict is what the error of a charge says: how this item ended, and whether
// the reason is true of every further item too.
type verdict struct {
	outcome Outcome
	stop    string // a reason to stop the run; empty: go on
}

// judge never concludes "no effect" from an error that does not prove it. What
// ran out of time, was cancelled, or is not understood is Unknown until the
// ledger has been read.
func judge(err error) verdict {
	if err == nil {
		return verdict{outcome: Charged}
	}
	kind := errorType(err)
	switch kind {
	case activities.TypeCapExhausted:
		return verdict{outcome: CapDenied, stop: kind}
	case activities.TypePerCallCapExceeded:
		return verdict{outcome: CapDenied}
	case activities.TypeChargeDeclined:
		return verdict{outcome: Declined}
	case activities.TypeInvalidRequest:
		return verdict{outcome: Failed}
	case activities.TypeIdempotencyMismatch:
		// There is a call of this item already, and it may have been charged.
		return verdict{outcome: Unknown}
	case activities.TypeKeyUnknown:
		// A ledger that does not know the key does not know earlier attempts either.
		return verdict{outcome: Unknown, stop: kind}
	case activities.TypeWrongLedger:
		// Tried for as long as a charge may take: the run's own ledger is not coming
		// back by itself. An earlier attempt may have reached it.
		return verdict{outcome: Unknown, stop: kind}
	case activities.TypeKeyRevoked, activities.TypeKeyExpired,
		activities.TypeEndpointNotAllowed, activities.TypeScopeDenied, activities.TypeUnmeteredOperation,
		activities.TypeVendorUnknown:
		// The proxy looks for an earlier attempt before it looks at the key: either
		// none was sent, or each was refused or proved to be without effect.
		return verdict{outcome: NotAttempted, stop: kind}
	case activities.TypeVendorCredentials:
		return verdict{outcome: Failed, stop: kind}
	}
	return verdict{outcome: Unknown}
}

// errorType is the type of the application error in err; empty if there is none.
func errorType(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Type()
	}
	return ""
}
