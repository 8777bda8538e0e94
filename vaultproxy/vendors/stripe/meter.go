package stripe

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/policy"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// pricing works out what a call may cost at most, and pins that in what is sent.
type pricing func(context.Context, *metering) error

// metering is one call while it is being priced.
type metering struct {
	*vendors.Quote
	profile *Profile
	view    vendors.View
}

// Meter works out the price of what the key's scope allows.
func (p *Profile) Meter(ctx context.Context, r vendors.Request, view vendors.View) (vendors.Quote, error) {
	p, view = p.pricing(ctx, r, view)
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
	r.Body = op.pin(r.Body)
	q := vendors.Quote{Request: r, Operation: op.name, Template: op.path, Target: object}
	m := &metering{&q, p, view}
	if err := m.checkScope(ctx, op); err != nil {
		return q, err
	}
	if op.price != nil && op.movesMoney(r.Body) {
		if err := op.price(ctx, m); err != nil {
			return q, err
		}
	}
	q.Rate = p.books.rate()
	return q, m.checkShares(ctx)
}

// byAmount prices what names its amount and currency.
func byAmount(_ context.Context, m *metering) error {
	currency, err := m.required("currency")
	if err != nil {
		return err
	}
	if err := checkCurrency(currency); err != nil {
		return err
	}
	if _, err := m.required("amount"); err != nil {
		return err
	}
	amount, err := m.amount("amount")
	if err != nil {
		return err
	}
	m.Price, err = m.profile.price(currency, amount)
	return err
}

// byObject prices what sets an object going by its whole amount.
func byObject(ctx context.Context, m *metering) error {
	obj, err := m.target(ctx)
	if err != nil {
		return err
	}
	return m.atLeast(obj.Currency, obj.Amount)
}

// byCapture prices a capture by what it takes, which is pinned in what is sent,
// so that nobody can raise it in between. If the run does not hold the object
// already, the part that is not captured is held as well until that is done.
func byCapture(param string) pricing {
	return func(ctx context.Context, m *metering) error {
		asked, err := m.amount(param)
		if err != nil {
			return err
		}
		obj, err := m.target(ctx)
		if err != nil {
			return err
		}
		if asked == 0 {
			asked = obj.capturable()
			m.pin(param, asked)
		}
		if m.TakeOver == 0 {
			asked = max(asked, obj.capturable())
		}
		return m.atLeast(obj.Currency, asked)
	}
}

// byNewAmount prices what gives an object another amount, by that: what the run
// holds for the object already is taken over, so that the difference is added.
func byNewAmount(ctx context.Context, m *metering) error {
	amount, err := m.amount("amount")
	if err != nil {
		return err
	}
	currency, other := m.Request.Body.Get("currency")
	if amount == 0 && !other {
		return missing("amount")
	}
	obj, err := m.target(ctx)
	if err != nil {
		return err
	}
	if !other {
		currency = obj.Currency
	}
	if amount == 0 {
		amount = obj.Amount
		m.pin("amount", amount)
	}
	return m.atLeast(currency, amount)
}

// byUpdate prices an update like byNewAmount, and pins the currency: without it, the
// amount would be one of whatever currency another update is just giving the object.
func byUpdate(ctx context.Context, m *metering) error {
	if err := byNewAmount(ctx, m); err != nil {
		return err
	}
	if _, given := m.Request.Body.Get("currency"); given {
		return nil
	}
	obj, err := m.fetchTarget(ctx)
	m.Request.Body = m.Request.Body.With("currency", obj.Currency)
	return err
}

// byRefund prices a refund: it moves the merchant's money out, and gives no
// budget back. The amount is in the object's currency, which only Stripe knows.
func byRefund(ctx context.Context, m *metering) error {
	charge, hasCharge := m.Request.Body.Get("charge")
	intent, hasIntent := m.Request.Body.Get("payment_intent")
	if hasCharge == hasIntent {
		return refuse(vendors.Invalid, "a refund needs either charge or payment_intent")
	}
	var (
		obj object
		err error
	)
	switch {
	case hasCharge && isID(charge, "ch_", "py_"):
		obj, err = fetch(ctx, m.view, "/v1/charges/", charge, nil)
	case hasIntent && isID(intent, "pi_"):
		obj, err = fetch(ctx, m.view, "/v1/payment_intents/", intent, vendors.Params{{Name: "expand[]", Value: "latest_charge"}})
	default:
		return refuse(vendors.Invalid, "the charge or payment_intent to refund is not an object ID")
	}
	if err != nil {
		return err
	}
	if currency, ok := m.Request.Body.Get("currency"); ok {
		if code, _ := currencyCode(currency); code != obj.Currency {
			return &vendors.Refusal{
				Code: vendors.CurrencyUnsupported, Param: "currency", Message: "a refund is in the currency of what it refunds; leave currency out",
			}
		}
	}
	return m.remainder(obj.Currency, obj.refundable())
}

// byReversal prices what is taken back of a transfer, as a refund.
func byReversal(ctx context.Context, m *metering) error {
	obj, err := m.fetchTarget(ctx)
	if err != nil {
		return err
	}
	// It is the other account's money that is taken.
	if !slices.Contains(m.view.Scope().Accounts, string(obj.Destination)) {
		return beyondScope("destination")
	}
	return m.remainder(obj.Currency, obj.Amount-obj.AmountReversed)
}

// remainder prices what gives back the amount that it names, or all that is
// left, which is then pinned.
func (m *metering) remainder(currency string, left int64) error {
	amount, err := m.amount("amount")
	if err != nil {
		return err
	}
	if amount == 0 {
		if left <= 0 {
			return &vendors.Refusal{Code: vendors.AmountInvalid, Param: "amount", Message: "nothing is left to refund on this object"}
		}
		amount = left
		m.pin("amount", amount)
	}
	m.Price, err = m.profile.price(currency, amount)
	return err
}

// target takes over what the run holds for the object in the path, and looks the
// object up: it may have grown since.
func (m *metering) target(ctx context.Context) (object, error) {
	if err := m.takeOver(ctx); err != nil {
		return object{}, err
	}
	return m.fetchTarget(ctx)
}

// takeOver takes over what the run holds for the target.
func (m *metering) takeOver(ctx context.Context) error {
	booking, found, err := m.view.Booking(ctx, m.Target)
	if err == nil && found && booking.SameRun && booking.Committed {
		m.TakeOver, m.Price = booking.Seq, booking.Hold
	}
	return err
}

// fetchTarget looks the object in the path up.
func (m *metering) fetchTarget(ctx context.Context) (object, error) {
	k, ok := kindOf(m.Target)
	if !ok {
		return object{}, refuse(vendors.Invalid, "the path does not name an object that Tollgate knows")
	}
	return fetch(ctx, m.view, k.path, m.Target, nil)
}

// atLeast prices a call at an amount, or at what it took over if that is more.
func (m *metering) atLeast(currency string, amount int64) error {
	if amount < 1 {
		return refuse(vendors.AmountInvalid, "Stripe reports no amount for this object, so it cannot be metered")
	}
	price, err := m.profile.price(currency, amount)
	m.Price = max(m.Price, price)
	return err
}

// amount reads an amount, zero if it was not given.
func (m *metering) amount(name string) (int64, error) {
	text, ok := m.Request.Body.Get(name)
	if !ok {
		return 0, nil
	}
	return parseAmount(name, text)
}

func (m *metering) required(name string) (string, error) {
	value, ok := m.Request.Body.Get(name)
	if !ok {
		return "", missing(name)
	}
	return value, nil
}

// pin writes an amount that was looked up into what is sent.
func (m *metering) pin(name string, amount int64) {
	m.Request.Body = m.Request.Body.With(name, strconv.FormatInt(amount, 10))
}

func missing(name string) *vendors.Refusal {
	message := name + " is missing"
	if strings.HasSuffix(name, "amount") {
		message += ": an integer in the currency's minor unit, such as cents"
	}
	return &vendors.Refusal{Code: vendors.Invalid, Param: name, Message: message}
}

func isID(s string, prefixes ...string) bool {
	return policy.IsSegment(s) && slices.ContainsFunc(prefixes, func(prefix string) bool { return len(s) > len(prefix) && strings.HasPrefix(s, prefix) })
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
