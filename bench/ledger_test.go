package bench_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/bench"
)

func TestMeasureLedger_MeasuresBothModesOfEveryStore(t *testing.T) {
	t.Parallel()
	for _, store := range bench.LedgerStores() {
		t.Run(store.Name, func(t *testing.T) {
			t.Parallel()
			// By number: what a slow disk gets done in some time may be too little to tell.
			cfg := bench.LedgerConfig{Callers: 8, Rounds: 3, Round: time.Millisecond, Least: 200}
			got, err := bench.MeasureLedger(t.Context(), cfg, store)
			if err != nil {
				require.ErrorIs(t, err, bench.ErrNoServer)
				require.NotEqual(t, "1", os.Getenv("TOLLGATE_REQUIRE_ALL"), err)
				t.Skip(err)
			}
			require.Len(t, got.Group.Reservations, cfg.Rounds)
			require.Len(t, got.Naive.Reservations, cfg.Rounds)
			require.Positive(t, got.Ratio())
			require.InDelta(t, 1, got.Naive.MeanBatch(), 0.1, "a transaction a call")
			require.Greater(t, got.Group.MeanBatch(), 1.1, "calls share a transaction")
		})
	}
}
