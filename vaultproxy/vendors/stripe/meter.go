package stripe

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/policy"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// maxAmount is Stripe's largest amount, in the currency's minor unit: eight
// digits (https://docs.stripe.com/api/payment_intents/create#create_payment_intent-amount).
const maxAmount = 99_999_999

// Meter works out the price.
func (*Profile) Meter(ctx context.Context, r vendors.Request, view vendors.View) (vendors.Quote, error) {
	if r.Read() {
		return vendors.Quote{Request: r, Operation: read, Template: r.Path}, nil
	}
	op, object, err := find(r)
	if err != nil {
		return vendors.Quote{}, err
	}
	q := vendors.Quote{Request: r, Operation: op.name, Template: op.template(), Target: object}
	switch op.name {
	case intentCreate, chargeCreate:
		err = meterCreate(&q)
	case intentConfirm:
		err = meterHeld(ctx, view, &q, "/v1/payment_intents/", "")
	case intentCapture:
		err = meterHeld(ctx, view, &q, "/v1/payment_intents/", "amount_to_capture")
	case chargeCapture:
		err = meterHeld(ctx, view, &q, "/v1/charges/", "amount")
	case refundCreate:
		err = meterRefund(ctx, view, &q)
	}
	return q, err
}

func meterCreate(q *vendors.Quote) error {
	currency, ok := q.Request.Body.Get("currency")
	if !ok {
		return &vendors.Refusal{Code: vendors.Invalid, Param: "currency", Message: "currency is missing"}
	}
	if err := checkCurrency(currency); err != nil {
		return err
	}
	text, ok := q.Request.Body.Get("amount")
	if !ok {
		return &vendors.Refusal{Code: vendors.Invalid, Param: "amount", Message: "amount is missing: an integer number of cents"}
	}
	var err error
	q.Price, err = parseAmount("amount", text)
	return err
}

// meterHeld prices a move of an object: what the run holds for it is taken
// over; otherwise its amount is looked up. A capture's amount is pinned in what
// is sent, so that nobody can raise it in between.
func meterHeld(ctx context.Context, view vendors.View, q *vendors.Quote, path, amountParam string) error {
	asked := money.USD(-1)
	if text, ok := q.Request.Body.Get(amountParam); amountParam != "" && ok {
		var err error
		if asked, err = parseAmount(amountParam, text); err != nil {
			return err
		}
	}
	booking, found, err := view.Booking(ctx, q.Target)
	if err != nil {
		return err
	}
	if found && booking.SameRun && booking.Committed {
		q.TakeOver, q.Price = booking.Seq, max(booking.Hold, asked)
		if amountParam == "" || asked >= 0 {
			return nil
		}
	}
	obj, err := fetch(ctx, view, path, q.Target, nil)
	if err != nil {
		return err
	}
	cents := obj.Amount
	if amountParam != "" {
		cents = obj.capturable()
	}
	if cents < 1 {
		return refuse(vendors.AmountInvalid, "Stripe reports no amount for this object, so it cannot be metered")
	}
	full, err := obj.price(cents)
	if err != nil {
		return err
	}
	if amountParam != "" && asked < 0 {
		q.Request.Body = q.Request.Body.With(amountParam, strconv.FormatInt(cents, 10))
		asked = full
	}
	if q.TakeOver != 0 {
		q.Price = max(q.Price, asked)
		return nil
	}
	q.Price = max(full, asked)
	return nil
}

// meterRefund prices a refund: it moves the merchant's money out, and gives no
// budget back.
func meterRefund(ctx context.Context, view vendors.View, q *vendors.Quote) error {
	body := q.Request.Body
	charge, hasCharge := body.Get("charge")
	intent, hasIntent := body.Get("payment_intent")
	if hasCharge == hasIntent {
		return refuse(vendors.Invalid, "a refund needs either charge or payment_intent")
	}
	if currency, ok := body.Get("currency"); ok {
		if err := checkCurrency(currency); err != nil {
			return err
		}
	}
	// The amount alone would be in the object's currency, which only Stripe knows.
	var (
		obj object
		err error
	)
	switch {
	case hasCharge && isID(charge, "ch_", "py_"):
		obj, err = fetch(ctx, view, "/v1/charges/", charge, nil)
	case hasIntent && isID(intent, "pi_"):
		obj, err = fetch(ctx, view, "/v1/payment_intents/", intent, vendors.Params{{Name: "expand[]", Value: "latest_charge"}})
	default:
		return refuse(vendors.Invalid, "the charge or payment_intent to refund is not an object ID")
	}
	if err != nil {
		return err
	}
	if text, ok := body.Get("amount"); ok {
		if q.Price, err = parseAmount("amount", text); err != nil {
			return err
		}
		return checkCurrency(obj.Currency)
	}
	remainder := obj.refundable()
	if remainder <= 0 {
		return &vendors.Refusal{Code: vendors.AmountInvalid, Param: "amount", Message: "nothing is left to refund on this object"}
	}
	if q.Price, err = obj.price(remainder); err != nil {
		return err
	}
	q.Request.Body = body.With("amount", strconv.FormatInt(remainder, 10))
	return nil
}

func isID(s string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) && policy.IsSegment(s) {
			return true
		}
	}
	return false
}

func checkCurrency(currency string) error {
	// No Unicode folding: it takes a long s for an s, and Stripe does not.
	if currency == "usd" || currency == "USD" {
		return nil
	}
	return &vendors.Refusal{
		Code: vendors.CurrencyUnsupported, Param: "currency",
		Message: "only usd is metered: Tollgate has no exchange rate for another currency",
	}
}

// parseAmount reads whole US cents: digits only, no leading zero.
func parseAmount(name, text string) (money.USD, error) {
	bad := &vendors.Refusal{
		Code: vendors.AmountInvalid, Param: name,
		Message: name + " must be a whole number of cents from 1 to 99999999, in plain digits",
	}
	if text == "" || len(text) > 8 || text[0] == '0' {
		return 0, bad
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, bad
		}
	}
	cents, err := strconv.ParseInt(text, 10, 64)
	if err != nil || cents > maxAmount {
		return 0, bad
	}
	return money.Cents(cents)
}

// fetch reads one object. An answer with another object in it is none.
func fetch(ctx context.Context, g vendors.Getter, path, id string, query vendors.Params) (object, error) {
	answer, err := g.Get(ctx, path+id, query)
	if err != nil {
		return object{}, err
	}
	switch {
	case answer.Status == 404:
		return object{}, refuse(vendors.Invalid, "Stripe has no object of this ID")
	case answer.Status != 200:
		return object{}, &vendors.LookupError{Status: answer.Status}
	}
	var obj object
	if err := json.Unmarshal(answer.Body, &obj); err != nil || obj.ID != id {
		return object{}, &vendors.LookupError{Status: answer.Status}
	}
	return obj, nil
}
