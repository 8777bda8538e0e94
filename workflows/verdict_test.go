package workflows

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities"
)

func TestJudge_ConcludesNoMoreThanTheErrorProves(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]verdict{
		activities.TypeCapExhausted:        {CapDenied, "CapExhausted"},
		activities.TypePerCallCapExceeded:  {CapDenied, ""},
		activities.TypeChargeDeclined:      {Declined, ""},
		activities.TypeInvalidRequest:      {Failed, ""},
		activities.TypeIdempotencyMismatch: {Unknown, ""}, // the item has a call already
		activities.TypeKeyUnknown:          {Unknown, "KeyUnknown"},
		activities.TypeWrongLedger:         {Unknown, "WrongLedger"}, // for the whole of the charge's time
		activities.TypeKeyRevoked:          {NotAttempted, "KeyRevoked"},
		activities.TypeKeyExpired:          {NotAttempted, "KeyExpired"},
		activities.TypeEndpointNotAllowed:  {NotAttempted, "EndpointNotAllowed"},
		activities.TypeScopeDenied:         {NotAttempted, "ScopeDenied"},
		activities.TypeUnmeteredOperation:  {NotAttempted, "UnmeteredOperation"},
		activities.TypeVendorUnknown:       {NotAttempted, "VendorUnknown"},
		activities.TypeVendorCredentials:   {Failed, "VendorCredentials"},
		// Retried until the time was up, or not understood: the ledger has to say.
		activities.TypeUnexpected:          {Unknown, ""},
		activities.TypeCapContended:        {Unknown, ""},
		activities.TypeRateLimited:         {Unknown, ""},
		activities.TypeIdempotencyInFlight: {Unknown, ""},
		activities.TypeOutcomeUnknown:      {Unknown, ""},
		activities.TypeVendorUnavailable:   {Unknown, ""},
		activities.TypeLedgerUnavailable:   {Unknown, ""},
		activities.TypeOverloaded:          {Unknown, ""},
		activities.TypeProxyUnreachable:    {Unknown, ""},
		"TypeOfALaterVersion":              {Unknown, ""},
	} {
		require.Equal(t, want, judge(temporal.NewApplicationError("refused", kind)), kind)
	}
	require.Equal(t, verdict{Charged, ""}, judge(nil))
	for _, err := range []error{
		temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil),
		temporal.NewTimeoutError(enums.TIMEOUT_TYPE_START_TO_CLOSE, temporal.NewApplicationError("refused", activities.TypeCapContended)),
		temporal.NewCanceledError(),
		errors.New("anything else"),
	} {
		require.Equal(t, verdict{Unknown, ""}, judge(err), "%v", err)
	}
}

func TestExceptions_KeepABoundedNumberOfRangesAndSaySo(t *testing.T) {
	t.Parallel()
	var all, many Exceptions
	for i := range maxExceptionRanges + 1 {
		many.Declined.Add(2*i, 2*i+1)
	}
	all.merge(Exceptions{Failed: Ranges{{From: 1, To: 2}}})
	require.False(t, all.Truncated)
	all.merge(many)
	require.True(t, all.Truncated)
	require.Len(t, all.Declined, maxExceptionRanges)
	require.Equal(t, Ranges{{From: 1, To: 2}}, all.Failed)
	all.merge(Exceptions{})
	require.True(t, all.Truncated, "what was dropped does not come back")
}

func TestAbsorb_KeepsWhatIsBeyondTheBoundUnknown(t *testing.T) {
	t.Parallel()
	b := &billing{}
	var result BatchResult
	for i := range maxInDoubt + 10 {
		result.Exceptions.Unknown.Add(2*i, 2*i+1)
		result.Tally.Count(Unknown, 1)
	}
	b.absorb(result)
	require.Len(t, b.state.InDoubt, maxInDoubt)
	require.Len(t, b.state.Exceptions.Unknown, 10)
	require.Equal(t, maxInDoubt+10, b.state.Tally.Unknown)
}
