package vaultproxy_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	verify "github.com/twilio/twilio-go/rest/verify/v2"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// settlePrices lets the prices arrive and the reconciler see them.
func (b *testBundle) settlePrices(rounds int) {
	b.t.Helper()
	for range rounds {
		b.reconcile()
	}
}

func TestTwilio_ATextIsHeldByItsEstimateAndSettledByItsLatePrice(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		to, body      string
		held, settled money.USD
	}{
		"a text":                   {"+14155550123", "Paid.", textPrice, textPrice},
		"a text of two segments":   {"+14155550123", "Paid. " + strings.Repeat("x", 160), 2 * textPrice, 2 * textPrice},
		"a text that costs more":   {"+14155550004", "Paid.", textPrice, textPrice + 830},
		"a text that costs less":   {"+14155550005", "Paid.", textPrice, textPrice - 830},
		"a text that arrives late": {"+14155550003", "Paid.", textPrice, textPrice},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{sim: vendorsim.Config{TwilioPriceDelay: 90 * time.Minute}})
			key := b.issueTwilio(money.Dollar)
			sid, code := b.text(key, "text-1", test.to, test.body)
			require.Empty(t, code)
			row := b.call("text-1")
			require.Equal(t, "committed", row.State)
			require.Equal(t, sid, row.ObjectID)
			b.requireHeld(test.held)
			b.reconcile()
			require.Equal(t, "committed", b.call("text-1").State, "no price yet")
			b.requireHeld(test.held)
			b.reconcile()
			row = b.call("text-1")
			require.Equal(t, "settled", row.State)
			require.Equal(t, test.settled, b.report().Budget.SettledUSD)
			require.Zero(t, b.report().Budget.CommittedUSD)
			require.Equal(t, int64(test.settled), b.sim.Truth().Twilio.TextsMicroUSD)
			again, code := b.text(key, "text-1", test.to, test.body)
			require.Empty(t, code)
			require.Equal(t, sid, again, "a replay")
			require.Equal(t, 1, b.sim.Truth().Twilio.Texts)
		})
	}
}

func (b *testBundle) requireHeld(held money.USD) {
	b.t.Helper()
	budget := b.report().Budget
	require.Equal(b.t, held, budget.ReservedUSD+budget.CommittedUSD+budget.UnknownUSD)
	require.Zero(b.t, budget.SettledUSD)
}

func TestTwilio_AnOverrunIsBookedInFullAndFlagged(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(textPrice) // room for the estimate and nothing beyond it
	_, code := b.text(key, "text-1", "+14155550004", "Paid.")
	require.Empty(t, code)
	b.reconcile()
	row := b.call("text-1")
	require.Equal(t, "settled", row.State)
	require.Contains(t, row.Reason, "overrun:")
	require.Equal(t, textPrice+830, b.report().Budget.SettledUSD)
	_, code = b.text(key, "text-2", "+14155550123", "Paid.")
	require.Equal(t, "cap_exhausted", code)
}

func TestTwilio_AMessageThatFailsCostsItsFeeOnceADayIsOver(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(money.Dollar)
	_, code := b.text(key, "text-1", "+14155550002", "Paid.")
	require.Empty(t, code)
	b.reconcile()
	b.requireHeld(textPrice)
	b.clock.advance(23 * time.Hour)
	b.reconcile()
	require.Equal(t, "settled", b.call("text-1").State)
	require.Equal(t, 1_000*money.Micro, b.report().Budget.SettledUSD)
	require.Equal(t, int64(1_000), b.sim.Truth().Twilio.TextsMicroUSD)
}

func TestTwilio_ALostAnswerIsLookedUpAndNeverSentAgain(t *testing.T) {
	t.Parallel()
	for _, fault := range []vendorsim.Fault{vendorsim.AnswerLost, vendorsim.TruncatedAnswer, vendorsim.Error500AfterCharge} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issueTwilio(money.Dollar)
			b.sim.NextTwilioFaults(fault)
			_, code := b.text(key, "text-1", "+14155550123", "Paid.")
			require.Equal(t, "outcome_unknown", code)
			sid, code := b.text(key, "text-1", "+14155550123", "Paid.")
			require.Empty(t, code)
			require.Equal(t, b.sim.Truth().Twilio.Sent[0].SID, sid)
			b.reconcile()
			require.Equal(t, "settled", b.call("text-1").State)
			require.Len(t, b.seen.of(http.MethodPost), 1)
		})
	}
}

func TestTwilio_ALostRequestStaysUnknownWhoeverAsksAndHoweverLong(t *testing.T) {
	t.Parallel()
	for _, fault := range []vendorsim.Fault{
		vendorsim.ClosedAfterRead, vendorsim.ConnectionReset, vendorsim.Error503, vendorsim.Error500BeforeCharge, vendorsim.Redirect302,
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issueTwilio(money.Dollar)
			b.sim.NextTwilioFaults(fault)
			for range 3 {
				_, code := b.text(key, "text-1", "+14155550123", "Paid.")
				require.Equal(t, "outcome_unknown", code)
				b.clock.advance(pastFence)
			}
			b.settlePrices(30)
			row := b.call("text-1")
			require.Equal(t, "unknown", row.State)
			require.Contains(t, row.Check, "Twilio console")
			b.requireHeld(textPrice)
			require.Len(t, b.seen.of(http.MethodPost), 1, "what may have arrived is not sent again")
			require.Zero(t, b.sim.Truth().Twilio.Texts)
			require.Zero(t, b.sim.Truth().RedirectsFollowed)
		})
	}
}

func TestTwilio_WhatTwilioRefusesIsNotHeldAndMayBeSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(money.Dollar)
	_, code := b.text(key, "text-1", "+14155550001", "Paid.")
	require.Equal(t, "21610", code, "Twilio's own answer")
	b.requireHeld(0)
	b.sim.NextTwilioFaults(vendorsim.RateLimited429)
	_, code = b.text(key, "text-2", "+14155550123", "Paid.")
	require.Equal(t, "rate_limited", code)
	b.requireHeld(0)
	_, code = b.text(key, "text-2", "+14155550123", "Paid.")
	require.Empty(t, code)
	require.Equal(t, 1, b.sim.Truth().Twilio.Texts)
}

func TestTwilio_CallsWithTheSameTextAreMatchedOneToOne(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(money.Dollar)
	b.sim.NextTwilioFaults(vendorsim.AnswerLost, vendorsim.ClosedAfterRead, vendorsim.NoFault, vendorsim.AnswerLost)
	for i := range 4 {
		_, code := b.text(key, fmt.Sprintf("text-%d", i), "+14155550123", "The same.")
		require.Equal(t, map[bool]string{true: "", false: "outcome_unknown"}[i == 2], code)
	}
	b.settlePrices(12)
	objects, states := map[string]int{}, map[string]int{}
	for i := range 4 {
		row := b.call(fmt.Sprintf("text-%d", i))
		states[row.State]++
		if row.ObjectID != "" {
			objects[row.ObjectID]++
		}
	}
	require.Equal(t, map[string]int{"settled": 3, "unknown": 1}, states, "three texts were made, whichever call made them")
	require.Len(t, objects, 3)
	require.Equal(t, 3*textPrice, b.report().Budget.SettledUSD)
	require.Equal(t, textPrice, b.report().Budget.UnknownUSD)
	require.Len(t, b.seen.of(http.MethodPost), 4)
}

func TestTwilio_ATextOfACallThatIsOnItsWayIsNoOtherCalls(t *testing.T) {
	t.Parallel()
	var posts atomic.Int32
	made, held := make(chan struct{}), make(chan struct{})
	answerNow := sync.OnceFunc(func() { close(held) })
	b := setup(t, setupOptions{upstream: func(standIn http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || posts.Add(1) != 2 {
				standIn.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			standIn.ServeHTTP(answer, r)
			close(made)
			<-held
			maps.Copy(w.Header(), answer.Header())
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})
	}})
	t.Cleanup(answerNow)
	key := b.issueTwilio(money.Dollar)
	b.sim.NextTwilioFaults(vendorsim.ClosedAfterRead)
	_, code := b.text(key, "lost", "+14155550123", "The same.")
	require.Equal(t, "outcome_unknown", code)
	onItsWay := b.inBackground(key.VaultKey, twilioMessages, "made", "To=%2B14155550123&From=%2B14155550100&Body=The+same.")
	<-made
	_, code = b.text(key, "lost", "+14155550123", "The same.")
	require.Equal(t, "outcome_unknown", code, "the text that is there is another call's")
	answerNow()
	require.Equal(t, http.StatusCreated, (<-onItsWay).status)
	b.settlePrices(5)
	require.Equal(t, "unknown", b.call("lost").State)
	require.Equal(t, "settled", b.call("made").State)
	require.Equal(t, b.sim.Truth().Twilio.Sent[0].SID, b.call("made").ObjectID)
}

func TestTwilio_AListThatLagsOnlyPutsTheProofOff(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{sim: vendorsim.Config{TwilioListLag: 4 * time.Hour}})
	key := b.issueTwilio(money.Dollar)
	b.sim.NextTwilioFaults(vendorsim.AnswerLost)
	_, code := b.text(key, "text-1", "+14155550123", "Paid.")
	require.Equal(t, "outcome_unknown", code)
	b.clock.advance(time.Hour) // far past every fence
	_, code = b.text(key, "text-1", "+14155550123", "Paid.")
	require.Equal(t, "outcome_unknown", code)
	b.clock.advance(4 * time.Hour)
	b.settlePrices(3)
	require.Equal(t, "settled", b.call("text-1").State)
	require.Len(t, b.seen.of(http.MethodPost), 1)
}

func TestTwilio_SendsTheRealAccountAndSecretAndNothingOfTheCallers(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(money.Dollar)
	_, code := b.text(key, "text-1", "+14155550123", "Paid.")
	require.Empty(t, code)
	sent := b.seen.of(http.MethodPost)[0]
	require.Equal(t, "/2010-04-01/Accounts/"+twilioAccount+"/Messages.json", sent.target)
	require.Equal(t, "Body=Paid.&From=%2B14155550100&To=%2B14155550123", sent.body)
	require.Empty(t, sent.key)
	require.NotContains(t, fmt.Sprint(sent.header), "vault_key")
	require.Contains(t, sent.header.Get("Authorization"), "Basic ")

	// The account itself names the same call as its placeholder does.
	got := b.post(key.VaultKey, "/twilio/2010-04-01/Accounts/"+twilioAccount+"/Messages.json", "text-1", sent.body)
	require.Equal(t, http.StatusCreated, got.status, got.raw)
	require.Equal(t, "true", got.header.Get("Tollgate-Replayed"))
	other := b.post(key.VaultKey, "/twilio/2010-04-01/Accounts/AC00000000ffffffffffffffffffffffff/Messages.json", "text-2", sent.body)
	require.Equal(t, "scope_denied", other.header.Get("Tollgate-Denied"))
}

func TestTwilio_CallsAreHeldByTheirTimeLimitAndVerificationsByTheCard(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(money.Dollar)
	to, from, twiml := "+14155550123", fromNumber, `<Response><Say voice="man">Paid.</Say></Response>`
	_, err := b.twilioGo(key, "call-1").Api.CreateCall(&api.CreateCallParams{To: &to, From: &from, Twiml: &twiml})
	require.NoError(t, err)
	b.requireHeld(10 * 14_000 * money.Micro)
	require.Contains(t, b.seen.of(http.MethodPost)[0].body, "TimeLimit=600")
	b.reconcile()
	require.Equal(t, "settled", b.call("call-1").State)
	require.Equal(t, 14_000*money.Micro, b.report().Budget.SettledUSD)

	channel := "sms"
	for _, idempotencyKey := range []string{"verify-1", "verify-2"} { // the second sends a text under the same identifier
		_, err = b.twilioGo(key, idempotencyKey).VerifyV2.CreateVerification("VA00000000000000000000000000000001",
			&verify.CreateVerificationParams{To: &to, Channel: &channel})
		require.NoError(t, err)
		require.Equal(t, "settled", b.call(idempotencyKey).State)
	}
	truth := b.sim.Truth().Twilio
	require.Equal(t, 2, truth.Verifications)
	require.Equal(t, truth.CallsMicroUSD+truth.VerificationsMicroUSD, int64(b.report().Budget.SettledUSD))

	b.sim.NextTwilioFaults(vendorsim.AnswerLost)
	_, err = b.twilioGo(key, "call-2").Api.CreateCall(&api.CreateCallParams{To: &to, From: &from, Twiml: &twiml})
	require.Equal(t, "outcome_unknown", twilioCode(err))
	_, err = b.twilioGo(key, "call-2").Api.CreateCall(&api.CreateCallParams{To: &to, From: &from, Twiml: &twiml})
	require.Equal(t, "outcome_unknown", twilioCode(err), "it may still be another's, whose answer is on its way")
	b.settlePrices(2)
	require.Equal(t, "settled", b.call("call-2").State)
	require.Equal(t, 2, b.sim.Truth().Twilio.Calls)
}

func TestTwilio_ReadsPassAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(money.Dollar)
	sid, _ := b.text(key, "text-1", "+14155550123", "Paid.")
	rest := b.twilioGo(key, "")
	message, err := rest.Api.FetchMessage(sid, nil)
	require.NoError(t, err)
	require.Equal(t, "Paid.", *message.Body)
	for range 2 {
		_, code := b.text(key, fmt.Sprint("more-", len(b.seen.of(http.MethodPost))), "+14155550123", "Paid.")
		require.Empty(t, code)
	}
	listed, err := rest.Api.ListMessage(&api.ListMessageParams{To: new("+14155550123"), PageSize: new(2)})
	require.NoError(t, err)
	require.Len(t, listed, 3, "page by page")

	for _, path := range []string{
		"/twilio/2010-04-01/Accounts/" + twilioAccount + ".json", // shows the auth token
		"/twilio/2010-04-01/Accounts.json", "/twilio/2010-04-01/Accounts/" + twilioAccount + "/Keys.json",
		"/twilio/2010-04-01/Accounts/" + twilioAccount + "/Messages", "/twilio/v1/Services",
	} {
		require.Equal(t, "unmetered_operation", b.get(key.VaultKey, path).header.Get("Tollgate-Denied"), path)
	}
	got := b.post(key.VaultKey, "/twilio/2010-04-01/Accounts/"+twilioAccount+"/IncomingPhoneNumbers.json", "k", "PhoneNumber=%2B14155550123")
	require.Equal(t, "unmetered_operation", got.header.Get("Tollgate-Denied"))
	require.Equal(t, "idempotency_required", b.post(key.VaultKey, twilioMessages, "", "To=%2B14155550123&From=Tollgate&Body=x").header.Get("Tollgate-Denied"))
}

// TestTwilio_TwoHundredTextsWithLatePricesAndLostAnswers: what the vendor really did is what
// the ledger says, and no text is sent twice.
func TestTwilio_TwoHundredTextsWithLatePricesAndLostAnswers(t *testing.T) {
	t.Parallel()
	const texts, bodies = 200, 40 // each text goes out five times, to one number
	faults := vendorsim.FaultPlan{Block: 40, Cards: map[vendorsim.Fault]int{
		vendorsim.AnswerLost: 3, vendorsim.TruncatedAnswer: 1, vendorsim.Error500AfterCharge: 1, vendorsim.RateLimited429: 2,
		vendorsim.ClosedAfterRead: 1, vendorsim.Error503: 1, vendorsim.Error500BeforeCharge: 1, vendorsim.SlowAnswer: 1,
	}}
	b := setup(t, setupOptions{sim: vendorsim.Config{
		Faults: faults, SlowDelay: 20 * time.Millisecond, TwilioPriceDelay: 40 * time.Minute, TwilioListLag: time.Minute,
	}})
	key := b.issueTwilio(10 * money.Dollar)
	send := func(i int) string {
		// Every tenth costs more than the card says, every tenth less.
		to := fmt.Sprintf("+1415555%04d", map[int]int{4: 4, 5: 5}[i%10])
		if i%10 != 4 && i%10 != 5 {
			to = fmt.Sprintf("+1415555%04d", 100+i%bodies)
		}
		_, code := b.text(key, fmt.Sprintf("text-%d", i), to, fmt.Sprintf("Your invoice %d is paid.", i%bodies))
		return code
	}
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, 16)
	)
	for i := range texts {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			for range 5 { // as a retrying activity would
				if code := send(i); code != "rate_limited" && code != "outcome_unknown" && code != "idempotency_in_flight" {
					return
				}
			}
		})
	}
	wg.Wait()
	b.settlePrices(60)

	truth := b.sim.Truth().Twilio
	states := map[string]int{}
	owned := map[string]string{}
	for i := range texts {
		row := b.call(fmt.Sprintf("text-%d", i))
		states[row.State]++
		if row.State == "settled" {
			require.Empty(t, owned[row.ObjectID], "one text settles one call")
			owned[row.ObjectID] = row.CallID
		}
	}
	require.Equal(t, truth.Texts, states["settled"], "vendor truth = ledger")
	require.Equal(t, truth.Lost(), states["unknown"])
	require.Equal(t, texts, states["settled"]+states["unknown"])
	require.Positive(t, truth.Lost())
	require.Positive(t, truth.Faults[string(vendorsim.AnswerLost)])
	budget := b.report().Budget
	require.Equal(t, truth.TextsMicroUSD, int64(budget.SettledUSD), "to the micro-USD")
	require.Equal(t, money.USD(truth.Lost())*textPrice, budget.UnknownUSD)
	require.Zero(t, budget.ReservedUSD+budget.CommittedUSD)
	for _, sent := range truth.Sent {
		require.Contains(t, owned, sent.SID)
	}
	require.Equal(t, truth.Posts, truth.Texts+truth.Lost()+truth.Faults[string(vendorsim.RateLimited429)],
		"each POST is a text, a loss or a refusal: none was sent twice")
}

func TestTwilio_TakesTheVaultKeyAsBasicPasswordWhateverTheUserIs(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(money.Dollar)
	const form = "To=%2B14155550123&From=%2B14155550100&Body=Paid."
	for i, user := range []string{twilioAccount, "anything", ""} {
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+key.VaultKey))
		got := b.post(key.VaultKey, twilioMessages, fmt.Sprintf("text-%d", i), form, "Authorization", basic)
		require.Equal(t, http.StatusCreated, got.status, got.raw)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(key.VaultKey+":x"))
	got := b.post(key.VaultKey, twilioMessages, "text-9", form, "Authorization", basic)
	require.Equal(t, "key_unknown", got.header.Get("Tollgate-Denied"))
	require.Equal(t, 3, b.sim.Truth().Twilio.Texts)
	stripe := b.issue(money.Dollar)
	require.Equal(t, "endpoint_not_allowed", b.post(stripe.VaultKey, twilioMessages, "k", form).header.Get("Tollgate-Denied"))
}

func TestTwilio_ARestartLooksUpWhatWasInDoubtAndSendsNothingAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issueTwilio(money.Dollar)
	b.sim.NextTwilioFaults(vendorsim.AnswerLost, vendorsim.ClosedAfterRead)
	for i := range 2 {
		_, code := b.text(key, fmt.Sprintf("text-%d", i), "+14155550123", fmt.Sprintf("Text %d.", i))
		require.Equal(t, "outcome_unknown", code)
	}
	b.stop()
	b.start()
	b.settlePrices(4)
	require.Equal(t, "settled", b.call("text-0").State)
	require.Equal(t, "unknown", b.call("text-1").State)
	require.Len(t, b.seen.of(http.MethodPost), 2)
}

func TestTwilio_APersonMayReleaseWhatNobodyCanFindAndOnlyThenIsItSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar, func(r *client.IssueRequest) {
		r.Vendor, r.ExpiresIn = "twilio", "24h"
		r.AllowedEndpoints = []string{"POST /2010-04-01/Accounts/{AccountSid}/Messages.json"}
	})
	b.sim.NextTwilioFaults(vendorsim.ClosedAfterRead)
	_, code := b.text(key, "text-1", "+14155550123", "Paid.")
	require.Equal(t, "outcome_unknown", code)
	b.settlePrices(2)
	got := b.admin(http.MethodPost, "/vault/calls/"+b.call("text-1").CallID+"/resolve", `{"outcome":"released","by":"Ada","reason":"not in the console"}`)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireHeld(0)
	_, code = b.text(key, "text-1", "+14155550123", "Paid.")
	require.Empty(t, code)
	require.Equal(t, 1, b.sim.Truth().Twilio.Texts)
}
