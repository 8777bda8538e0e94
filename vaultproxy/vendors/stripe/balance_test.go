package stripe_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// moved is an object of a kind that moves $10.00.
func moved(kind, id, status string) string {
	return fmt.Sprintf(`{"id":%q,"object":%q,"status":%q,"currency":"usd","amount":1000}`, id, kind, status)
}

func TestJudge_ReadsEveryKindByItsStatus(t *testing.T) {
	t.Parallel()
	const amount = 10 * money.Dollar
	unpaid := strings.Replace(invoice("paid", 1000, 1000), `"amount_paid"`, `"x"`, 1)
	for name, test := range map[string]struct {
		operation, target, body string
		want                    vendors.Verdict
	}{
		"a payout to be paid":          {"payouts.create", "", moved("payout", "po_1", "pending"), committed(amount, "pending", "po_1")},
		"a payout on its way":          {"payouts.create", "", moved("payout", "po_1", "in_transit"), committed(amount, "in_transit", "po_1")},
		"a payout that was paid":       {"payouts.create", "", moved("payout", "po_1", "paid"), settled(amount, "paid", "po_1")},
		"a payout that failed":         {"payouts.create", "", moved("payout", "po_1", "failed"), released("failed")},
		"a payout that was cancelled":  {"payouts.create", "", moved("payout", "po_1", "canceled"), released("canceled")},
		"a payout of a status to come": {"payouts.create", "", moved("payout", "po_1", "lost"), notUnderstood},
		"a payout's cancel":            {"payouts.cancel", "po_1", moved("payout", "po_1", "canceled"), frees("po_1", "canceled")},
		"a cancel that was too late":   {"payouts.cancel", "po_1", moved("payout", "po_1", "paid"), notUnderstood},
		"another payout's cancel":      {"payouts.cancel", "po_1", moved("payout", "po_2", "canceled"), notUnderstood},
		"a transfer":                   {"transfers.create", "", moved("transfer", "tr_1", ""), settled(amount, "succeeded", "tr_1")},
		"a transfer taken back since":  {"transfers.create", "", `{"id":"tr_1","object":"transfer","currency":"usd","amount":1000,"amount_reversed":1000,"reversed":true}`, settled(amount, "succeeded", "tr_1")},
		"a reversal":                   {"transfers.reverse", "tr_1", moved("transfer_reversal", "trr_1", ""), settled(amount, "succeeded", "trr_1")},
		"the transfer for a reversal":  {"transfers.reverse", "tr_1", moved("transfer", "tr_1", ""), notUnderstood},
		"a top-up to come":             {"topups.create", "", moved("topup", "tu_1", "pending"), committed(amount, "pending", "tu_1")},
		"a top-up":                     {"topups.create", "", moved("topup", "tu_1", "succeeded"), settled(amount, "succeeded", "tu_1")},
		"a top-up that went back":      {"topups.create", "", moved("topup", "tu_1", "reversed"), settled(amount, "reversed", "tu_1")},
		"a top-up that failed":         {"topups.create", "", moved("topup", "tu_1", "failed"), released("failed")},
		"a top-up that was cancelled":  {"topups.create", "", moved("topup", "tu_1", "canceled"), released("canceled")},
		"a top-up's cancel":            {"topups.cancel", "tu_1", moved("topup", "tu_1", "canceled"), frees("tu_1", "canceled")},
		"a refund's cancel":            {"refunds.cancel", "re_1", refund("canceled", 1000), frees("re_1", "canceled")},
		"a draft":                      {"invoices.create", "", invoice("draft", 0, 0), vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: "draft"}},
		"an invoice that is open":      {"invoices.finalize", "in_1", invoice("open", 1000, 0), committed(amount, "open", "in_1")},
		"an invoice paid in part":      {"invoices.pay", "in_1", invoice("open", 1000, 300), committed(7*money.Dollar, "open", "in_1")},
		"an invoice that is paid":      {"invoices.pay", "in_1", invoice("paid", 1000, 1000), settled(amount, "paid", "in_1")},
		"an invoice of nothing":        {"invoices.finalize", "in_1", invoice("paid", 0, 0), settled(0, "paid", "in_1")},
		"an invoice that was given up": {"invoices.pay", "in_1", invoice("uncollectible", 1000, 0), committed(amount, "uncollectible", "in_1")},
		"an invoice that is void":      {"invoices.pay", "in_1", invoice("void", 1000, 0), released("void")},
		"a void":                       {"invoices.void", "in_1", invoice("void", 1000, 0), frees("in_1", "void")},
		"a void that did nothing":      {"invoices.void", "in_1", invoice("paid", 1000, 1000), notUnderstood},
		"paid, and not how much":       {"invoices.pay", "in_1", unpaid, notUnderstood},
		"an increment":                 {"payment_intents.increment_authorization", "pi_1", intent("requires_capture", 1000, 1000, 0), committed(amount, "requires_capture", "pi_1")},
		"a customer":                   {"customers.create", "", `{"id":"cus_1","object":"customer"}`, vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: "done"}},
		"another customer":             {"customers.update", "cus_1", `{"id":"cus_2","object":"customer"}`, notUnderstood},
		"something else":               {"customers.create", "", `{"id":"pi_1","object":"payment_intent"}`, notUnderstood},
		"an operation long gone":       {"payouts.none", "", moved("payout", "po_1", "paid"), notUnderstood},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, newProfile(t).Judge(sent(test.operation, test.target, ""), answer(200, test.body)))
		})
	}
}

// frees is the end of an object: what was held for it is free.
func frees(object, reason string) vendors.Verdict {
	return vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: reason, Frees: object}
}

func TestJudge_AnUpdateCountsOnlyIfItChangesTheAmount(t *testing.T) {
	t.Parallel()
	succeeded := intent("succeeded", 1000, 0, 1000)
	p := newProfile(t)
	require.Equal(t, vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: "succeeded"},
		p.Judge(sent("payment_intents.update", "pi_1", "description=x"), answer(200, succeeded)), "what was paid is booked elsewhere")
	require.Equal(t, committed(10*money.Dollar, "requires_confirmation", "pi_1"),
		p.Judge(sent("payment_intents.update", "pi_1", "amount=1000"), answer(200, intent("requires_confirmation", 1000, 0, 0))))
}

func TestJudge_ADeclineOfWhatMovesNoMoneyHoldsNothing(t *testing.T) {
	t.Parallel()
	card := answer(402, `{"error":{"type":"card_error","code":"card_declined"}}`)
	p := newProfile(t)
	require.Equal(t, declined("card_declined"), p.Judge(sent("setup_intents.confirm", "seti_1", ""), card))
	require.Equal(t, vendors.Verdict{Outcome: ledger.OutcomeCommitted, Object: "in_1", Reason: "card_declined", Declined: true},
		p.Judge(sent("invoices.pay", "in_1", ""), card), "the invoice can still be paid")
	require.Equal(t, vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "card_declined"}, p.Judge(sent("payouts.cancel", "po_1", ""), card))
}

func TestLookup_FindsEveryKindOfCreationByItsStamp(t *testing.T) {
	t.Parallel()
	for operation, test := range map[string]struct {
		target, object, list string
	}{
		"payouts.create":       {"", moved("payout", "po_1", "pending"), "/v1/payouts?" + since + "&limit=100"},
		"transfers.create":     {"", moved("transfer", "tr_1", ""), "/v1/transfers?" + since + "&limit=100"},
		"transfers.reverse":    {"tr_1", moved("transfer_reversal", "trr_1", ""), "/v1/transfers/tr_1/reversals?limit=100"},
		"topups.create":        {"", moved("topup", "tu_1", "pending"), "/v1/topups?" + since + "&limit=100"},
		"invoices.create":      {"", invoice("draft", 0, 0), invoices + "?" + since + "&limit=100"},
		"customers.create":     {"", `{"id":"cus_1","object":"customer"}`, "/v1/customers?" + since + "&limit=100"},
		"products.create":      {"", `{"id":"prod_1","object":"product"}`, "/v1/products?" + since + "&limit=100"},
		"prices.create":        {"", `{"id":"price_1","object":"price"}`, "/v1/prices?" + since + "&limit=100"},
		"setup_intents.create": {"", `{"id":"seti_1","object":"setup_intent","status":"succeeded"}`, "/v1/setup_intents?" + since + "&limit=100"},
	} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{test.list: page(false, stamped(t, test.object, "x_1", "call_1"))}}
			got, err := newProfile(t).Lookup(t.Context(), sent(operation, test.target, "amount=1000"+stamp), a)
			require.NoError(t, err)
			require.True(t, got.Found, a.asked)
			require.Equal(t, 200, got.Answer.Status)

			a.answers[test.list] = page(false, stamped(t, test.object, "x_1", "call_2"))
			got, err = newProfile(t).Lookup(t.Context(), sent(operation, test.target, "amount=1000"+stamp), a)
			require.NoError(t, err)
			require.True(t, got.Absent)
		})
	}
}

func TestLookup_ReadsEveryKindOfMoveOffItsObject(t *testing.T) {
	t.Parallel()
	tried := strings.Replace(invoice("open", 1000, 0), `"attempted":false`, `"attempted":true`, 1)
	for name, test := range map[string]struct {
		operation, target, body, object string
		found, absent                   bool
	}{
		"an update that was made":              {"payment_intents.update", "pi_1", "amount=1000", intent("requires_confirmation", 1000, 0, 0), true, false},
		"an update that does not show":         {"payment_intents.update", "pi_1", "amount=900", intent("requires_confirmation", 1000, 0, 0), false, false},
		"an update of what was paid since":     {"payment_intents.update", "pi_1", "amount=900", intent("succeeded", 1000, 0, 1000), true, false},
		"an update of what ended since":        {"payment_intents.update", "pi_1", "amount=900", intent("canceled", 1000, 0, 0), true, false},
		"an increment that was made":           {"payment_intents.increment_authorization", "pi_1", "amount=1000", intent("requires_capture", 1000, 1000, 0), true, false},
		"an increment that does not show":      {"payment_intents.increment_authorization", "pi_1", "amount=1500", intent("requires_capture", 1000, 1000, 0), false, false},
		"a payout's cancel":                    {"payouts.cancel", "po_1", "", moved("payout", "po_1", "canceled"), true, false},
		"a payout's cancel that was not made":  {"payouts.cancel", "po_1", "", moved("payout", "po_1", "pending"), false, true},
		"a top-up's cancel":                    {"topups.cancel", "tu_1", "", moved("topup", "tu_1", "canceled"), true, false},
		"a refund's cancel that was not made":  {"refunds.cancel", "re_1", "", refund("requires_action", 1000), false, true},
		"a finalised invoice":                  {"invoices.finalize", "in_1", "", invoice("open", 1000, 0), true, false},
		"an invoice that is a draft still":     {"invoices.finalize", "in_1", "", invoice("draft", 1000, 0), false, true},
		"a paid invoice":                       {"invoices.pay", "in_1", "", invoice("paid", 1000, 1000), true, false},
		"an invoice that nobody tried to pay":  {"invoices.pay", "in_1", "", invoice("open", 1000, 0), false, true},
		"an invoice that somebody tried to":    {"invoices.pay", "in_1", "", tried, false, false},
		"an invoice that was not paid in time": {"invoices.pay", "in_1", "", invoice("void", 1000, 0), true, false},
		"a void":                               {"invoices.void", "in_1", "", invoice("void", 1000, 0), true, false},
		"a void that was not made":             {"invoices.void", "in_1", "", invoice("open", 1000, 0), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{answers: map[string]string{}}
			for _, path := range []string{intents, "/v1/payouts", "/v1/topups", "/v1/refunds", invoices} {
				a.answers[path+"/"+test.target] = test.object
			}
			got, err := newProfile(t).Lookup(t.Context(), sent(test.operation, test.target, test.body), a)
			require.NoError(t, err)
			require.Equal(t, test.found, got.Found)
			require.Equal(t, test.absent, got.Absent)
		})
	}
}

func TestLookup_OfWhatLeavesNoTraceProvesNothing(t *testing.T) {
	t.Parallel()
	a := &account{}
	for operation, target := range map[string]string{
		"customers.update": "cus_1", "charges.update": "ch_1", "payment_methods.attach": "pm_1", "setup_intents.confirm": "seti_1",
		"payment_intents.update": "pi_1", "payouts.update": "po_1",
	} {
		got, err := newProfile(t).Lookup(t.Context(), sent(operation, target, "description=x"), a)
		require.NoError(t, err)
		require.Equal(t, vendors.Finding{}, got, operation)
	}
	require.Empty(t, a.asked)
}

func TestMeter_PinsAReversalToWhatIsLeft(t *testing.T) {
	t.Parallel()
	a := &account{scope: platform(), answers: map[string]string{
		"/v1/transfers/tr_1": `{"id":"tr_1","object":"transfer","currency":"usd","amount":1000,"amount_reversed":300,"destination":"acct_1"}`,
		"/v1/transfers/tr_2": `{"id":"tr_2","object":"transfer","currency":"usd","amount":1000,"amount_reversed":1000,"destination":"acct_1"}`,
	}}
	q, err := meter(t, a, "/v1/transfers/tr_1/reversals", "")
	require.NoError(t, err)
	require.Equal(t, 7*money.Dollar, q.Price)
	require.Equal(t, "amount=700", q.Request.Body.Encode())
	require.Zero(t, q.TakeOver)
	q, err = meter(t, a, "/v1/transfers/tr_1/reversals", "amount=200")
	require.NoError(t, err)
	require.Equal(t, 2*money.Dollar, q.Price)
	_, err = meter(t, a, "/v1/transfers/tr_2/reversals", "")
	requireRefusal(t, err, vendors.AmountInvalid, "amount")
	_, err = meter(t, a, "/v1/transfers/tr_404/reversals", "")
	requireRefusal(t, err, vendors.Invalid, "")
}
