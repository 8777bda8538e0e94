package outcome_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tollgate/tollgate/activities/outcome"
)

func TestRanges_AreTheSetOfWhatWasAddedInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfNDistinct(rapid.IntRange(0, 60), 0, 50, rapid.ID[int]).Draw(t, "items")
		var set outcome.Ranges
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

		require.True(t, set.Valid())
		rest, n := set, rapid.IntRange(0, 60).Draw(t, "how many to take")
		taken := rest.Take(n)
		require.Equal(t, min(n, set.Len()), taken.Len())
		require.Equal(t, walked, flat(append(slices.Clone(taken), rest...)), "the first ones, and nothing is lost")
		require.Equal(t, flat(rest), flat(set.Without(taken)))
		require.Equal(t, flat(taken), flat(set.Without(rest)))
	})
}

func TestRanges_MergeJoinsNeighbours(t *testing.T) {
	t.Parallel()
	set := outcome.Ranges{{From: 0, To: 10}, {From: 20, To: 30}}
	set.Merge(outcome.Ranges{{From: 10, To: 20}, {From: 40, To: 41}})
	require.Equal(t, outcome.Ranges{{From: 0, To: 30}, {From: 40, To: 41}}, set)
	set.Add(35, 35)
	require.Equal(t, outcome.Ranges{{From: 0, To: 30}, {From: 40, To: 41}}, set, "an empty range is nothing")
}

func TestRanges_KnowASetFromWhatIsNone(t *testing.T) {
	t.Parallel()
	require.True(t, outcome.Ranges(nil).Valid())
	require.True(t, outcome.Span(3, 7).Valid())
	require.Empty(t, outcome.Span(7, 7))
	for sentence, set := range map[string]outcome.Ranges{
		"it is empty":     {{From: 4, To: 4}},
		"it is backwards": {{From: 4, To: 3}},
		"before the list": {{From: -1, To: 3}},
		"they overlap":    {{From: 0, To: 3}, {From: 2, To: 5}},
		"they touch":      {{From: 0, To: 3}, {From: 3, To: 5}},
		"they descend":    {{From: 5, To: 6}, {From: 0, To: 3}},
	} {
		require.False(t, set.Valid(), sentence)
	}
}

func TestExceptions_KeepABoundedNumberOfRangesAndSaySo(t *testing.T) {
	t.Parallel()
	var all, many outcome.Exceptions
	for i := range outcome.MaxRanges + 1 {
		many.Declined.Add(2*i, 2*i+1)
	}
	all.Merge(outcome.Exceptions{Failed: outcome.Span(1, 2)})
	require.False(t, all.Truncated)
	all.Merge(many)
	require.True(t, all.Truncated)
	require.Len(t, all.Declined, outcome.MaxRanges)
	require.Equal(t, outcome.Span(1, 2), all.Failed)
	all.Merge(outcome.Exceptions{})
	require.True(t, all.Truncated, "what was dropped does not come back")
}

func flat(set outcome.Ranges) []int {
	var items []int
	for _, r := range set {
		for i := r.From; i < r.To; i++ {
			items = append(items, i)
		}
	}
	return items
}
