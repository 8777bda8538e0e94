package stripe_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// since is an hour before firstSent and sinceDay a day, for clocks that differ.
const (
	since    = "created[gte]=1795431600"
	sinceDay = "created[gte]=1795348800"
)

const stamp = "&metadata[tollgate_call]=call_1&metadata[tollgate_run]=r"

func page(more bool, objects ...string) string {
	return fmt.Sprintf(`{"object":"list","has_more":%t,"data":[%s]}`, more, strings.Join(objects, ","))
}

// stamped puts a stamp on an object, and gives it another ID.
func stamped(t *testing.T, object, id, call string) string {
	t.Helper()
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(object), &fields))
	fields["id"] = id
	fields["metadata"] = map[string]string{"tollgate_call": call}
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(body)
}

func TestLookup_FindsACreationByItsStamp(t *testing.T) {
	t.Parallel()
	succeeded := intent("succeeded", 1000, 0, 1000)
	list := intents + "?" + sinceDay + "&customer=cus_1&limit=100"
	a := &account{answers: map[string]string{
		list: page(true, stamped(t, succeeded, "pi_3", "call_3"), `{"id":"pi_2","object":"payment_intent"}`),
		intents + "?" + sinceDay + "&customer=cus_1&limit=100&starting_after=pi_2": page(false, stamped(t, succeeded, "pi_1", "call_1")),
	}}
	got, err := newProfile(t).Lookup(t.Context(), sent(create, "", "amount=1000&currency=usd&customer=cus_1&confirm=true"+stamp), a)
	require.NoError(t, err)
	require.True(t, got.Found)
	require.False(t, got.Absent)
	require.Equal(t, settled(10*money.Dollar, "succeeded", "pi_1"), got.Verdict)
	require.Equal(t, 200, got.Answer.Status)
	require.JSONEq(t, stamped(t, succeeded, "pi_1", "call_1"), string(got.Answer.Body))
	require.Len(t, a.asked, 2)
}

func TestLookup_ListsByWhatNarrowsItMost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ operation, body, want string }{
		"a payment without a customer": {create, "amount=1&currency=usd", intents + "?" + since + "&limit=100"},
		"a charge of a customer":       {chargeCreate, "amount=1&currency=usd&customer=cus_1", "/v1/charges?" + sinceDay + "&customer=cus_1&limit=100"},
		"an inactive price":            {"prices.create", "product=prod_1&unit_amount=1&currency=usd&active=false", "/v1/prices?active=false&" + sinceDay + "&limit=100&product=prod_1"},
		"a refund of a charge":         {refundCreate, "amount=1&charge=ch_1", "/v1/refunds?charge=ch_1&" + sinceDay + "&limit=100"},
		"a refund of a payment":        {refundCreate, "amount=1&payment_intent=pi_1", "/v1/refunds?" + sinceDay + "&limit=100&payment_intent=pi_1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{test.want: page(false)}}
			got, err := newProfile(t).Lookup(t.Context(), sent(test.operation, "", test.body+stamp), a)
			require.NoError(t, err)
			require.Equal(t, []string{test.want}, a.asked)
			require.True(t, got.Absent)
			require.False(t, got.Found)
		})
	}
}

func TestLookup_SaysAbsentOnlyAfterACompleteLookUp(t *testing.T) {
	t.Parallel()
	const list = intents + "?" + since + "&limit=100"
	for name, first := range map[string]string{
		"no list":                    `{}`,
		"a list that is null":        `{"data":null,"has_more":false}`,
		"no JSON":                    `<html>`,
		"more, and nothing to go on": page(true),
		"an object without an ID":    page(false, `{"object":"payment_intent"}`),
		"half a list":                `{"data":[`,
		"an object that is none":     page(false, `5`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{list: first}}
			got, err := newProfile(t).Lookup(t.Context(), sent(create, "", "amount=1&currency=usd"+stamp), a)
			var lookup *vendors.LookupError
			require.ErrorAs(t, err, &lookup)
			require.False(t, got.Absent)
			require.False(t, got.Found)
		})
	}
	for _, status := range []int{302, 401, 404, 429, 500} {
		a := &account{status: map[string]int{list: status}}
		got, err := newProfile(t).Lookup(t.Context(), sent(create, "", "amount=1&currency=usd"+stamp), a)
		require.Error(t, err)
		require.Equal(t, vendors.Finding{}, got)
	}
}

func TestLookup_WithAKeyOfTheOtherModeProvesNothing(t *testing.T) {
	t.Parallel()
	const list = intents + "?" + since + "&limit=100"
	for name, c := range map[string]struct {
		before, now string
		proves      bool
	}{
		"another key":                 {"sk_live_1", "sk_live_2", true},
		"a restricted key":            {"sk_live_1", "rk_live_1", true},
		"from live to test":           {"sk_live_1", "sk_test_1", false},
		"from test to live":           {"rk_test_1", "sk_live_1", false},
		"a key that does not say it":  {"sk_live_1", "sk_1", true},
		"a call that does not say it": {"sk_1", "sk_live_1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, err := stripe.New(stripe.Config{Secret: c.before})
			require.NoError(t, err)
			now, err := stripe.New(stripe.Config{Secret: c.now})
			require.NoError(t, err)
			for _, op := range []struct{ operation, path, body string }{
				{create, intents, "amount=1&currency=usd"}, {"customers.update", "/v1/customers/cus_1", "name=A"},
			} {
				r, err := before.Parse(form(op.path, op.body))
				require.NoError(t, err)
				q, err := before.Meter(t.Context(), r, &account{})
				require.NoError(t, err)
				s := sent(op.operation, q.Target, "")
				s.Wire = before.Wire(q, vendors.Stamp{CallID: "call_1", Run: "r"})
				a := &account{answers: map[string]string{list: page(false)}}
				got, err := now.Lookup(t.Context(), s, a)
				if !c.proves { // nor is it sent again, after an error
					require.ErrorContains(t, err, "mode")
					require.Equal(t, vendors.Finding{}, got)
					require.Empty(t, a.asked)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, op.operation == create, got.Absent)
			}
		})
	}
}

func TestLookup_ThatDoesNotEndProvesNothing(t *testing.T) {
	t.Parallel()
	const list = intents + "?" + since + "&limit=100"
	a := &account{answers: map[string]string{
		list:                          page(true, `{"id":"pi_9","object":"payment_intent"}`),
		list + "&starting_after=pi_9": page(true, `{"id":"pi_9","object":"payment_intent"}`),
	}}
	got, err := newProfile(t).Lookup(t.Context(), sent(create, "", "amount=1&currency=usd"+stamp), a)
	require.NoError(t, err)
	require.Equal(t, vendors.Finding{}, got)
	require.Len(t, a.asked, 20)
}

func TestLookup_WithoutAStampProvesNothing(t *testing.T) {
	t.Parallel()
	a := &account{}
	for _, operation := range []string{create, "read", "payouts.none"} {
		got, err := newProfile(t).Lookup(t.Context(), sent(operation, "", "amount=1&currency=usd"), a)
		require.NoError(t, err)
		require.Equal(t, vendors.Finding{}, got)
	}
	require.Empty(t, a.asked)
}

func TestLookup_JudgesWhatItFinds(t *testing.T) {
	t.Parallel()
	failed := strings.Replace(intent("requires_payment_method", 1000, 0, 0), `"last_payment_error":null`,
		`"last_payment_error":{"type":"card_error","code":"card_declined","message":"no","decline_code":"generic_decline"}`, 1)
	for name, test := range map[string]struct {
		body, object string
		found        bool
		want         vendors.Verdict
		status       int
	}{
		"an unconfirmed payment": {
			"amount=1000&currency=usd", intent("requires_payment_method", 1000, 0, 0), true, committed(10*money.Dollar, "requires_payment_method", "pi_1"), 200},
		"a payment whose confirmation has not ended": {
			"amount=1000&confirm=true&currency=usd", intent("requires_payment_method", 1000, 0, 0), false, vendors.Verdict{}, 0},
		"a payment whose confirmation has not begun": {
			"amount=1000&confirm=true&currency=usd", intent("requires_confirmation", 1000, 0, 0), false, vendors.Verdict{}, 0},
		"a payment whose confirmation failed": {
			offSession, failed, true, declined("card_declined"), 402},
		"a payment whose confirmation failed on session": {
			"amount=1000&confirm=true&currency=usd", failed, true, payable(10*money.Dollar, "card_declined"), 402},
		"a payment that its customer failed at": {
			"amount=1000&currency=usd", failed, true, committed(10*money.Dollar, "requires_payment_method", "pi_1"), 200},
		"a payment in processing": {
			"amount=1000&confirm=true&currency=usd", intent("processing", 1000, 0, 0), true, committed(10*money.Dollar, "processing", "pi_1"), 200},
		"a payment that was cancelled since": {
			"amount=1000&confirm=true&currency=usd", intent("canceled", 1000, 0, 0), true, released("canceled"), 200},
		"a payment in a status to come": {
			"amount=1000&confirm=true&currency=usd", intent("requires_prayer", 1000, 0, 0), false, vendors.Verdict{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := stamped(t, test.object, "pi_1", "call_1")
			a := &account{answers: map[string]string{intents + "?" + since + "&limit=100": page(false, object)}}
			got, err := newProfile(t).Lookup(t.Context(), sent(create, "", test.body+stamp), a)
			require.NoError(t, err)
			require.Equal(t, test.found, got.Found)
			require.Equal(t, test.want, got.Verdict)
			require.Equal(t, test.status, got.Answer.Status)
			require.False(t, got.Absent, "it is there")
			switch test.status {
			case 200:
				require.JSONEq(t, object, string(got.Answer.Body))
				require.Empty(t, got.Answer.Header("Content-Type"))
			case 402:
				require.JSONEq(t, `{"error":{"type":"card_error","code":"card_declined","message":"no","decline_code":"generic_decline","payment_intent":`+object+`}}`,
					string(got.Answer.Body))
			}
		})
	}
}

func TestLookup_AnswersAFailedChargeAsARefusal(t *testing.T) {
	t.Parallel()
	const failed = `{"id":"ch_1","object":"charge","status":"failed","currency":"usd","amount":1000,"failure_code":"card_declined","failure_message":"no","metadata":{"tollgate_call":"call_1"}}`
	a := &account{answers: map[string]string{"/v1/charges?" + since + "&limit=100": page(false, failed)}}
	got, err := newProfile(t).Lookup(t.Context(), sent(chargeCreate, "", "amount=1000&currency=usd"+stamp), a)
	require.NoError(t, err)
	require.True(t, got.Found)
	require.Equal(t, declined("card_declined"), got.Verdict)
	require.Equal(t, 402, got.Answer.Status, "a client that only looks at the status must not take it for paid")
	require.JSONEq(t, `{"error":{"type":"card_error","code":"card_declined","message":"no","charge":"ch_1"}}`, string(got.Answer.Body))
}

func TestLookup_ReadsAMoveOffItsObject(t *testing.T) {
	t.Parallel()
	failed := strings.Replace(intent("requires_payment_method", 1000, 0, 0), `"last_payment_error":null`, `"last_payment_error":{"type":"card_error"}`, 1)
	for name, test := range map[string]struct {
		operation, target, object string
		found, absent             bool
		want                      vendors.Verdict
	}{
		"a confirmation that worked":          {confirm, "pi_1", intent("succeeded", 1000, 0, 1000), true, false, settled(10*money.Dollar, "succeeded", "pi_1")},
		"a confirmation to be captured":       {confirm, "pi_1", intent("requires_capture", 1000, 1000, 0), true, false, committed(10*money.Dollar, "requires_capture", "pi_1")},
		"a confirmation that never came":      {confirm, "pi_1", intent("requires_confirmation", 1000, 0, 0), false, true, vendors.Verdict{}},
		"one that never came, without a card": {confirm, "pi_1", intent("requires_payment_method", 1000, 0, 0), false, true, vendors.Verdict{}},
		"a decline that may be an older one":  {confirm, "pi_1", failed, false, false, vendors.Verdict{}},
		"a confirmation, cancelled since":     {confirm, "pi_1", intent("canceled", 1000, 0, 0), true, false, released("canceled")},
		"a capture that worked":               {capture, "pi_1", intent("succeeded", 1000, 0, 400), true, false, settled(4*money.Dollar, "succeeded", "pi_1")},
		"a capture that never came":           {capture, "pi_1", intent("requires_capture", 1000, 1000, 0), false, true, vendors.Verdict{}},
		"a capture in processing":             {capture, "pi_1", intent("processing", 1000, 0, 0), true, false, committed(10*money.Dollar, "processing", "pi_1")},
		"a capture after the hold ran out":    {capture, "pi_1", intent("canceled", 1000, 0, 0), true, false, released("canceled")},
		"a cancel that worked":                {cancel, "pi_1", intent("canceled", 1000, 0, 0), true, false, vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: "canceled", Frees: "pi_1"}},
		"a cancel that never came":            {cancel, "pi_1", intent("requires_capture", 1000, 1000, 0), false, true, vendors.Verdict{}},
		"a cancel that came too late":         {cancel, "pi_1", intent("succeeded", 1000, 0, 1000), false, true, vendors.Verdict{}},
		"a charge's capture that worked":      {chargeCapture, "ch_1", charge(1000, 300, 700), true, false, settled(3*money.Dollar, "succeeded", "ch_1")},
		"a charge's capture that never came":  {chargeCapture, "ch_1", charge(1000, 0, 0), false, true, vendors.Verdict{}},
		"a charge's capture after a void":     {chargeCapture, "ch_1", charge(1000, 0, 1000), true, false, released("voided")},
		"a status to come":                    {confirm, "pi_1", intent("requires_prayer", 1000, 0, 0), false, false, vendors.Verdict{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{intents + "/pi_1": test.object, "/v1/charges/ch_1": test.object}}
			got, err := newProfile(t).Lookup(t.Context(), sent(test.operation, test.target, ""), a)
			require.NoError(t, err)
			require.Equal(t, test.found, got.Found)
			require.Equal(t, test.absent, got.Absent)
			require.Equal(t, test.want, got.Verdict)
			require.Len(t, a.asked, 1)
		})
	}
}

func TestLookup_TakesNoOtherObjectForTheMovedOne(t *testing.T) {
	t.Parallel()
	a := &account{answers: map[string]string{intents + "/pi_2": intent("requires_capture", 1000, 1000, 0)}}
	for _, target := range []string{"pi_2", "pi_404"} {
		got, err := newProfile(t).Lookup(t.Context(), sent(capture, target, ""), a)
		require.Error(t, err)
		require.Equal(t, vendors.Finding{}, got, "an object that cannot be read proves nothing, not even that nothing was done")
	}
}

func TestFollow_ReadsAnObjectUntilItIsFinal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		id, path, object string
		found            bool
		want             vendors.Verdict
	}{
		"a payment that was made":        {"pi_1", intents + "/pi_1", intent("succeeded", 1000, 0, 400), true, settled(4*money.Dollar, "succeeded", "pi_1")},
		"a payment that is still open":   {"pi_1", intents + "/pi_1", intent("processing", 1000, 0, 0), true, committed(10*money.Dollar, "processing", "pi_1")},
		"a payment that was cancelled":   {"pi_1", intents + "/pi_1", intent("canceled", 1000, 0, 0), true, released("canceled")},
		"a status to come":               {"pi_1", intents + "/pi_1", intent("requires_prayer", 1000, 0, 0), false, notUnderstood},
		"a charge that was captured":     {"ch_1", "/v1/charges/ch_1", charge(1000, 1000, 0), true, settled(10*money.Dollar, "succeeded", "ch_1")},
		"a charge that ran out":          {"ch_1", "/v1/charges/ch_1", charge(1000, 0, 1000), true, released("voided")},
		"a payment by another method":    {"py_1", "/v1/charges/py_1", stamped(t, charge(1000, 1000, 0), "py_1", ""), true, settled(10*money.Dollar, "succeeded", "py_1")},
		"a refund that came through":     {"re_1", "/v1/refunds/re_1", refund("succeeded", 500), true, settled(5*money.Dollar, "succeeded", "re_1")},
		"a refund by another method":     {"pyr_1", "/v1/refunds/pyr_1", stamped(t, refund("failed", 500), "pyr_1", ""), true, released("failed")},
		"an object of an unknown kind":   {"sub_1", "", "", false, vendors.Verdict{}},
		"an object whose ID is a path":   {"pi_1/confirm", "", "", false, vendors.Verdict{}},
		"an object without an ID at all": {"", "", "", false, vendors.Verdict{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{test.path: test.object}}
			got, err := newProfile(t).Follow(t.Context(), vendors.Sent{}, test.id, a)
			require.NoError(t, err)
			require.Equal(t, test.found, got.Found)
			require.Equal(t, test.want, got.Verdict)
			if test.path == "" {
				require.Empty(t, a.asked)
			}
		})
	}
}

func TestFollow_PassesOnThatItCouldNotRead(t *testing.T) {
	t.Parallel()
	a := &account{answers: map[string]string{intents + "/pi_2": intent("canceled", 1000, 0, 0)}}
	for _, id := range []string{"pi_404", "pi_2"} {
		_, err := newProfile(t).Follow(t.Context(), vendors.Sent{}, id, a)
		require.Error(t, err)
	}
}

func TestFollow_TakesADeclineForTheEndOnlyIfNobodyCanPayAnyMore(t *testing.T) {
	t.Parallel()
	declined := `{"id":"pi_1","object":"payment_intent","status":"requires_payment_method","currency":"usd","amount":1000,
		"amount_received":0,"last_payment_error":{"type":"card_error","code":"card_declined"}}`
	for name, test := range map[string]struct {
		sent vendors.Sent
		want vendors.Verdict
	}{
		"a creation that leaves confirming to others": {
			vendors.Sent{Operation: create, Wire: vendors.Wire{Body: []byte("amount=1000&currency=usd")}},
			committed(10*money.Dollar, "requires_payment_method", "pi_1"),
		},
		"a creation that confirms while its customer is there": {
			vendors.Sent{Operation: create, Wire: vendors.Wire{Body: []byte("amount=1000&confirm=true&currency=usd")}},
			payable(10*money.Dollar, "card_declined"),
		},
		"a creation that confirms off session": {
			vendors.Sent{Operation: create, Wire: vendors.Wire{Body: []byte(offSession)}},
			vendors.Verdict{Outcome: ledger.OutcomeReleased, Reason: "card_declined", Declined: true},
		},
		"a confirm": {
			vendors.Sent{Operation: confirm, Target: "pi_1"},
			payable(10*money.Dollar, "card_declined"),
		},
		"a capture": {
			vendors.Sent{Operation: capture, Target: "pi_1"},
			committed(10*money.Dollar, "requires_payment_method", "pi_1"),
		},
		"a creation whose request is no longer known": {
			vendors.Sent{Operation: create},
			committed(10*money.Dollar, "requires_payment_method", "pi_1"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{intents + "/pi_1": declined}}
			got, err := newProfile(t).Follow(t.Context(), test.sent, "pi_1", a)
			require.NoError(t, err)
			require.True(t, got.Found)
			require.Equal(t, test.want, got.Verdict)
		})
	}
}

func TestLookup_ProvesNothingByAClockThatRunsFarAhead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		date   string
		absent bool
	}{
		"Stripe's clock is two hours behind":     {firstSent.Add(-2 * time.Hour).Format(http.TimeFormat), false},
		"Stripe's clock is half an hour behind":  {firstSent.Add(-30 * time.Minute).Format(http.TimeFormat), true},
		"an answer that does not tell its clock": {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{date: test.date, answers: map[string]string{intents + "?" + since + "&limit=100": page(false)}}
			got, err := newProfile(t).Lookup(t.Context(), sent(create, "", "amount=1&currency=usd"+stamp), a)
			require.NoError(t, err)
			require.Equal(t, test.absent, got.Absent)
		})
	}
}
