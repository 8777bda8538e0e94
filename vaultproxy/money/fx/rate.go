package fx

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Rate is the price of one minor unit of one currency, exact and with its margin
// in it. It is stored with the call that was priced by it: what the call books
// later is worked out at the same rate, whatever table is there by then, so that a
// payment that was made in full is booked as exactly what was held for it.
type Rate struct {
	currency string
	micro    *big.Rat // micro-USD for one minor unit
}

// Currency is the lower-case code.
func (r Rate) Currency() string { return r.currency }

// Less reports whether one minor unit costs less than at another rate.
func (r Rate) Less(other Rate) bool {
	return other.micro != nil && (r.micro == nil || r.micro.Cmp(other.micro) < 0)
}

// Price is what an amount in minor units costs, rounded up to a whole micro-USD.
// money.ErrOverflow; a negative amount is an error.
func (r Rate) Price(minor int64) (money.USD, error) {
	if minor < 0 {
		return 0, errors.New("a negative amount has no price")
	}
	if r.micro == nil {
		return 0, errors.New("there is no rate to price by")
	}
	product := new(big.Int).Mul(big.NewInt(minor), r.micro.Num())
	price, rest := product.QuoRem(product, r.micro.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		price.Add(price, big.NewInt(1))
	}
	if !price.IsInt64() {
		return 0, money.ErrOverflow
	}
	return money.USD(price.Int64()), nil
}

// maxRateText bounds a stored rate, in bytes: a fraction of two numbers.
const maxRateText = 128

// MarshalText writes the currency and the fraction, such as "jpy 68289/10".
func (r Rate) MarshalText() ([]byte, error) {
	if !isCode(r.currency) || r.micro == nil {
		return nil, errors.New("this is no rate that can be stored")
	}
	return []byte(r.currency + " " + r.micro.RatString()), nil
}

// UnmarshalText reads what MarshalText has written, and nothing else.
func (r *Rate) UnmarshalText(text []byte) error {
	currency, fraction, ok := strings.Cut(string(text), " ")
	if !ok || len(text) > maxRateText || !isCode(currency) || strings.Trim(fraction, "0123456789/") != "" {
		return errors.New("a stored exchange rate cannot be read")
	}
	micro, ok := new(big.Rat).SetString(fraction)
	if !ok || micro.Sign() <= 0 {
		return fmt.Errorf("the stored exchange rate of %s cannot be read", currency)
	}
	r.currency, r.micro = currency, micro
	return nil
}

// isCode reports whether a text is a currency's code as Stripe writes them: three
// lower-case letters.
func isCode(s string) bool {
	return len(s) == 3 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}
