package secretfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/secretfile"
)

func TestMake_IsForItsOwnerAloneAndNeverOverwrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "some.key")
	made, err := secretfile.Make(path, "first")
	require.NoError(t, err)
	require.True(t, made)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	made, err = secretfile.Make(path, "second")
	require.NoError(t, err)
	require.False(t, made)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "first\n", string(text))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "no half-made file stays")
}

func TestMake_LetsOneOfManyWin(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "some.key")
	var won sync.Map
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if made, err := secretfile.Make(path, fmt.Sprint(i)); err == nil && made {
				won.Store(fmt.Sprint(i)+"\n", true)
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, ok := won.Load(string(text))
	require.True(t, ok)
	winners := 0
	won.Range(func(any, any) bool { winners++; return true })
	require.Equal(t, 1, winners)
}

func TestMake_SaysWhatIsWrongWithTheFolder(t *testing.T) {
	t.Parallel()
	_, err := secretfile.Make(filepath.Join(t.TempDir(), "absent", "some.key"), "x")
	require.ErrorContains(t, err, "absent")
}
