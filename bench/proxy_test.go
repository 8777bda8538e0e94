package bench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/bench"
)

// What the benchmark claims to measure works; how fast is for `make bench`.
func TestProxy_LoadsBothSides(t *testing.T) {
	t.Parallel()
	got, err := bench.Proxy(t.Context(), bench.ProxyConfig{Connections: 8, Calls: 200, Rounds: 3})
	require.NoError(t, err)
	require.Len(t, got.Bare, 3)
	require.Len(t, got.Tollgate, 3)
	require.Positive(t, got.Ratio())
}

func BenchmarkVaultProxy(b *testing.B) {
	for b.Loop() {
		got, err := bench.Proxy(b.Context(), bench.ProxyConfig{Connections: 64, Calls: 10000, Rounds: 3})
		require.NoError(b, err)
		b.ReportMetric(bench.Median(got.Tollgate), "tollgate/s")
		b.ReportMetric(bench.Median(got.Bare), "bare/s")
		b.ReportMetric(got.Ratio(), "ratio")
	}
}
