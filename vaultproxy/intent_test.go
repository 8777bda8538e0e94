package vaultproxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// unconfirmed makes a PaymentIntent of $4.00 that takes no money yet.
const unconfirmed = "amount=400&currency=usd&customer=cus_1&payment_method=pm_card_visa&payment_method_types[]=card"

func (b *testBundle) create(key client.IssuedKey, idempotencyKey, body string) string {
	b.t.Helper()
	got := b.post(key.VaultKey, intents, idempotencyKey, body)
	require.Equal(b.t, http.StatusOK, got.status, got.raw)
	return got.text("id")
}

func (b *testBundle) requireBudget(committed, settled money.USD) {
	b.t.Helper()
	budget := b.report().Budget
	require.Equal(b.t, committed, budget.CommittedUSD, "committed")
	require.Equal(b.t, settled, budget.SettledUSD, "settled")
	require.Zero(b.t, budget.ReservedUSD)
	require.Zero(b.t, budget.UnknownUSD)
}

func TestIntent_ThatIsNotConfirmedHoldsItsAmount(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	id := b.create(key, "create", "amount=400&currency=usd&customer=cus_1")

	b.requireBudget(4*money.Dollar, 0)
	row := b.call("create")
	require.Equal(t, "committed", row.State)
	require.Equal(t, id, row.ObjectID)
	got := b.post(key.VaultKey, intents, "too much", strings.Replace(charge, "amount=100", "amount=601", 1))
	require.Equal(t, "cap_exhausted", got.code(), "a promise is not in flight: waiting would not help")
	require.Equal(t, "4.00", got.text("reserved_usd"))
	b.reconcile()
	b.requireBudget(4*money.Dollar, 0)
}

func TestConfirm_TakesOverWhatItsCreationHolds(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar) // room for the amount once
	id := b.create(key, "create", unconfirmed)

	got := b.post(key.VaultKey, intents+"/"+id+"/confirm", "confirm", "off_session=true")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "succeeded", got.text("status"))
	b.requireBudget(0, 4*money.Dollar)
	require.Equal(t, "settled", b.call("confirm").State)
	require.Equal(t, "released", b.call("create").State)

	again := b.post(key.VaultKey, intents, "create", unconfirmed)
	require.Equal(t, "requires_confirmation", again.text("status"), "the creation is replayed as it was answered")
	require.Equal(t, 1, b.sim.Truth().Charges)
	b.sentOnce()
}

func TestConfirm_ThatIsDeclinedFreesTheHoldAndTheNextOneIsMeteredInFull(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.create(key, "create", unconfirmed)

	got := b.post(key.VaultKey, intents+"/"+id+"/confirm", "confirm-1", "payment_method=pm_card_chargeDeclined&off_session=true")
	require.Equal(t, http.StatusPaymentRequired, got.status, got.raw)
	b.requireBudget(0, 0)

	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "other", charge).status)
	got = b.post(key.VaultKey, intents+"/"+id+"/confirm", "confirm-2", "payment_method=pm_card_visa&off_session=true")
	require.Equal(t, "cap_exhausted", got.code(), "the intent's amount needs room again")
	require.Equal(t, "4.00", got.text("price_usd"))
	require.Equal(t, 1, b.sim.Truth().Charges)
}

func TestConfirm_OfAnIntentWhoseHoldIsGoneIsMeteredByLookUp(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.create(key, "create", unconfirmed)
	confirm := intents + "/" + id + "/confirm"
	require.Equal(t, http.StatusPaymentRequired,
		b.post(key.VaultKey, confirm, "confirm-1", "payment_method=pm_card_chargeDeclined&off_session=true").status)
	got := b.post(key.VaultKey, confirm, "confirm-2", "payment_method=pm_card_visa&off_session=true")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 4*money.Dollar)
}

func TestCapture_OfAPartSettlesThatPartAndFreesTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.create(key, "create", unconfirmed+"&confirm=true&off_session=true&capture_method=manual")
	b.requireBudget(4*money.Dollar, 0)

	got := b.post(key.VaultKey, intents+"/"+id+"/capture", "capture", "amount_to_capture=150")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 150*money.Cent)
	require.Equal(t, int64(150*money.Cent), b.sim.Truth().SucceededTotalMicroUSD)
}

func TestCapture_WithoutAnAmountIsPinnedToWhatWasMetered(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.create(key, "create", unconfirmed+"&confirm=true&off_session=true&capture_method=manual")

	got := b.post(key.VaultKey, intents+"/"+id+"/capture", "capture", "")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 4*money.Dollar)
	posts := b.seen.of(http.MethodPost)
	require.Equal(t, "amount_to_capture=400", posts[len(posts)-1].body)
}

func TestCapture_OfMoreThanIsHeldIsHeldInFullBeforeItIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(5 * money.Dollar)
	id := b.create(key, "create", unconfirmed+"&confirm=true&off_session=true&capture_method=manual")
	sent := b.sim.Truth().Posts

	got := b.post(key.VaultKey, intents+"/"+id+"/capture", "capture", "amount_to_capture=501")
	require.Equal(t, "cap_exhausted", got.code())
	require.Equal(t, sent, b.sim.Truth().Posts)
	b.requireBudget(4*money.Dollar, 0)
}

func TestCancel_FreesWhatTheIntentHeld(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.create(key, "create", unconfirmed)

	got := b.post(key.VaultKey, intents+"/"+id+"/cancel", "cancel", "")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "canceled", got.text("status"))
	b.requireBudget(0, 0)
	require.Equal(t, "released", b.call("create").State)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "other", strings.Replace(charge, "100", "400", 1)).status)
}

func TestCancel_StaysPossibleWhenTheCapIsFull(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4*money.Dollar, func(r *client.IssueRequest) { r.PerCallUSDCap = usd(4 * money.Dollar) })
	id := b.create(key, "create", unconfirmed)
	require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "full", charge).code())
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents+"/"+id+"/cancel", "cancel", "").status)
	b.requireBudget(0, 0)
}

func TestConfirm_ThatTheVendorRefusesKeepsTheHoldAndItsKeyFree(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.create(key, "create", "amount=400&currency=usd&customer=cus_1&payment_method_types[]=card")
	confirm := intents + "/" + id + "/confirm"

	for range 2 {
		got := b.post(key.VaultKey, confirm, "confirm-1", "off_session=true") // there is no payment method
		require.Equal(t, http.StatusBadRequest, got.status, got.raw)
		require.Empty(t, got.header.Get("Tollgate-Denied"), "the vendor's own refusal is passed on")
		b.requireBudget(4*money.Dollar, 0)
	}
	got := b.post(key.VaultKey, confirm, "confirm-2", "off_session=true&payment_method=pm_card_visa")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 4*money.Dollar)
}

func TestConfirm_ThatWasRefusedIsAnsweredEvenAfterAnotherOneWentThrough(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(20 * money.Dollar)
	id := b.create(key, "create", "amount=400&currency=usd&customer=cus_1&payment_method_types[]=card")
	confirm := intents + "/" + id + "/confirm"
	require.Equal(t, http.StatusBadRequest, b.post(key.VaultKey, confirm, "confirm-1", "off_session=true").status)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, confirm, "confirm-2", "off_session=true&payment_method=pm_card_visa").status)

	got := b.post(key.VaultKey, confirm, "confirm-1", "off_session=true")
	require.NotEqual(t, "idempotency_in_flight", got.code(), "nothing is in flight: saying so would have the caller retry for ever")
	require.Equal(t, 1, b.sim.Truth().Charges)
	b.requireBudget(0, 4*money.Dollar)
}

func TestProcessing_IsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method  string
		settled money.USD
	}{
		"when the bank says yes": {"pm_sim_processing", money.Dollar},
		"when the bank says no":  {"pm_sim_processing_fails", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(money.Dollar)
			got := b.post(key.VaultKey, intents, "item-1", strings.Replace(charge, "pm_card_visa", tc.method, 1))
			require.Equal(t, http.StatusOK, got.status, got.raw)
			require.Equal(t, "processing", got.text("status"))
			b.requireBudget(money.Dollar, 0)
			b.reconcile()
			b.requireBudget(0, tc.settled)
			require.Equal(t, int64(tc.settled), b.sim.Truth().SucceededTotalMicroUSD)
			b.sentOnce()
		})
	}
}

func TestCapture_OfAnObjectThatNoRunHoldsIsMeteredToTheCaller(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(5 * money.Dollar)
	id := b.behindItsBack("/v1/payment_intents", unconfirmed+"&confirm=true&off_session=true&capture_method=manual")

	got := b.post(key.VaultKey, intents+"/"+id+"/capture", "capture", "")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, 4*money.Dollar)
	got = b.post(key.VaultKey, intents, "too much", strings.Replace(charge, "amount=100", "amount=101", 1))
	require.Equal(t, "cap_exhausted", got.code())
}

func TestConfirm_OfAnotherRunsIntentIsMeteredToTheCaller(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	mine := b.issue(5 * money.Dollar)
	other := b.issue(5*money.Dollar, func(r *client.IssueRequest) { r.AgentRunLabel = b.run() + "/other" })
	id := b.create(other, "create", unconfirmed)

	got := b.post(mine.VaultKey, intents+"/"+id+"/confirm", "confirm", "off_session=true")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "succeeded", got.text("status"))
	b.requireBudget(0, 4*money.Dollar)
	require.Equal(t, 1, b.sim.Truth().Charges)
	b.sentOnce()
}
