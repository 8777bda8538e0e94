package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"
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
