package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func usd(n int64) *money.USD {
	d := money.USD(n) * money.Dollar
	return &d
}

func TestTerms_L13_TheRunCapIsTheNarrowestPromiseThatWasMade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		terms ledger.Terms
		want  money.USD
	}{
		"a run cap is taken as it is":                   {ledger.Terms{RunCap: usd(3), TotalCap: usd(2), DailyCap: usd(1)}, 3 * money.Dollar},
		"without one the total cap counts":              {ledger.Terms{TotalCap: usd(2), DailyCap: usd(1)}, 2 * money.Dollar},
		"without that the daily cap, for all days":      {ledger.Terms{DailyCap: usd(1)}, money.Dollar},
		"a cap on single calls bounds no run":           {ledger.Terms{PerCallCap: usd(1)}, 0},
		"a run cap of nothing is not overridden either": {ledger.Terms{RunCap: usd(0), TotalCap: usd(2)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, c.terms.EffectiveRunCap())
		})
	}
}

func TestBudget_NamesItsKindAndItsReset(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		budget ledger.Budget
		kind   string
		resets time.Time
	}{
		"a day ends at the next midnight": {ledger.Budget{Scope: "key", Window: "2026-12-31"}, "key/day", midnight},
		"a key's total never resets":      {ledger.Budget{Scope: "key", Window: ledger.WindowTotal}, "key/total", time.Time{}},
		"a run's total never resets":      {ledger.Budget{Scope: "run", Window: ledger.WindowTotal}, "run/total", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.kind, c.budget.Kind())
			require.Equal(t, c.resets, c.budget.ResetsAt())
		})
	}
}

func TestBudget_RemainingCountsEveryHoldAndIsNeverNegative(t *testing.T) {
	t.Parallel()
	b := ledger.Budget{Cap: 100, Settled: 1, InFlight: 2, Committed: 3, Unknown: 4}
	require.EqualValues(t, 9, b.Held())
	require.EqualValues(t, 90, b.Remaining())
	b.Settled = 1000
	require.Zero(t, b.Remaining())
}

func TestState_OnlySettledAndReleasedAreFinal(t *testing.T) {
	t.Parallel()
	for state, want := range map[ledger.State]bool{
		ledger.Dispatched: false, ledger.Committed: false, ledger.Unknown: false, ledger.Settled: true, ledger.Released: true,
	} {
		require.Equal(t, want, state.Final(), state)
	}
}
