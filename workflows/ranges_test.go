package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tollgate/tollgate/workflows"
)

func TestRanges_AreTheSetOfWhatWasAddedInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfNDistinct(rapid.IntRange(0, 60), 0, 50, rapid.ID[int]).Draw(t, "items")
		var set workflows.Ranges
		member := map[int]bool{}
		for _, item := range items {
			set.Add(item, item+1)
			member[item] = true
		}
		require.Equal(t, len(items), set.Len())
		last := -1
		for _, r := range set {
			require.Less(t, r.From, r.To)
			require.Greater(t, r.From, last, "neighbours are one range")
			last = r.To
			for i := r.From; i < r.To; i++ {
				require.True(t, member[i])
			}
		}
		size := rapid.IntRange(1, 20).Draw(t, "chunk size")
		var walked []int
		for _, chunk := range set.Chunks(size) {
			require.NotEmpty(t, chunk)
			require.LessOrEqual(t, len(chunk), size)
			walked = append(walked, chunk...)
		}
		require.Len(t, walked, len(items))
		require.IsIncreasing(t, append([]int{-1}, walked...))
	})
}

func TestRanges_MergeJoinsNeighbours(t *testing.T) {
	t.Parallel()
	set := ranges(0, 10, 20, 30)
	set.Merge(ranges(10, 20, 40, 41))
	require.Equal(t, ranges(0, 30, 40, 41), set)
	set.Add(35, 35)
	require.Equal(t, ranges(0, 30, 40, 41), set, "an empty range is nothing")
}
