package stripe

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/policy"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Meter works out the price, of what the key's scope allows.
func (p *Profile) Meter(ctx context.Context, r vendors.Request, view vendors.View) (vendors.Quote, error) {
	p, view = p.metering(ctx, r, view)
	if err := checkAccount(r, view.Scope()); err != nil {
		return vendors.Quote{}, err
	}
	if r.Read() {
		return vendors.Quote{Request: r, Operation: read, Template: r.Path}, checkReadRequest(r, view.Scope())
	}
	op, object, err := find(r)
	if err != nil {
		return vendors.Quote{}, err
	}
	q := vendors.Quote{Request: r, Operation: op.name, Template: op.template(), Target: object}
	if err := checkWrite(ctx, view, q); err != nil {
		return vendors.Quote{}, err
	}
	if err := p.meter(ctx, view, op, &q); err != nil {
		return q, err
	}
	q.Rate = p.books.rate()
	return q, checkShares(ctx, view, q)
}

func (p *Profile) meter(ctx context.Context, view vendors.View, op operation, q *vendors.Quote) (err error) {
	switch op.name {
	case intentCreate, chargeCreate:
		err = p.meterCreate(q)
	case intentConfirm:
		err = p.meterHeld(ctx, view, q, "/v1/payment_intents/", "")
	case intentCapture:
		err = p.meterHeld(ctx, view, q, "/v1/payment_intents/", "amount_to_capture")
	case chargeCapture:
		err = p.meterHeld(ctx, view, q, "/v1/charges/", "amount")
	case refundCreate:
		err = p.meterRefund(ctx, view, q)
	}
	return err
}

func (p *Profile) meterCreate(q *vendors.Quote) error {
	currency, ok := q.Request.Body.Get("currency")
	if !ok {
		return &vendors.Refusal{Code: vendors.Invalid, Param: "currency", Message: "currency is missing"}
	}
	if err := checkCurrency(currency); err != nil {
		return err
	}
	text, ok := q.Request.Body.Get("amount")
	if !ok {
		return &vendors.Refusal{Code: vendors.Invalid, Param: "amount", Message: "amount is missing: a whole number of minor units, such as cents"}
	}
	minor, err := parseAmount("amount", text)
	if err != nil {
		return err
	}
	q.Price, err = p.price(currency, minor)
	return err
}

// meterHeld prices a move of an object: what the run holds for it is taken
// over; otherwise its amount is looked up. A capture's amount is pinned in what
// is sent, so that nobody can raise it in between.
func (p *Profile) meterHeld(ctx context.Context, view vendors.View, q *vendors.Quote, path, amountParam string) error {
	asked := int64(0)
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
		q.TakeOver, q.Price = booking.Seq, booking.Hold
		if amountParam == "" {
			return nil
		}
	}
	// An amount is in the object's currency, which only Stripe knows.
	obj, err := fetch(ctx, view, path, q.Target, nil)
	if err != nil {
		return err
	}
	minor := obj.Amount
	if amountParam != "" {
		minor = obj.capturable()
	}
	if minor < 1 {
		return refuse(vendors.AmountInvalid, "Stripe reports no amount for this object, so it cannot be metered")
	}
	if amountParam != "" && asked == 0 {
		q.Request.Body = q.Request.Body.With(amountParam, strconv.FormatInt(minor, 10))
		asked = minor
	}
	if q.TakeOver == 0 {
		asked = max(minor, asked)
	}
	price, err := p.price(obj.Currency, asked)
	q.Price = max(q.Price, price)
	return err
}

// meterRefund prices a refund: it moves the merchant's money out, and gives no
// budget back.
func (p *Profile) meterRefund(ctx context.Context, view vendors.View, q *vendors.Quote) error {
	body := q.Request.Body
	charge, hasCharge := body.Get("charge")
	intent, hasIntent := body.Get("payment_intent")
	if hasCharge == hasIntent {
		return refuse(vendors.Invalid, "a refund needs either charge or payment_intent")
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
	if currency, ok := body.Get("currency"); ok {
		if code, _ := currencyCode(currency); code != obj.Currency {
			return &vendors.Refusal{
				Code: vendors.CurrencyUnsupported, Param: "currency", Message: "a refund is in the currency of what it refunds; leave currency out",
			}
		}
	}
	if text, ok := body.Get("amount"); ok {
		minor, err := parseAmount("amount", text)
		if err != nil {
			return err
		}
		q.Price, err = p.price(obj.Currency, minor)
		return err
	}
	remainder := obj.refundable()
	if remainder <= 0 {
		return &vendors.Refusal{Code: vendors.AmountInvalid, Param: "amount", Message: "nothing is left to refund on this object"}
	}
	if q.Price, err = p.price(obj.Currency, remainder); err != nil {
		return err
	}
	q.Request.Body = body.With("amount", strconv.FormatInt(remainder, 10))
	return nil
}

func isID(s string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if len(s) > len(prefix) && strings.HasPrefix(s, prefix) && policy.IsSegment(s) {
			return true
		}
	}
	return false
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
