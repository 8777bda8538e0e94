package sqlite

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKnown_NeverTakesAKnownCallForANewOne(t *testing.T) {
	t.Parallel()
	var f filter
	require.True(t, f.absent("call_0"))
	const calls = firstLayer*3 + 17 // into the second layer
	for i := range calls {
		f.add("call_" + strconv.Itoa(i))
	}
	require.Greater(t, len(f.layers), 1)
	for i := range calls {
		require.False(t, f.absent("call_"+strconv.Itoa(i)))
	}
	wrong := 0
	for i := range 10_000 {
		if !f.absent("other_" + strconv.Itoa(i)) {
			wrong++
		}
	}
	require.Less(t, wrong, 500, "new calls are told apart from known ones nearly always")
}
