package vaultproxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// inDoubt makes a call whose outcome is unknown, and returns it.
func (b *testBundle) inDoubt(key client.IssuedKey, item string, fault vendorsim.Fault) client.Call {
	b.t.Helper()
	b.sim.NextFaults(fault)
	require.Equal(b.t, "outcome_unknown", b.post(key.VaultKey, intents, item, charge).code())
	row := b.call(item)
	require.Equal(b.t, "unknown", row.State)
	return row
}

func (b *testBundle) resolve(callID, body string) httpAnswer {
	b.t.Helper()
	return b.admin(http.MethodPost, "/vault/calls/"+callID+"/resolve", body)
}

const (
	bySettling  = `{"outcome":"settled","amount_usd":"1.00","by":"Jürgen","reason":"it is in the dashboard"}`
	byReleasing = `{"outcome":"released","by":"Jürgen","reason":"it is not in the dashboard"}`
)

func TestResolve_APersonSettlesWhatTheProxyCannotProve(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	row := b.inDoubt(key, "item-1", vendorsim.AnswerLost)

	got, err := b.control.Resolve(t.Context(), row.CallID, client.ResolveRequest{
		Outcome: "settled", AmountUSD: usd(money.Dollar), ObjectID: b.sim.Truth().Charged[0].PaymentIntent, By: "Jürgen", Reason: "it is in the dashboard",
	})
	require.NoError(t, err)
	require.Equal(t, "settled", got.State)
	require.Equal(t, "settled_by_person", got.Reason)
	require.Equal(t, money.Dollar, got.SettledUSD)
	require.Equal(t, b.sim.Truth().Charged[0].PaymentIntent, got.ObjectID)
	require.Equal(t, got, b.call("item-1"))
	b.requireBudget(0, money.Dollar)

	page, err := b.control.Audit(t.Context(), client.AuditQuery{Run: b.run()})
	require.NoError(t, err)
	last := page.Rows[len(page.Rows)-1]
	require.Equal(t, "person", last.By)
	require.Equal(t, "Jürgen", last.Who)
	require.Equal(t, "it is in the dashboard", last.Note)
	require.Equal(t, "settled", last.Verdict)
	require.Equal(t, row.CallID, last.CallID)
	require.Equal(t, money.Dollar, last.AmountUSD)

	again := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, "outcome_unknown", again.code(), "no answer of the vendor's is there to be repeated")
	require.Contains(t, again.text("message"), "is settled")
	b.sentOnce()
}

func TestResolve_L6_WhatAPersonReleasedIsTriedAnewUnderANewVendorKey(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	row := b.inDoubt(key, "item-1", vendorsim.ClosedAfterRead)

	early := b.resolve(row.CallID, byReleasing)
	require.Equal(t, http.StatusConflict, early.status)
	require.Equal(t, "call_in_flight", early.code(), "what was sent a moment ago may still arrive")
	require.NotEmpty(t, early.header.Get("Retry-After"))
	require.Equal(t, money.Dollar, b.report().Budget.UnknownUSD)

	b.clock.advance(pastFence)
	got := b.resolve(row.CallID, byReleasing)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "released", got.text("state"))
	require.Equal(t, "released_by_person", got.text("reason"))
	b.requireBudget(0, 0)

	again := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, again.status, again.raw)
	require.Equal(t, map[string]int{"tollgate_" + row.CallID + "_0": 1, "tollgate_" + row.CallID + "_1": 1}, b.sim.Truth().Sends)
	require.Equal(t, 1, b.sim.Truth().Charges)
	b.requireBudget(0, money.Dollar)
}

func TestResolve_HappensOnceHoweverManyDecide(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	row := b.inDoubt(key, "item-1", vendorsim.ClosedAfterRead)
	b.clock.advance(pastFence)
	const people = 20
	answers := make([]httpAnswer, people)
	var wg sync.WaitGroup
	for i := range people {
		wg.Go(func() { answers[i] = b.resolve(row.CallID, []string{bySettling, byReleasing}[i%2]) })
	}
	wg.Wait()
	count := map[int]int{}
	for _, got := range answers {
		count[got.status]++
		if got.status != http.StatusOK {
			require.Contains(t, []string{"already_resolved", "call_in_flight"}, got.code(), got.raw)
		}
	}
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusConflict: people - 1}, count)

	late := b.resolve(row.CallID, bySettling)
	require.Equal(t, "already_resolved", late.code())
	stands, _ := late.body["call"].(map[string]any)
	require.Equal(t, b.call("item-1").State, stands["state"], "it says what stands")
	page, err := b.control.Audit(t.Context(), client.AuditQuery{Run: b.run()})
	require.NoError(t, err)
	decided := 0
	for _, line := range page.Rows {
		if line.By == "person" {
			decided++
		}
	}
	require.Equal(t, 1, decided)
}

func TestResolve_L10_AnAmountAboveTheHoldIsAnOverrun(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	row := b.inDoubt(key, "item-1", vendorsim.AnswerLost)
	got := b.resolve(row.CallID, strings.Replace(bySettling, "1.00", "1.50", 1))
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "overrun:settled_by_person", got.text("reason"))
	require.Equal(t, 150*money.Cent, b.report().Budget.SettledUSD)
	require.Equal(t, 50*money.Cent, b.report().Budget.OverrunUSD)
}

func TestResolve_NobodyDecidesWhatIsJustBeingFoundOut(t *testing.T) {
	t.Parallel()
	t.Run("a call on its way", func(t *testing.T) {
		t.Parallel()
		g := newGate(http.MethodPost)
		b := setup(t, setupOptions{gate: g})
		key := b.issue(money.Dollar)
		first := b.inBackground(key.VaultKey, intents, "item-1", charge)
		<-g.entered
		got := b.resolve(b.call("item-1").CallID, bySettling)
		require.Equal(t, http.StatusConflict, got.status)
		require.Equal(t, "call_in_flight", got.code())
		require.Equal(t, "1", got.header.Get("Retry-After"))
		g.release()
		require.Equal(t, http.StatusOK, (<-first).status)
	})
	t.Run("a call that is being proved", func(t *testing.T) {
		t.Parallel()
		g := newGate(http.MethodGet)
		b := setup(t, setupOptions{gate: g})
		key := b.issue(money.Dollar)
		row := b.inDoubt(key, "item-1", vendorsim.AnswerLost)
		again := b.inBackground(key.VaultKey, intents, "item-1", charge)
		<-g.entered
		got := b.resolve(row.CallID, bySettling)
		require.Equal(t, http.StatusConflict, got.status)
		require.Equal(t, "call_in_flight", got.code(), got.raw)
		g.release()
		require.Equal(t, http.StatusOK, (<-again).status)
		require.Equal(t, "already_resolved", b.resolve(row.CallID, byReleasing).code())
	})
	t.Run("a call that a person leaves as it is may be proved at once", func(t *testing.T) {
		t.Parallel()
		b := setup(t, setupOptions{})
		key := b.issue(money.Dollar)
		row := b.inDoubt(key, "item-1", vendorsim.AnswerLost)
		require.Equal(t, "call_in_flight", b.resolve(row.CallID, byReleasing).code())
		require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", charge).status)
	})
}

func TestResolve_ACommittedCallEndsAsThePersonSays(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(8 * money.Dollar)
	one, two := b.create(key, "one", unconfirmed), b.create(key, "two", unconfirmed)
	b.requireBudget(8*money.Dollar, 0)
	first, second := b.call("one").CallID, b.call("two").CallID

	got := b.resolve(first, byReleasing)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(4*money.Dollar, 0)
	again := b.post(key.VaultKey, intents, "one", unconfirmed)
	require.Equal(t, one, again.text("id"), "the creation is replayed as it was answered")

	got = b.resolve(second, `{"outcome":"settled","amount_usd":3,"object_id":"pi_other","by":"me","reason":"looked"}`)
	require.Equal(t, http.StatusBadRequest, got.status, "it is booked on another object")
	require.Contains(t, got.text("message"), two)
	got = b.resolve(second, `{"outcome":"settled","amount_usd":3,"by":"me","reason":"looked"}`)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, two, got.text("object_id"))
	b.requireBudget(0, 3*money.Dollar)
}

func TestResolve_AReleasedMoveOfAnObjectIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(8 * money.Dollar)
	id := b.create(key, "create", unconfirmed)
	b.sim.NextFaults(vendorsim.ClosedAfterRead)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents+"/"+id+"/confirm", "confirm", "off_session=true").code())
	b.clock.advance(pastFence)
	got := b.resolve(b.call("confirm").CallID, byReleasing)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 0)
	again := b.post(key.VaultKey, intents+"/"+id+"/confirm", "confirm", "off_session=true")
	require.Equal(t, "outcome_unknown", again.code(), again.raw)
	require.Contains(t, again.text("message"), "is released")
	require.Equal(t, 2, b.sim.Truth().Posts)
}

func TestResolve_L7_OneObjectSettlesOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(2 * money.Dollar)
	id := b.post(key.VaultKey, intents, "item-1", charge).text("id")
	row := b.inDoubt(key, "item-2", vendorsim.ClosedAfterRead)
	got := b.resolve(row.CallID, fmt.Sprintf(`{"outcome":"settled","amount_usd":1,"object_id":%q,"by":"me","reason":"looked"}`, id))
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, "object_taken", got.code(), got.raw)
	require.Equal(t, "unknown", b.call("item-2").State)
	require.Equal(t, http.StatusOK, b.resolve(row.CallID, bySettling).status, "nobody else has the claim")
}

func TestResolve_WantsToKnowWhatAndWhoAndWhy(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	row := b.inDoubt(key, "item-1", vendorsim.AnswerLost)
	b.clock.advance(pastFence)
	for name, body := range map[string]string{
		"no outcome":                    `{"by":"me","reason":"looked"}`,
		"an outcome that is none":       `{"outcome":"committed","by":"me","reason":"looked"}`,
		"settled without an amount":     `{"outcome":"settled","by":"me","reason":"looked"}`,
		"settled at nothing":            `{"outcome":"settled","amount_usd":0,"by":"me","reason":"looked"}`,
		"settled below nothing":         `{"outcome":"settled","amount_usd":-1,"by":"me","reason":"looked"}`,
		"released with an amount":       `{"outcome":"released","amount_usd":1,"by":"me","reason":"looked"}`,
		"released with an object":       `{"outcome":"released","object_id":"pi_1","by":"me","reason":"looked"}`,
		"nobody":                        `{"outcome":"released","reason":"looked"}`,
		"somebody who is blank":         `{"outcome":"released","by":" ","reason":"looked"}`,
		"no reason":                     `{"outcome":"released","by":"me"}`,
		"a reason of two lines":         `{"outcome":"released","by":"me","reason":"looked\nlooked"}`,
		"a name that is written twice":  `{"outcome":"released","by":"me","By":"you","reason":"looked"}`,
		"a name that turns the page":    `{"outcome":"released","by":"me\u202e","reason":"looked"}`,
		"a reason without an end":       `{"outcome":"released","by":"me","reason":"` + strings.Repeat("x", 1001) + `"}`,
		"a field that is not known":     `{"outcome":"released","by":"me","reason":"looked","force":true}`,
		"an object that is no plain ID": `{"outcome":"settled","amount_usd":1,"object_id":"pi_ü","by":"me","reason":"looked"}`,
	} {
		got := b.resolve(row.CallID, body)
		require.Equal(t, http.StatusBadRequest, got.status, name)
		require.Equal(t, "request_invalid", got.code(), name)
	}
	require.Equal(t, http.StatusNotFound, b.resolve("call_nobody", byReleasing).status)
	require.Equal(t, "unknown", b.call("item-1").State)
}
