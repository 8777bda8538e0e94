package vaultproxy_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

func TestL15_ARestartProvesWhatWasInFlight(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ executed bool }{
		"and was charged":     {true},
		"and was not charged": {false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(http.MethodPost)
			b := setup(t, setupOptions{gate: g})
			key := b.issue(money.Dollar)
			if !tc.executed {
				b.sim.NextFaults(vendorsim.ClosedAfterRead)
			}
			first := b.inBackground(key.VaultKey, intents, "item-1", charge)
			<-g.entered
			require.NoError(t, b.store.Close()) // the process can write nothing any more
			g.release()
			require.Equal(t, "outcome_unknown", (<-first).code())
			b.stop()
			b.start()

			require.Equal(t, "unknown", b.call("item-1").State)
			require.Equal(t, "interrupted", b.call("item-1").Reason)
			require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)
			got := b.post(key.VaultKey, intents, "item-1", charge)
			require.Equal(t, http.StatusOK, got.status, got.raw)
			b.requireBudget(0, money.Dollar)
			require.Equal(t, 1, b.sim.Truth().Charges)
			if tc.executed {
				b.sentOnce()
			}
		})
	}
}

func TestL15_ARestartKeepsKeysCapsAndRevocations(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(2 * money.Dollar)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	b.stop()
	b.start()
	require.Equal(t, key, b.issue(2*money.Dollar), "the token is derived, not stored")
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-2", charge).status)
	require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "item-3", charge).code())
	revoke(b, key)
	b.stop()
	b.start()
	require.Equal(t, "key_revoked", b.post(key.VaultKey, intents, "item-3", charge).code())
}
