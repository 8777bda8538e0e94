package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
)

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

func TestAbsorb_TakesBackWhatAPauseCutShort(t *testing.T) {
	t.Parallel()
	b := &batch{}
	items := Ranges{{From: 0, To: 50}}
	result := activities.RangeResult{
		Tally: Tally{Charged: 8, Unknown: 2}, Done: Ranges{{From: 0, To: 10}}, Cut: Ranges{{From: 8, To: 10}},
	}

	b.absorb(nil, items, result, 0, true)

	require.Equal(t, Ranges{{From: 8, To: 50}}, b.rest, "they are charged after the pause, and are not given up")
	require.Equal(t, Ranges{{From: 8, To: 10}}, b.tried)
	require.Empty(t, b.result.Cut)
	require.Equal(t, Tally{Charged: 8}, b.result.Tally)
}
