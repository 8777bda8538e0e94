package activities_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/outcome"
)

func TestJudge_ConcludesNoMoreThanTheErrorProves(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]activities.Verdict{
		activities.TypeCapExhausted:        {Outcome: outcome.CapDenied, Stop: "CapExhausted"},
		activities.TypePerCallCapExceeded:  {Outcome: outcome.CapDenied},
		activities.TypeChargeDeclined:      {Outcome: outcome.Declined},
		activities.TypeInvalidRequest:      {Outcome: outcome.Failed},
		activities.TypeIdempotencyMismatch: {Outcome: outcome.Unknown}, // the item has a call already
		activities.TypeKeyUnknown:          {Outcome: outcome.Unknown, Stop: "KeyUnknown"},
		activities.TypeWrongLedger:         {Outcome: outcome.Unknown, Stop: "WrongLedger"}, // for the whole of the charge's time
		activities.TypeKeyRevoked:          {Outcome: outcome.NotAttempted, Stop: "KeyRevoked"},
		activities.TypeKeyExpired:          {Outcome: outcome.NotAttempted, Stop: "KeyExpired", Again: true},
		activities.TypeEndpointNotAllowed:  {Outcome: outcome.NotAttempted, Stop: "EndpointNotAllowed"},
		activities.TypeScopeDenied:         {Outcome: outcome.NotAttempted, Stop: "ScopeDenied"},
		activities.TypeUnmeteredOperation:  {Outcome: outcome.NotAttempted, Stop: "UnmeteredOperation"},
		activities.TypeVendorUnknown:       {Outcome: outcome.NotAttempted, Stop: "VendorUnknown"},
		activities.TypeVendorCredentials:   {Outcome: outcome.Failed, Stop: "VendorCredentials"},
		// Retried until the time was up, or not understood: the ledger has to say.
		activities.TypeUnexpected:          {Outcome: outcome.Unknown},
		activities.TypeCapContended:        {Outcome: outcome.Unknown},
		activities.TypeRateLimited:         {Outcome: outcome.Unknown},
		activities.TypeIdempotencyInFlight: {Outcome: outcome.Unknown},
		activities.TypeOutcomeUnknown:      {Outcome: outcome.Unknown},
		activities.TypeVendorUnavailable:   {Outcome: outcome.Unknown},
		activities.TypeLedgerUnavailable:   {Outcome: outcome.Unknown, Stop: "ProxyUnreachable", Again: true},
		activities.TypeOverloaded:          {Outcome: outcome.Unknown},
		activities.TypeProxyUnreachable:    {Outcome: outcome.Unknown, Stop: "ProxyUnreachable", Again: true},
		"TypeOfALaterVersion":              {Outcome: outcome.Unknown},
	} {
		require.Equal(t, want, activities.Judge(temporal.NewApplicationError("refused", kind)), kind)
	}
	require.Equal(t, activities.Verdict{Outcome: outcome.Charged}, activities.Judge(nil))
	for _, err := range []error{
		temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil),
		temporal.NewTimeoutError(enums.TIMEOUT_TYPE_START_TO_CLOSE, temporal.NewApplicationError("refused", activities.TypeCapContended)),
		temporal.NewCanceledError(),
		errors.New("anything else"),
	} {
		require.Equal(t, activities.Verdict{Outcome: outcome.Unknown}, activities.Judge(err), "%v", err)
	}
}
