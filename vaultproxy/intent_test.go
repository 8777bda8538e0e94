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

const (
	declinedCard = "payment_method=pm_card_chargeDeclined"
	goodCard     = "payment_method=pm_card_visa"
)

func TestDecline_KeepsTheHoldAsLongAsTheIntentCanStillBePaid(t *testing.T) {
	t.Parallel()
	onSession := strings.Replace(unconfirmed, goodCard, declinedCard, 1) + "&confirm=true"
	// Each decline sends its call, and returns the intent and how to send the same again.
	for name, decline := range map[string]func(*testBundle, client.IssuedKey) (string, func() httpAnswer){
		"a confirm": func(b *testBundle, key client.IssuedKey) (string, func() httpAnswer) {
			id := b.create(key, "create", unconfirmed)
			send := func() httpAnswer {
				return b.post(key.VaultKey, intents+"/"+id+"/confirm", "declined", declinedCard+"&off_session=true")
			}
			require.Equal(b.t, http.StatusPaymentRequired, send().status)
			return id, send
		},
		"a confirm of what no run holds": func(b *testBundle, key client.IssuedKey) (string, func() httpAnswer) {
			id := b.behindItsBack("/v1/payment_intents", unconfirmed)
			send := func() httpAnswer { return b.post(key.VaultKey, intents+"/"+id+"/confirm", "declined", declinedCard) }
			require.Equal(b.t, http.StatusPaymentRequired, send().status)
			return id, send
		},
		"a creation while the customer is there": func(b *testBundle, key client.IssuedKey) (string, func() httpAnswer) {
			send := func() httpAnswer { return b.post(key.VaultKey, intents, "declined", onSession) }
			got := send()
			require.Equal(b.t, http.StatusPaymentRequired, got.status)
			return intentOf(got), send
		},
		"a failed authentication": func(b *testBundle, key client.IssuedKey) (string, func() httpAnswer) {
			body := strings.Replace(unconfirmed, "pm_card_visa", "pm_card_authenticationRequired", 1) + "&confirm=true"
			send := func() httpAnswer { return b.post(key.VaultKey, intents, "declined", body) }
			got := send()
			require.Equal(b.t, "requires_action", got.text("status"), got.raw)
			b.customerTries(got.text("id"), declinedCard, http.StatusPaymentRequired)
			return got.text("id"), send
		},
	} {
		for end, finish := range map[string]func(*testBundle, client.IssuedKey, string) money.USD{
			"until the customer pays with another card": func(b *testBundle, _ client.IssuedKey, id string) money.USD {
				b.customerTries(id, goodCard, http.StatusOK)
				b.reconcile()
				return 4 * money.Dollar
			},
			"until it is cancelled through the proxy": func(b *testBundle, key client.IssuedKey, id string) money.USD {
				require.Equal(b.t, http.StatusOK, b.post(key.VaultKey, intents+"/"+id+"/cancel", "cancel", "").status)
				return 0
			},
			"until it is cancelled elsewhere": func(b *testBundle, _ client.IssuedKey, id string) money.USD {
				b.behindItsBack("/v1/payment_intents/"+id+"/cancel", "")
				b.reconcile()
				return 0
			},
			"until it is confirmed under a new key": func(b *testBundle, key client.IssuedKey, id string) money.USD {
				got := b.post(key.VaultKey, intents+"/"+id+"/confirm", "confirm again", goodCard)
				require.Equal(b.t, http.StatusOK, got.status, got.raw)
				return 4 * money.Dollar
			},
		} {
			t.Run(name+" "+end, func(t *testing.T) {
				t.Parallel()
				b := setup(t, setupOptions{})
				key := b.issue(4 * money.Dollar) // room for the amount once
				id, again := decline(b, key)
				first := again()
				b.requireBudget(4*money.Dollar, 0)
				b.reconcile()
				b.requireBudget(4*money.Dollar, 0)
				require.Equal(t, "cap_exhausted", b.post(key.VaultKey, intents, "other", charge).code())

				settled := finish(b, key, id)
				b.requireBudget(0, settled)
				require.Equal(t, int64(settled), b.sim.Truth().SucceededTotalMicroUSD)
				replay := again()
				require.Equal(t, "true", replay.header.Get("Tollgate-Replayed"))
				require.Equal(t, first.status, replay.status)
				require.Equal(t, first.raw, replay.raw, "the first conclusive answer stays")
				b.sentOnce()
			})
		}
	}
}

// customerTries confirms an intent as the customer does who has its client
// secret, which the proxy sees nothing of.
func (b *testBundle) customerTries(id, method string, want int) {
	b.t.Helper()
	got, err := b.do(http.MethodPost, b.vendor.URL+"/v1/payment_intents/"+id+"/confirm", method,
		"Authorization", "Bearer sk_test_somebody_else", "Content-Type", "application/x-www-form-urlencoded")
	require.NoError(b.t, err)
	require.Equal(b.t, want, got.status, got.raw)
}

func intentOf(a httpAnswer) string {
	fault, _ := a.body["error"].(map[string]any)
	object, _ := fault["payment_intent"].(map[string]any)
	id, _ := object["id"].(string)
	return id
}

func TestDecline_WhoseAnswerIsLostKeepsTheHoldAsWell(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]bool{"of a creation while the customer is there": true, "of a confirm": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{script: func(p vendorsim.FaultPoint) vendorsim.Fault {
				if p.Attempt == 1 && (create || strings.HasSuffix(p.Path, "/confirm")) {
					return vendorsim.AnswerLost
				}
				return vendorsim.NoFault
			}})
			key := b.issue(4 * money.Dollar)
			path, body := intents, strings.Replace(unconfirmed, goodCard, declinedCard, 1)+"&confirm=true"
			if !create {
				path, body = intents+"/"+b.create(key, "create", unconfirmed)+"/confirm", declinedCard
			}
			require.Equal(t, "outcome_unknown", b.post(key.VaultKey, path, "declined", body).code())
			got := b.post(key.VaultKey, path, "declined", body)
			require.Equal(t, http.StatusPaymentRequired, got.status, got.raw)
			b.requireBudget(4*money.Dollar, 0)
			require.Equal(t, "committed", b.call("declined").State)
		})
	}
}

func TestDecline_BesideAnotherConfirmThatGoesThroughHoldsNothing(t *testing.T) {
	t.Parallel()
	held, arrived := make(chan struct{}), make(chan struct{})
	b := setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/confirm") && r.ContentLength == int64(len(goodCard)) {
				close(arrived)
				<-held
			}
			next.ServeHTTP(w, r)
		})
	}})
	key := b.issue(8 * money.Dollar)
	id := b.create(key, "create", unconfirmed)
	confirm := intents + "/" + id + "/confirm"
	good := b.inBackground(key.VaultKey, confirm, "good", goodCard)
	<-arrived
	got := b.post(key.VaultKey, confirm, "bad", declinedCard)
	close(held)
	require.Equal(t, http.StatusPaymentRequired, got.status, got.raw)
	require.Equal(t, http.StatusOK, (<-good).status)
	b.requireBudget(0, 4*money.Dollar)
	require.Equal(t, "released", b.call("bad").State)
	require.True(t, b.call("bad").Declined)
}

func TestDecline_OffSessionGivesTheHoldBack(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	declined := strings.Replace(charge, "pm_card_visa", "pm_card_chargeDeclined", 1)
	require.Equal(t, http.StatusPaymentRequired, b.post(key.VaultKey, intents, "item-1", declined).status)
	b.requireBudget(0, 0)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-2", charge).status)
}

func TestConfirm_OfAnIntentThatNoRunHoldsIsMeteredByLookUp(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.behindItsBack("/v1/payment_intents", unconfirmed)
	confirm := intents + "/" + id + "/confirm"
	got := b.post(key.VaultKey, confirm, "confirm", goodCard+"&off_session=true")
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
