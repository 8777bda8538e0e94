// Package fx turns amounts of other currencies into micro-USD by a table of
// exchange rates that an operator keeps.
//
// A rate is exact: a decimal number in the table, a fraction from then on. One
// price is rounded once, up, and a margin is on it, so that a hold covers what
// the payment is worth even if the market has moved since the table was made.
// A table has a date and an age past which nothing new is priced by it.
//
// A price that was held is booked at the rate that it was held at: see Rate.
package fx

import (
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Base is the currency that all rates lead to.
const Base = "usd"

// ErrUnknown is a currency that the table has no rate for, or no table at all.
var ErrUnknown = errors.New("there is no exchange rate for this currency")

// DateError is a table that nothing new may be priced by at this time.
type DateError struct {
	AsOf   time.Time
	MaxAge time.Duration
	Future bool // it is dated ahead of the clock, rather than too old
}

func (e *DateError) Error() string {
	at := e.AsOf.Format(time.RFC3339)
	if e.Future {
		return "the exchange rates are dated " + at + ", which is still to come"
	}
	return fmt.Sprintf("the exchange rates of %s are older than their max_age of %s", at, e.MaxAge)
}

// Table holds dated rates. Its zero value and a nil table have none: then only
// US dollars have a price.
type Table struct {
	asOf   time.Time
	maxAge time.Duration
	factor *big.Rat            // 1 + margin
	rates  map[string]*big.Rat // US dollars for one whole unit, without the margin
}

// AsOf is the moment that the table is true for.
func (t *Table) AsOf() time.Time { return t.asOf }

// Expires is when the table is too old to price anything new by.
func (t *Table) Expires() time.Time { return t.asOf.Add(t.maxAge) }

// Len is the number of currencies that have a rate.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.rates)
}

// maxAhead is how far a table may be dated ahead of the clock: a date without an
// hour may have begun east of here already.
const maxAhead = 24 * time.Hour

// Usable reports whether new prices may be made by the table at a time. *DateError.
func (t *Table) Usable(now time.Time) error {
	switch {
	case now.After(t.Expires()):
		return &DateError{AsOf: t.asOf, MaxAge: t.maxAge}
	case now.Add(maxAhead).Before(t.asOf):
		return &DateError{AsOf: t.asOf, MaxAge: t.maxAge, Future: true}
	}
	return nil
}

// Rate is the price of one minor unit of a currency, margin included, however
// old the table is. The code is lower-case; decimals is how many minor units make
// a whole one, as a power of ten. ErrUnknown.
func (t *Table) Rate(currency string, decimals int) (Rate, error) {
	if decimals < 0 || decimals > maxDecimals {
		return Rate{}, fmt.Errorf("a currency with %d decimals is not known", decimals)
	}
	whole := big.NewRat(1, 1)
	if currency != Base {
		if t == nil || t.rates[currency] == nil {
			return Rate{}, ErrUnknown
		}
		whole.Mul(t.rates[currency], t.factor)
	}
	minors := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	micro := new(big.Rat).Mul(whole, new(big.Rat).SetFrac(big.NewInt(microsOfADollar), minors))
	return Rate{currency: currency, micro: micro}, nil
}

const (
	microsOfADollar = 1_000_000
	maxDecimals     = 4
)
