package vaultproxy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

const (
	linearRounds = 30
	// searchLimit bounds the search of one round, which takes milliseconds: to be
	// undecided is to have failed.
	searchLimit = forAsLongAsItTakes
)

// Whatever many clients are told who call at the same time, by whichever
// replica, is what one proxy would have told them that took one call after the
// other: no cap is passed, no charge is made twice, no denial is untrue.
func TestLinearizability_ConcurrentCallsAnswerAsIfMadeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for name, open := range stands() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, nil)
			events := map[event]int{}
			for seed := range uint64(s.rounds) {
				r := playRound(t, s, seed, linearOps)
				if verdict := r.check(); verdict != porcupine.Ok {
					require.FailNow(t, "the history is not linearizable",
						"porcupine: %s; seed %d; the history is drawn in %s", verdict, seed, r.draw(t))
				}
				r.requireExcuses(t)
				for run := range r.plans {
					r.requireOneSum(t, s, run)
				}
				for _, op := range r.history {
					events[op.Input.(moment).event]++
				}
			}
			for _, e := range slices.Sorted(maps.Keys(events)) {
				t.Logf("%6d %s", events[e], e)
			}
			// Of what never happened nothing was shown. Only what needs two calls at the very
			// same time (cap_contended, idempotency_in_flight) is left to the machine.
			for _, e := range []event{keyIssued, issueRefused, keyRevoked, settledCharge, settledDecline, replayed,
				capExhausted, chargeByRevoked, budgetsRead} {
				require.Positive(t, events[e], "%s: it never happened", e)
			}
		})
	}
}

func (r *round) check() porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(runModel(), r.history, searchLimit)
}

// draw writes the history to where it outlives the test, and names the file.
func (r *round) draw(t *testing.T) string {
	t.Helper()
	_, info := porcupine.CheckOperationsVerbose(runModel(), r.history, searchLimit)
	folder, err := os.MkdirTemp("", "tollgate-history-") //nolint:usetesting // whoever reads of the failure opens it
	require.NoError(t, err)
	path := filepath.Join(folder, fmt.Sprintf("seed-%d.html", r.seed))
	require.NoError(t, porcupine.VisualizePath(runModel(), info, path))
	return path
}

// requireExcuses holds "try again" to its reason: another call of the run was
// under way, and for the same item if that is what was said.
func (r *round) requireExcuses(t *testing.T) {
	t.Helper()
	for _, op := range r.history {
		m := op.Input.(moment)
		if m.event != capContended && m.event != chargeInFlight {
			continue
		}
		excused := slices.ContainsFunc(r.history, func(other porcupine.Operation) bool {
			o := other.Input.(moment)
			return o.event == reserved && o.run == m.run && other.Call <= op.Return && op.Call <= other.Return &&
				(o.item == m.item || m.event == capContended)
		})
		require.True(t, excused, "seed %d: %s, and nothing else was under way", r.seed, m)
	}
}

// requireOneSum compares what the clients were told, what the ledger has
// settled and what the vendor has really taken.
func (r *round) requireOneSum(t *testing.T, s *stand, run int) {
	t.Helper()
	plan := r.plans[run]
	var told money.USD
	for _, op := range r.history {
		if m := op.Input.(moment); m.run == run && m.event == settledCharge {
			told += m.price
		}
	}
	reports, err := s.store.RunReports(t.Context(), plan.label)
	require.NoError(t, err)
	require.Len(t, reports, 1)
	var taken money.USD
	for _, c := range s.sim.Truth().Charged {
		if c.Metadata["tollgate_run"] == plan.label {
			taken += money.USD(c.CapturedAmount) * money.Cent
		}
	}
	require.Equal(t, told, reports[0].Budget.Settled, "seed %d, run %d: told and settled", r.seed, run)
	require.Equal(t, told, taken, "seed %d, run %d: told and taken", r.seed, run)
	require.Zero(t, reports[0].Budget.Held(), "seed %d, run %d: nothing is under way any more", r.seed, run)
	require.LessOrEqual(t, told, plan.caps[wholeRun], "seed %d, run %d", r.seed, run)
}
