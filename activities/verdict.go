package activities

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities/outcome"
)

// Verdict is what the error of a charge says: how this item ended, and whether
// the reason is true of every further item too.
type Verdict struct {
	Outcome outcome.Outcome
	Stop    string // a reason to charge no further item; empty: go on
	// Again: the reason is not the item's, and passes. With a new key, or with a
	// proxy that answers, it can be charged as if nothing had been.
	Again bool
}

// Judge never concludes "no effect" from an error that does not prove it. What
// ran out of time, was cancelled, or is not understood is Unknown until the
// ledger has been read.
func Judge(err error) Verdict {
	if err == nil {
		return Verdict{Outcome: outcome.Charged}
	}
	kind := ErrorType(err)
	switch kind {
	case TypeCapExhausted:
		return Verdict{Outcome: outcome.CapDenied, Stop: kind}
	case TypePerCallCapExceeded:
		return Verdict{Outcome: outcome.CapDenied}
	case TypeChargeDeclined:
		return Verdict{Outcome: outcome.Declined}
	case TypeInvalidRequest:
		return Verdict{Outcome: outcome.Failed}
	case TypeIdempotencyMismatch:
		// There is a call of this item already, and it may have been charged.
		return Verdict{Outcome: outcome.Unknown}
	case TypeKeyUnknown:
		// A ledger that does not know the key does not know earlier attempts either.
		return Verdict{Outcome: outcome.Unknown, Stop: kind}
	case TypeWrongLedger:
		// Tried for as long as a charge may take: the run's own ledger is not coming
		// back by itself. An earlier attempt may have reached it.
		return Verdict{Outcome: outcome.Unknown, Stop: kind}
	case TypeKeyRevoked,
		TypeEndpointNotAllowed, TypeScopeDenied, TypeUnmeteredOperation,
		TypeVendorUnknown:
		// The proxy looks for an earlier attempt before it looks at the key: either
		// none was sent, or each was refused or proved to be without effect.
		return Verdict{Outcome: outcome.NotAttempted, Stop: kind}
	case TypeKeyExpired:
		return Verdict{Outcome: outcome.NotAttempted, Stop: kind, Again: true}
	case TypeProxyUnreachable, TypeLedgerUnavailable:
		// Tried for as long as a charge may take. Every further item would use up its
		// time in the same way, and an earlier attempt may have come through.
		return Verdict{Outcome: outcome.Unknown, Stop: TypeProxyUnreachable, Again: true}
	case TypeVendorCredentials:
		return Verdict{Outcome: outcome.Failed, Stop: kind}
	}
	return Verdict{Outcome: outcome.Unknown}
}

// ErrorType is the type of the application error in err; empty if there is none.
func ErrorType(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Type()
	}
	return ""
}
