package stripe

import "strings"

// The rules are those of https://docs.stripe.com/currencies: which currencies
// have no minor unit or a thousandth, and where only whole units are taken.

// noDecimals are currencies whose amounts are whole units.
const noDecimals = " bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf "

// threeDecimals are currencies whose amounts are thousandths, the last digit of
// which has to be 0.
const threeDecimals = " bhd jod kwd omr tnd "

// wholeInHundredths are currencies without a minor unit that are written with two
// decimals all the same, both of which have to be 0: 5 ISK are 500.
const wholeInHundredths = " isk "

// ambiguousUnits are currencies that Stripe's page lists among those without
// decimals, and among those that are written with two. An amount of theirs has no
// one price.
const ambiguousUnits = " ugx "

// wholePayouts are currencies that are charged in hundredths and paid out in whole
// units only.
const wholePayouts = " huf twd "

// decimals is how many decimals the amounts of a currency are written with.
func decimals(currency string) int {
	switch {
	case listed(noDecimals, currency):
		return 0
	case listed(threeDecimals, currency):
		return 3
	}
	return 2
}

// step is what an amount in minor units has to be a multiple of.
func step(currency string, payout bool) int64 {
	switch {
	case listed(threeDecimals, currency):
		return 10
	case listed(wholeInHundredths, currency), payout && listed(wholePayouts, currency):
		return 100
	}
	return 1
}

func listed(list, currency string) bool { return strings.Contains(list, " "+currency+" ") }

// currencyCode is a currency as Stripe answers it: lower case. It is taken in
// lower or in upper case. No Unicode folding: it takes a long s for an s, and
// Stripe does not.
func currencyCode(text string) (code string, ok bool) {
	const lower, upper = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if len(text) != 3 || (strings.Trim(text, lower) != "" && strings.Trim(text, upper) != "") {
		return "", false
	}
	return strings.ToLower(text), true
}
