package vaultproxy_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// tender is a currency that the rows are paid in. They are written in US cents: each
// cent of theirs is so many minor units of it, and these are worth so much by the
// table of yenAndDinar.
type tender struct {
	code  string
	units int64
	worth money.USD
}

var dollars = tender{"usd", 1, money.Cent}

// tenders are the dollar, a currency without a minor unit, and one with a thousandth
// that has to end in 0.
func tenders() []tender {
	return []tender{dollars, {"jpy", 7, 7 * 6_901}, {"kwd", 10, 33_475}}
}

// inTenders runs a test of rows in each currency; what moves no money is the same in all.
func inTenders(t *testing.T, rows map[string]stripeRow, test func(t *testing.T, name string, r stripeRow, in tender)) {
	t.Helper()
	for name, r := range rows {
		for _, in := range tenders() {
			if r.free && in != dollars {
				continue
			}
			t.Run(name+" in "+in.code, func(t *testing.T) {
				t.Parallel()
				test(t, name, r, in)
			})
		}
	}
}

// price is what an amount of a row comes to.
func (in tender) price(amount money.USD) money.USD { return amount / money.Cent * in.worth }

var minorAmount = regexp.MustCompile(`(^|&)(amount|amount_to_capture|unit_amount)=([0-9]+)`)

// written is a body of a row in the currency.
func (in tender) written(t *testing.T, body string) string {
	t.Helper()
	body = minorAmount.ReplaceAllStringFunc(body, func(pair string) string {
		name, amount, _ := strings.Cut(pair, "=")
		cents, err := strconv.ParseInt(amount, 10, 64)
		require.NoError(t, err)
		return fmt.Sprint(name, "=", cents*in.units)
	})
	return strings.ReplaceAll(body, "currency=usd", "currency="+in.code)
}
