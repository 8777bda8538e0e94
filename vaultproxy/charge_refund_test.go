package vaultproxy_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestCharges_AreHeldWhenAuthorisedAndSettledWhenCaptured(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(5 * money.Dollar)
	got := b.post(key.VaultKey, charges, "at once", "amount=100&currency=usd&source=tok_visa")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, money.Dollar)

	got = b.post(key.VaultKey, charges, "later", "amount=400&currency=usd&source=tok_visa&capture=false")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(4*money.Dollar, money.Dollar)
	got = b.post(key.VaultKey, charges+"/"+got.text("id")+"/capture", "capture", "amount=300")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 4*money.Dollar)
	require.Equal(t, int64(4*money.Dollar), b.sim.Truth().SucceededTotalMicroUSD)

	got = b.post(key.VaultKey, charges, "declined", "amount=100&currency=usd&source=tok_chargeDeclined")
	require.Equal(t, http.StatusPaymentRequired, got.status, got.raw)
	b.requireBudget(0, 4*money.Dollar)
}

func TestRefund_CostsWhatItGivesBack(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(8 * money.Dollar)
	id := b.create(key, "create", unconfirmed+"&confirm=true&off_session=true")

	got := b.post(key.VaultKey, refunds, "refund-1", url.Values{"payment_intent": {id}, "amount": {"100"}}.Encode())
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 5*money.Dollar)

	got = b.post(key.VaultKey, refunds, "refund-2", url.Values{"payment_intent": {id}}.Encode())
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 8*money.Dollar)
	posts := b.seen.of(http.MethodPost)
	form, err := url.ParseQuery(posts[len(posts)-1].body)
	require.NoError(t, err)
	require.Equal(t, "300", form.Get("amount"), "the remainder is pinned in what is sent")
	require.Equal(t, int64(4*money.Dollar), b.sim.Truth().RefundedTotalMicroUSD)

	got = b.post(key.VaultKey, refunds, "refund-3", url.Values{"payment_intent": {id}}.Encode())
	require.Equal(t, "amount_invalid", got.code(), "nothing is left")
}

func TestRefund_ThatDoesNotFitTheCapIsNotSent(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(7 * money.Dollar)
	id := b.create(key, "create", unconfirmed+"&confirm=true&off_session=true")
	got := b.post(key.VaultKey, refunds, "refund", "payment_intent="+id)
	require.Equal(t, "cap_exhausted", got.code())
	require.Zero(t, b.sim.Truth().RefundedTotalMicroUSD)
}
