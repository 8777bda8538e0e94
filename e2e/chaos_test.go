package e2e_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/e2e/chaos"
)

// One round of `make chaos`, in which each part is killed by itself and then all of
// them at once: the worker, the proxy, and the Temporal server, which comes back on
// its file.
func TestChaos_ARunOutlivesWorkerProxyAndTemporal(t *testing.T) {
	t.Parallel() // it mostly waits for proof
	cfg := demoConfig(t, 300)
	cfg.Stack.Proxy = filepath.Join(cfg.Stack.Bin, "vaultproxy")
	cfg.Stack.Latency = 500 * time.Millisecond // or all might be charged before the last blow falls
	got, err := chaos.Round(t.Context(), chaos.Config{
		Stack: cfg.Stack, Customers: cfg.Customers, RunArgs: []string{"--window", "4"}, Deadline: 20 * time.Minute, Log: cfg.Err,
	}, 1, 3)
	require.NoError(t, err)
	require.Empty(t, got.Problems)
	require.True(t, got.OK)
	require.Zero(t, got.DuplicateCharges)
	require.Zero(t, got.OverspendUSD)
	for _, part := range chaos.Parts() {
		require.Positive(t, got.Kills[part], part)
	}
}
