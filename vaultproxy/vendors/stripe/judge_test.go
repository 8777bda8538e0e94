package stripe_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	create        = "payment_intents.create"
	confirm       = "payment_intents.confirm"
	capture       = "payment_intents.capture"
	cancel        = "payment_intents.cancel"
	chargeCreate  = "charges.create"
	chargeCapture = "charges.capture"
	refundCreate  = "refunds.create"
)

func settled(amount money.USD, reason, object string) vendors.Verdict {
	return vendors.Verdict{Outcome: ledger.OutcomeSettled, Amount: amount, Reason: reason, Object: object}
}

func committed(amount money.USD, reason, object string) vendors.Verdict {
	return vendors.Verdict{Outcome: ledger.OutcomeCommitted, Amount: amount, Reason: reason, Object: object}
}

func released(reason string) vendors.Verdict {
	return vendors.Verdict{Outcome: ledger.OutcomeReleased, Reason: reason}
}

func declined(reason string) vendors.Verdict {
	return vendors.Verdict{Outcome: ledger.OutcomeReleased, Reason: reason, Declined: true}
}

// payable is a decline of a payment that somebody may still make.
func payable(amount money.USD, reason string) vendors.Verdict {
	return vendors.Verdict{Outcome: ledger.OutcomeCommitted, Amount: amount, Reason: reason, Object: "pi_1", Declined: true}
}

// offSession is what a creation sends when nobody is there to pay.
const offSession = "amount=1000&confirm=true&currency=usd&off_session=true"

var notUnderstood = vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "answer_not_understood"}

func refund(status string, amount int64) string {
	return fmt.Sprintf(`{"id":"re_1","object":"refund","status":%q,"currency":"usd","amount":%d,"charge":"ch_1"}`, status, amount)
}

func TestJudge_ReadsASuccessByTheObjectsStatus(t *testing.T) {
	t.Parallel()
	const failedIntent = `{"id":"pi_1","object":"payment_intent","status":"requires_payment_method","currency":"usd","amount":1000,"amount_received":0,"last_payment_error":{"type":"card_error","code":"card_declined"}}`
	for name, test := range map[string]struct {
		operation, target, body string
		want                    vendors.Verdict
	}{
		"a payment that succeeded":             {create, "", intent("succeeded", 1000, 0, 1000), settled(10*money.Dollar, "succeeded", "pi_1")},
		"a partial capture":                    {capture, "pi_1", intent("succeeded", 1000, 0, 400), settled(4*money.Dollar, "succeeded", "pi_1")},
		"a payment for more than was asked":    {capture, "pi_1", intent("succeeded", 1000, 0, 1200), settled(12*money.Dollar, "succeeded", "pi_1")},
		"an unconfirmed payment":               {create, "", intent("requires_payment_method", 1000, 0, 0), committed(10*money.Dollar, "requires_payment_method", "pi_1")},
		"a payment to be confirmed":            {create, "", intent("requires_confirmation", 1000, 0, 0), committed(10*money.Dollar, "requires_confirmation", "pi_1")},
		"a payment that waits for its payer":   {confirm, "pi_1", intent("requires_action", 1000, 0, 0), committed(10*money.Dollar, "requires_action", "pi_1")},
		"a payment to be captured":             {confirm, "pi_1", intent("requires_capture", 1000, 1000, 0), committed(10*money.Dollar, "requires_capture", "pi_1")},
		"a payment in processing":              {confirm, "pi_1", intent("processing", 1000, 0, 0), committed(10*money.Dollar, "processing", "pi_1")},
		"a payment that failed":                {confirm, "pi_1", failedIntent, payable(10*money.Dollar, "card_declined")},
		"a payment that others have failed at": {capture, "pi_1", failedIntent, committed(10*money.Dollar, "requires_payment_method", "pi_1")},
		"a payment that was cancelled":         {capture, "pi_1", intent("canceled", 1000, 0, 0), released("canceled")},
		"a cancel":                             {cancel, "pi_1", intent("canceled", 1000, 0, 0), vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: "canceled", Frees: "pi_1"}},
		"a cancel that did not cancel":         {cancel, "pi_1", intent("succeeded", 1000, 0, 1000), notUnderstood},
		"a status to come":                     {create, "", intent("requires_prayer", 1000, 0, 0), notUnderstood},
		"a success that does not tell how big": {create, "", `{"id":"pi_1","object":"payment_intent","status":"succeeded","currency":"usd","amount":1000}`, notUnderstood},
		"a success in another currency":        {create, "", `{"id":"pi_1","object":"payment_intent","status":"succeeded","currency":"eur","amount":1000,"amount_received":1000}`, notUnderstood},
		"a success of a negative amount":       {create, "", intent("succeeded", 1000, 0, -5), notUnderstood},
		"another object than was moved":        {confirm, "pi_2", intent("succeeded", 1000, 0, 1000), notUnderstood},
		"an object without an ID":              {create, "", `{"object":"payment_intent","status":"succeeded","currency":"usd","amount_received":1}`, notUnderstood},
		"an object of another kind":            {create, "", `{"id":"cus_1","object":"customer"}`, notUnderstood},
		"no object":                            {create, "", `[]`, notUnderstood},
		"no JSON":                              {create, "", `<html>`, notUnderstood},
		"nothing":                              {create, "", ``, notUnderstood},
		"half an object":                       {create, "", intent("succeeded", 1000, 0, 1000)[:60], notUnderstood},
		"a charge":                             {chargeCreate, "", charge(1000, 1000, 0), settled(10*money.Dollar, "succeeded", "ch_1")},
		"a charge to be captured":              {chargeCreate, "", charge(1000, 0, 0), committed(10*money.Dollar, "succeeded", "ch_1")},
		"a charge captured in part":            {chargeCapture, "ch_1", charge(1000, 300, 700), settled(3*money.Dollar, "succeeded", "ch_1")},
		"a charge in processing":               {chargeCreate, "", `{"id":"ch_1","object":"charge","status":"pending","currency":"usd","amount":1000,"captured":true}`, committed(10*money.Dollar, "pending", "ch_1")},
		"a charge that was voided":             {chargeCapture, "ch_1", charge(1000, 0, 1000), released("voided")},
		"a charge that failed":                 {chargeCreate, "", `{"id":"ch_1","object":"charge","status":"failed","currency":"usd","amount":1000,"failure_code":"card_declined"}`, declined("card_declined")},
		"a refund":                             {refundCreate, "", refund("succeeded", 1000), settled(10*money.Dollar, "succeeded", "re_1")},
		"a refund in processing":               {refundCreate, "", refund("pending", 1000), committed(10*money.Dollar, "pending", "re_1")},
		"a refund that waits for its payee":    {refundCreate, "", refund("requires_action", 1000), committed(10*money.Dollar, "requires_action", "re_1")},
		"a refund that failed":                 {refundCreate, "", refund("failed", 1000), released("failed")},
		"a refund that was cancelled":          {refundCreate, "", refund("canceled", 1000), released("canceled")},
		"a refund of a status to come":         {refundCreate, "", refund("", 1000), notUnderstood},
		"an expanded payment":                  {create, "", `{"id":"pi_1","object":"payment_intent","status":"succeeded","currency":"usd","amount":5,"amount_received":5,"customer":{"id":"cus_1"},"latest_charge":{"id":"ch_1","object":"charge"}}`, settled(5*money.Cent, "succeeded", "pi_1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newProfile(t).Judge(sent(test.operation, test.target, ""), answer(200, test.body))
			require.Equal(t, test.want, got)
		})
	}
}

func TestJudge_TakesOnlyListedRefusalsForProof(t *testing.T) {
	t.Parallel()
	const (
		invalid  = `{"error":{"type":"invalid_request_error","code":"parameter_missing","message":"private"}}`
		replayed = "replayed"
	)
	refused := func(reason string) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: reason}
	}
	credentials := vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: "vendor_credentials", Credentials: true}
	unknown := func(reason string) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: reason}
	}
	there := vendors.Verdict{Outcome: ledger.OutcomeCommitted, Reason: "parameter_missing", Object: "pi_1"}
	failure := func(reason string) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: reason, StoredFailure: true}
	}
	for name, test := range map[string]struct {
		status int
		body   string
		stored string // replayed: the answer is one that Stripe kept under the key
		target string
		want   vendors.Verdict
	}{
		"a declined card":                       {402, `{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds"}}`, "", "", declined("card_declined")},
		"a declined card, replayed":             {402, `{"error":{"type":"card_error","code":"card_declined"}}`, replayed, "", declined("card_declined")},
		"a card that needs its owner":           {402, `{"error":{"type":"card_error","code":"authentication_required"}}`, "", "", declined("authentication_required")},
		"a decline that gives no code":          {402, `{"error":{"type":"card_error"}}`, "", "", declined("card_error")},
		"a decline whose code is a text":        {402, `{"error":{"type":"card_error","code":"4242 4242 was refused"}}`, "", "", declined("card_error")},
		"402 for another reason":                {402, `{"error":{"type":"invalid_request_error"}}`, "", "", unknown("invalid_request_error")},
		"402 of somebody else":                  {402, `{"message":"pay for your plan"}`, "", "", unknown("answer_not_understood")},
		"an invalid request":                    {400, invalid, "", "", refused("parameter_missing")},
		"an object that is not there":           {404, `{"error":{"type":"invalid_request_error","code":"resource_missing"}}`, "", "pi_1", refused("resource_missing")},
		"an invalid creation, replayed":         {400, invalid, replayed, "", released("parameter_missing")},
		"an invalid move, replayed":             {400, invalid, replayed, "pi_1", vendors.Verdict{Outcome: ledger.OutcomeNoEffect, Reason: "parameter_missing"}},
		"an invalid creation that is there":     {400, `{"error":{"type":"invalid_request_error","code":"parameter_missing","payment_intent":{"id":"pi_1"}}}`, "", "", there},
		"and so when it is told again":          {400, `{"error":{"type":"invalid_request_error","code":"parameter_missing","payment_intent":{"id":"pi_1"}}}`, replayed, "", there},
		"an invalid move of what is there":      {400, `{"error":{"type":"invalid_request_error","code":"parameter_missing","payment_intent":{"id":"pi_1"}}}`, "", "pi_1", refused("parameter_missing")},
		"a key used for another request":        {400, `{"error":{"type":"idempotency_error"}}`, "", "", unknown("idempotency_error")},
		"a key in use":                          {409, `{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}`, "", "", unknown("idempotency_key_in_use")},
		"400 of a gateway":                      {400, `{}`, "", "", unknown("answer_not_understood")},
		"404 of a gateway":                      {404, `{"message":"no route"}`, "", "", unknown("answer_not_understood")},
		"404 in HTML":                           {404, `<html>`, "", "", unknown("answer_not_understood")},
		"our secret refused":                    {401, `{"error":{"type":"invalid_request_error"}}`, "", "", credentials},
		"our secret not allowed to":             {403, `{"error":{"type":"invalid_request_error","code":"more_permissions_required"}}`, "", "", credentials},
		"too many requests":                     {429, `{"error":{"type":"invalid_request_error","code":"rate_limit"}}`, "", "", refused("rate_limited")},
		"an object that is locked":              {429, `{"error":{"type":"invalid_request_error","code":"lock_timeout"}}`, "", "", refused("rate_limited")},
		"a failure at Stripe":                   {500, `{"error":{"type":"api_error"}}`, "", "", failure("vendor_error")},
		"a failure at Stripe, replayed":         {500, `{"error":{"type":"api_error"}}`, replayed, "", failure("vendor_error")},
		"a failure that looks like a refusal":   {500, invalid, "", "", failure("vendor_error")},
		"a failure that looks like a decline":   {502, `{"error":{"type":"card_error","code":"card_declined"}}`, "", "", failure("vendor_error")},
		"503 in HTML":                           {503, `<html>`, "", "", failure("answer_not_understood")},
		"a dependency that failed":              {424, `{"error":{"type":"api_error"}}`, "", "", unknown("api_error")},
		"a redirect":                            {302, ``, "", "", unknown("answer_not_understood")},
		"a redirect with an object":             {307, intent("succeeded", 5, 0, 5), "", "", unknown("answer_not_understood")},
		"not modified":                          {304, ``, "", "", unknown("answer_not_understood")},
		"a decline under a status of its own":   {418, `{"error":{"type":"card_error","code":"card_declined"}}`, "", "", unknown("card_declined")},
		"an invalid request of no known status": {422, invalid, "", "", unknown("parameter_missing")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var header []string
			if test.stored == replayed {
				header = []string{"Idempotent-Replayed", "true"}
			}
			operation := create
			if test.target != "" {
				operation = confirm
			}
			got := newProfile(t).Judge(sent(operation, test.target, offSession), answer(test.status, test.body, header...))
			require.Equal(t, test.want, got)
		})
	}
}

func TestJudge_ADeclineEndsOnlyWhatNobodyCanPayAnyMore(t *testing.T) {
	t.Parallel()
	const (
		onSession = "amount=1000&confirm=true&currency=usd"
		card      = `{"error":{"type":"card_error","code":"card_declined"}}`
		intent    = `{"error":{"type":"card_error","code":"card_declined","payment_intent":{"id":"pi_1","status":"requires_payment_method"}}}`
	)
	nothing := vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "card_declined", StoredFailure: true}
	for name, test := range map[string]struct {
		operation, target, sent, body string
		want                          vendors.Verdict
	}{
		"a payment off session":                   {create, "", offSession, intent, declined("card_declined")},
		"a payment off session, once":             {create, "", onSession + "&off_session=one_off", intent, declined("card_declined")},
		"a payment off session, again":            {create, "", onSession + "&off_session=recurring", intent, declined("card_declined")},
		"a payment on session":                    {create, "", onSession, intent, payable(0, "card_declined")},
		"a payment that says it is on session":    {create, "", onSession + "&off_session=false", intent, payable(0, "card_declined")},
		"a payment that only says how it will be": {create, "", "amount=1000&currency=usd&off_session=true", intent, payable(0, "card_declined")},
		"a payment on session, object untold":     {create, "", onSession, card, nothing},
		"a payment on session, object no object":  {create, "", onSession, `{"error":{"type":"card_error","code":"card_declined","payment_intent":"pi_1"}}`, nothing},
		"a payment on session, object no intent":  {create, "", onSession, `{"error":{"type":"card_error","code":"card_declined","payment_intent":{"id":"seti_1"}}}`, nothing},
		"a confirm":                               {confirm, "pi_1", "", intent, payable(0, "card_declined")},
		"a confirm off session":                   {confirm, "pi_1", "off_session=true", intent, payable(0, "card_declined")},
		"a confirm, object untold":                {confirm, "pi_1", "", card, payable(0, "card_declined")},
		"a capture":                               {capture, "pi_1", "", intent, payable(0, "card_declined")},
		"a charge":                                {chargeCreate, "", "amount=1000&currency=usd", card, declined("card_declined")},
		"a refund":                                {refundCreate, "", "amount=1000", card, declined("card_declined")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, newProfile(t).Judge(sent(test.operation, test.target, test.sent), answer(402, test.body)))
		})
	}
}
