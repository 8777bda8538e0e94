package gogc

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRelax(t *testing.T) {
	before := debug.SetGCPercent(77)
	t.Cleanup(func() { debug.SetGCPercent(before) })

	t.Setenv("GOGC", "77")
	Relax()
	require.Equal(t, 77, debug.SetGCPercent(77), "what the environment says stands")

	require.NoError(t, os.Unsetenv("GOGC")) // t.Setenv puts it back
	Relax()
	require.Equal(t, Percent, debug.SetGCPercent(77))
}
