package vaultproxy_test

import (
	"errors"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// nothingGivenBack: what the vendor has done or may still do is booked or held.
func (c *crash) nothingGivenBack() {
	c.t.Helper()
	settled, held := c.booked()
	atLeast := money.USD(c.sim.Truth().SucceededTotalMicroUSD + c.sim.Truth().HeldTotalMicroUSD)
	for _, i := range crowd() {
		if i.name == "queued" && c.sim.Truth().PerCustomer[i.customer()] == 0 {
			atLeast += i.amount // the vendor has it and will do it
		}
	}
	require.GreaterOrEqual(c.t, settled+held, atLeast)
}

// booked sums up the run, and holds its budget to its cap and its calls.
func (c *crash) booked() (settled, held money.USD) {
	c.t.Helper()
	require.Empty(c.t, asked(c, func() ([]string, error) { return c.store.Verify(c.t.Context()) }))
	reports := asked(c, func() ([]ledger.RunReport, error) { return c.store.RunReports(c.t.Context(), c.run()) })
	require.Len(c.t, reports, 1)
	b := reports[0].Budget
	require.Equal(c.t, crashCap, b.Cap)
	require.LessOrEqual(c.t, b.Settled+b.Held(), b.Cap)
	require.Zero(c.t, b.Overrun)
	return b.Settled, b.Held()
}

func (c *crash) calls() []ledger.Call {
	c.t.Helper()
	return asked(c, func() ([]ledger.Call, error) {
		return c.store.Calls(c.t.Context(), ledger.CallFilter{Run: c.run()})
	})
}

// asked reads from the ledger, once more as long as it is away: a server that was
// struck may be on its way back, and connections of the pool still lead to the old one.
func asked[T any](c *crash, read func() (T, error)) T {
	c.t.Helper()
	var (
		found T
		err   error
	)
	require.Eventually(c.t, func() bool {
		found, err = read()
		return !errors.Is(err, ledger.ErrUnavailable)
	}, forAsLongAsItTakes, 5*time.Millisecond, "the ledger stays away")
	require.NoError(c.t, err)
	return found
}

func (c *crash) final() bool {
	c.t.Helper()
	for _, call := range c.calls() {
		if !call.State.Final() {
			return false
		}
	}
	return true
}

// agrees holds the ledger to the vendor's truth, object by object: every charge
// is one settled call of that amount, and the customers that were charged are
// these, each once.
func (c *crash) agrees(charged []item) {
	c.t.Helper()
	truth := c.sim.Truth()
	objects := map[string]vendorsim.ChargeTruth{}
	for _, object := range truth.Charged {
		require.Equal(c.t, vendorsim.TruthSucceeded, object.Status)
		require.NotContains(c.t, objects, object.PaymentIntent)
		objects[object.PaymentIntent] = object
	}
	var sum money.USD
	for _, call := range c.calls() {
		require.True(c.t, call.State.Final(), "%s is %s: %s", call.IdempotencyKey, call.State, call.Reason)
		if call.State == ledger.Released {
			continue
		}
		object, ok := objects[call.Object]
		require.True(c.t, ok, "%s is settled on %q, which the vendor never charged", call.IdempotencyKey, call.Object)
		delete(objects, call.Object)
		require.Equal(c.t, call.ID, object.Metadata["tollgate_call"])
		require.Equal(c.t, "cus_"+call.IdempotencyKey, object.Customer)
		require.Equal(c.t, call.Amount, money.USD(object.CapturedAmount)*money.Cent, call.IdempotencyKey)
		sum += call.Amount
	}
	require.Empty(c.t, objects, "the vendor charged what the ledger has not settled")

	due := map[string]int{}
	for _, i := range charged {
		due[i.customer()] = 1
	}
	require.Equal(c.t, due, truth.PerCustomer)
	settled, held := c.booked()
	require.Zero(c.t, held)
	require.Equal(c.t, sum, settled)
	require.Equal(c.t, truth.SucceededTotalMicroUSD, int64(settled))
	require.Zero(c.t, truth.KeyMismatches, "all sends of a call are alike")
	require.Zero(c.t, truth.LeakedVaultKeys+truth.LeakedTollgateHeaders)
}

// requireAnswers: each caller is told in the end what the vendor did for it.
func (c *crash) requireAnswers(answers map[string]httpAnswer, p crashPoint) {
	c.t.Helper()
	objects := map[string]string{}
	for _, object := range c.sim.Truth().Charged {
		objects[object.Customer] = object.PaymentIntent
	}
	for _, i := range p.items() {
		got := answers[i.name]
		switch {
		case i.declines():
			require.Equal(c.t, http.StatusPaymentRequired, got.status, got.raw)
		case p.revoked && i.name == "request_lost":
			require.Equal(c.t, "key_revoked", got.code(), got.raw)
		default:
			require.Equal(c.t, http.StatusOK, got.status, "%s: %s", i.name, got.raw)
			require.Equal(c.t, objects[i.customer()], got.text("id"), i.name)
		}
	}
}

// requireNoRoom: the cap is used up, or the key is dead, and the vendor sees no
// further request.
func (c *crash) requireNoRoom(p crashPoint) {
	c.t.Helper()
	posts := c.sim.Truth().Posts
	got, err := c.post(item{name: "one_more", amount: money.Dollar, method: "pm_card_visa"})
	require.NoError(c.t, err)
	want := "cap_exhausted"
	if p.revoked {
		want = "key_revoked"
	}
	require.Equal(c.t, want, got.code(), got.raw)
	require.Equal(c.t, posts, c.sim.Truth().Posts)
}
