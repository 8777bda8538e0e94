package sqlite

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKnown_NeverTakesAKnownCallForANewOne(t *testing.T) {
	t.Parallel()
	var k known
	require.True(t, k.absent("call_0"))
	const calls = firstLayer*3 + 17 // into the second layer
	for i := range calls {
		k.add("call_" + strconv.Itoa(i))
	}
	require.Greater(t, len(k.layers), 1)
	for i := range calls {
		require.False(t, k.absent("call_"+strconv.Itoa(i)))
	}
	wrong := 0
	for i := range 10_000 {
		if !k.absent("other_" + strconv.Itoa(i)) {
			wrong++
		}
	}
	require.Less(t, wrong, 500, "new calls are told apart from known ones nearly always")
}
