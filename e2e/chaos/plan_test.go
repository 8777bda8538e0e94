package chaos

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlan_KillsEveryPartInEveryRoundAndTheSameWayForTheSameSeed(t *testing.T) {
	t.Parallel()
	together := 0
	for round := 1; round <= 60; round++ {
		blows := plan(7, round)
		require.Equal(t, blows, plan(7, round))
		killed := map[Part]int{}
		last := 0.0
		for _, b := range blows {
			require.GreaterOrEqual(t, b.share, last, "in the order of their moments")
			require.LessOrEqual(t, b.share, latest)
			require.Less(t, b.down, longestDown)
			last = b.share
			if len(b.parts) == len(Parts()) {
				together++
			}
			for _, part := range b.parts {
				killed[part]++
			}
		}
		require.GreaterOrEqual(t, blows[0].share, earliest)
		for _, part := range Parts() {
			require.Positive(t, killed[part], "%s in round %d", part, round)
		}
	}
	require.Equal(t, 20, together)
	require.NotEqual(t, plan(7, 1), plan(8, 1))
}
