package stripe

import (
	"context"
	"fmt"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/money/fx"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// books say at which rate the amounts of one call count.
//
// A call that is metered is priced by the table of today. Where it takes a hold
// over, the rate of that hold counts for what the hold covers: nobody has to hold
// more because the market moved. The rate goes along with the call, and what
// Stripe answers is booked at it, today or after a restart with another table. So
// a payment in full is booked as exactly what was held, and never more is, unless
// Stripe took more minor units than were metered.
type books struct {
	metering bool // new prices: the table must be fresh, and the amount one that Stripe takes
	payout   bool
	now      func() (time.Time, error)
	held     *fx.Rate  // of a hold that may be taken over
	hold     money.USD // its amount
	used     *fx.Rate  // the lowest rate that anything was priced at; with metering alone
}

// pricing returns the profile as it meters one call, and the view through which
// it sees which holds may be taken over.
func (p *Profile) pricing(ctx context.Context, r vendors.Request, view vendors.View) (*Profile, vendors.View) {
	b := &books{
		metering: true, payout: r.Path == "/v1/payouts",
		now: func() (time.Time, error) { return view.Now(ctx) },
	}
	return &Profile{secret: p.secret, rates: p.rates, books: b}, &meterView{View: view, books: b, request: r, seen: map[string]vendors.Answer{}}
}

// judging returns the profile as it judges a call: at the rate of its hold.
func (p *Profile) judging(s vendors.Sent) *Profile {
	return &Profile{secret: p.secret, rates: p.rates, books: &books{held: s.Wire.Rate}}
}

// rate is what the call is to book at.
func (b *books) rate() *fx.Rate {
	if b.used != nil {
		return b.used
	}
	return b.held
}

// use notes a rate. A call has one; should it be priced at several, the lowest
// never books more than was held.
func (b *books) use(rate fx.Rate) {
	if b.used == nil || b.used.Currency() != rate.Currency() || rate.Less(*b.used) {
		b.used = &rate
	}
}

// price is what an amount in a currency's minor unit comes to, in micro-USD. It
// is the one place where an amount of Stripe's becomes money. *vendors.Refusal:
// currency_unsupported, amount_invalid.
func (p *Profile) price(currency string, minor int64) (money.USD, error) {
	code, ok := currencyCode(currency)
	switch {
	case !ok:
		return 0, checkCurrency(currency)
	case minor < 0:
		return 0, refuse(vendors.AmountInvalid, "Stripe reports a negative amount for this object")
	case code == fx.Base:
		return money.Cents(minor)
	case listed(ambiguousUnits, code):
		return 0, &vendors.Refusal{
			Code: vendors.CurrencyUnsupported, Param: "currency",
			Message: code + " is not metered: Stripe documents its minor unit in two ways, a hundredfold apart",
		}
	}
	b := p.books
	if b == nil {
		b = &books{}
	}
	if b.metering {
		if unit := step(code, b.payout); minor%unit != 0 {
			return 0, &vendors.Refusal{
				Code: vendors.AmountInvalid, Param: "amount",
				Message: fmt.Sprintf("Stripe takes amounts in %s as multiples of %d only", code, unit),
			}
		}
	}
	if b.held != nil && b.held.Currency() == code {
		// Past what is held, the rest is new, and no old rate is good for it.
		price, err := b.held.Price(minor)
		if !b.metering || (err == nil && price <= b.hold) {
			b.use(*b.held)
			return price, err
		}
	}
	return p.priceByTable(b, code, minor)
}

func (p *Profile) priceByTable(b *books, code string, minor int64) (money.USD, error) {
	rate, err := p.rates.Rate(code, decimals(code))
	if err != nil {
		return 0, p.noRate(code)
	}
	if b.metering {
		now, err := b.now()
		if err != nil {
			return 0, err
		}
		if err := p.rates.Usable(now); err != nil {
			return 0, &vendors.Refusal{
				Code: vendors.CurrencyUnsupported, Param: "currency",
				Message: err.Error() + ": have the operator give the proxy a new table (--fx-file) and restart it; amounts in usd are not affected",
			}
		}
	}
	price, err := rate.Price(minor)
	if err != nil {
		return 0, &vendors.Refusal{
			Code: vendors.AmountInvalid, Param: "amount", Message: "the amount is more than can be counted in US dollars",
		}
	}
	b.use(rate)
	return price, nil
}

func (p *Profile) noRate(code string) error {
	message := fmt.Sprintf("there is no exchange rate for %s: have the operator add it to the table of exchange rates (--fx-file)", code)
	if p.rates.Len() == 0 {
		message = "only usd is metered: Tollgate has no exchange rates; have the operator give it a table (--fx-file)"
	}
	return &vendors.Refusal{Code: vendors.CurrencyUnsupported, Param: "currency", Message: message}
}

// checkCurrency refuses what is not written as a currency. Whether it has a rate
// is told by its price.
func checkCurrency(currency string) error {
	if _, ok := currencyCode(currency); ok {
		return nil
	}
	return &vendors.Refusal{
		Code: vendors.CurrencyUnsupported, Param: "currency",
		Message: "currency must be a code of three letters, such as usd, all in lower or all in upper case",
	}
}

// meterView notes what may be taken over, and asks Stripe for nothing twice: all
// that is decided about one call is decided on the same answer.
type meterView struct {
	vendors.View
	books   *books
	request vendors.Request
	seen    map[string]vendors.Answer
}

// Booking keeps a hold with the account that it was made in: the ID of an object
// means nothing in another one.
func (v *meterView) Booking(ctx context.Context, object string) (vendors.Booking, bool, error) {
	b, found, err := v.View.Booking(ctx, object)
	if err != nil || !found || !b.SameRun || !b.Committed {
		return b, found, err
	}
	if b.Header != nil && b.Header[accountHeader] != v.request.Header[accountHeader] {
		return b, found, refuse(vendors.ScopeDenied, "this object is held for another account than the one that Stripe-Account names")
	}
	v.books.held, v.books.hold = b.Rate, b.Hold
	return b, found, nil
}

// Get answers what it was asked before with what it was told then.
func (v *meterView) Get(ctx context.Context, path string, query vendors.Params) (vendors.Answer, error) {
	at := path + "?" + query.Encode()
	if answer, ok := v.seen[at]; ok {
		return answer, nil
	}
	answer, err := v.View.Get(ctx, path, query)
	if err == nil {
		v.seen[at] = answer
	}
	return answer, err
}
