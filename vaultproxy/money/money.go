// Package money holds the one type in which Tollgate counts: micro-USD, as an
// int64. No float ever touches an amount; every sum is overflow-checked.
package money

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// USD is an amount in micro-USD: 1_000_000 is one dollar. The int64 range is
// about nine trillion dollars.
type USD int64

const (
	// Micro is the smallest amount, a millionth of a dollar.
	Micro USD = 1
	// Cent is 10,000 micro-USD.
	Cent USD = 10_000
	// Dollar is 1,000,000 micro-USD.
	Dollar USD = 1_000_000
	// Max is the largest amount that fits.
	Max USD = math.MaxInt64
)

// ErrOverflow is returned when a sum or a product leaves the int64 range.
var ErrOverflow = errors.New("amount overflows")

// Add returns a+b, or ErrOverflow.
func Add(a, b USD) (USD, error) {
	sum := a + b
	if (b > 0 && sum < a) || (b < 0 && sum > a) {
		return 0, ErrOverflow
	}
	return sum, nil
}

// Cents returns n US cents, or ErrOverflow.
func Cents(n int64) (USD, error) {
	if n > int64(Max/Cent) || n < -int64(Max/Cent) {
		return 0, ErrOverflow
	}
	return USD(n) * Cent, nil
}

// Parse reads a plain decimal amount of dollars, such as "500", "499.99" or
// "0.0075". Signs, exponents, grouping, spaces and more than six decimals are
// errors, never rounded away.
func Parse(s string) (USD, error) {
	whole, frac, hasPoint := strings.Cut(s, ".")
	if !digits(whole) || (hasPoint && !digits(frac)) {
		return 0, fmt.Errorf("%q is not an amount of dollars: write digits with at most one decimal point, such as 499.99", clip(s))
	}
	if len(frac) > 6 {
		return 0, fmt.Errorf("%q has more than six decimals: the smallest amount is 0.000001", clip(s))
	}
	dollars, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || dollars > int64(Max/Dollar) {
		return 0, fmt.Errorf("%q is too large: at most %d dollars", clip(s), int64(Max/Dollar))
	}
	micros, err := strconv.ParseInt((frac + "000000")[:6], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not an amount of dollars", clip(s))
	}
	sum, err := Add(USD(dollars)*Dollar, USD(micros))
	if err != nil {
		return 0, fmt.Errorf("%q is too large: at most %d dollars", clip(s), int64(Max/Dollar))
	}
	return sum, nil
}

// String writes dollars with at least two decimals and no more than it needs:
// "500.00", "0.0075", "-1.50".
func (u USD) String() string {
	sign, abs := "", uint64(u) //nolint:gosec // negative values are negated below, in two's complement
	if u < 0 {
		sign, abs = "-", -abs
	}
	frac := fmt.Sprintf("%06d", abs%uint64(Dollar))
	for len(frac) > 2 && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
	}
	return sign + strconv.FormatUint(abs/uint64(Dollar), 10) + "." + frac
}

// MarshalJSON writes a decimal string, so that no reader parses money as a float.
func (u USD) MarshalJSON() ([]byte, error) {
	return []byte(`"` + u.String() + `"`), nil
}

// UnmarshalJSON reads a decimal string or a plain JSON number, from its digits.
// It accepts a leading minus, since a report may carry one; callers that want a
// cap must check the sign.
func (u *USD) UnmarshalJSON(b []byte) error {
	text := string(b)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	digitsOnly, negative := strings.CutPrefix(text, "-")
	v, err := Parse(digitsOnly)
	if err != nil {
		return err
	}
	if negative {
		v = -v
	}
	*u = v
	return nil
}

func digits(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) > 32 {
		return s[:32] + "…"
	}
	return s
}
