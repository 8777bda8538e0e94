package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/e2e/stack"
)

func TestStack_IsNotLedAstrayByTheUsersTemporalProfiles(t *testing.T) {
	cfg := demoConfig(t, 1).Stack // builds the programs, for which Go's caches are at home
	home := t.TempDir()
	for _, config := range []string{".config", "Library/Application Support"} {
		dir := filepath.Join(home, config, "temporalio")
		require.NoError(t, os.MkdirAll(dir, 0o700))
		const elsewhere = "address = \"127.0.0.1:1\"\nnamespace = \"elsewhere\"\napi_key = \"secret\"\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal.toml"), []byte("[profile.default]\n"+elsewhere), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal.yaml"), []byte("env:\n  default:\n    address: 127.0.0.1:1\n    tls: true\n"), 0o600))
	}
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")

	s, err := stack.Start(t.Context(), cfg)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.StartWorker(t.Context()))
	out, err := s.TemporalCLI(t.Context(), "workflow", "count").CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = s.Starter(t.Context(), "keys").CombinedOutput()
	require.NoError(t, err, string(out))
}
