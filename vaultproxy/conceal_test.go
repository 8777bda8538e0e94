package vaultproxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

func readingIntents(r *client.IssueRequest) {
	r.AllowedEndpoints = append(r.AllowedEndpoints, "GET /v1/payment_intents", "POST /v1/payment_intents/{id}")
}

// Whoever has a payment's client secret can confirm it with a saved card and the
// publishable key, which is no secret.
func TestConceal_WhatNothingIsHeldForCannotBePaidPastTheProxy(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10*money.Dollar, readingIntents)
	declined := b.post(key.VaultKey, intents, "declined", strings.Replace(charge, "pm_card_visa", "pm_card_chargeDeclined", 1))
	require.Equal(t, http.StatusPaymentRequired, declined.status)
	failure, _ := declined.body["error"].(map[string]any)
	made, _ := failure["payment_intent"].(map[string]any)
	require.Equal(t, "requires_payment_method", made["status"], "it can still be paid")
	b.requireBudget(0, 0)
	id, _ := made["id"].(string)
	others := b.behindItsBack("/v1/payment_intents", "amount=100&currency=usd&customer=cus_1")
	for name, got := range map[string]httpAnswer{
		"the decline":              declined,
		"its replay":               b.post(key.VaultKey, intents, "declined", strings.Replace(charge, "pm_card_visa", "pm_card_chargeDeclined", 1)),
		"a read of it":             b.get(key.VaultKey, intents+"/"+id),
		"a list":                   b.get(key.VaultKey, intents+"?customer=cus_1"),
		"a read of another's":      b.get(key.VaultKey, intents+"/"+others),
		"an update without amount": b.post(key.VaultKey, intents+"/"+id, "update", "description=x"),
	} {
		require.Contains(t, got.raw, "pi_", name)
		require.NotContains(t, got.raw, "_secret_", name)
	}
}

func TestConceal_FoundOutLaterNothingMoreIsShown(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{script: func(p vendorsim.FaultPoint) vendorsim.Fault {
		if p.Attempt == 1 && p.IdempotencyKey != "" {
			return vendorsim.AnswerLost
		}
		return vendorsim.NoFault
	}})
	key := b.issue(10 * money.Dollar)
	lost := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, "outcome_unknown", lost.code())
	found := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, found.status, found.raw)
	require.NotContains(t, found.raw, "_secret_")
}

func TestConceal_WhoIsToPayGetsWhatItTakes(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	got := b.post(key.VaultKey, intents, "create", "amount=400&currency=usd&customer=cus_1")
	require.Contains(t, got.text("client_secret"), "_secret_")
	b.requireBudget(4*money.Dollar, 0)
}
