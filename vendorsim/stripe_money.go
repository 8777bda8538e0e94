package vendorsim

import "strings"

// maxAmount is Stripe's largest amount for most currencies: eight digits
// (docs.stripe.com/currencies, minimum and maximum charge amounts).
const maxAmount = 99_999_999

// stripeCurrencies is the smallest charge of each currency that is modelled, in its minor unit
// (docs.stripe.com/currencies, minimum and maximum charge amounts).
func stripeCurrencies() map[string]int64 {
	return map[string]int64{
		"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "chf": 50, "cad": 50, "aud": 50, "nzd": 50,
		"sgd": 50, "brl": 50, "inr": 50, "aed": 200, "bgn": 100, "czk": 1500, "dkk": 250,
		"hkd": 400, "huf": 17500, "mxn": 1000, "myr": 200, "nok": 300, "pln": 200, "ron": 200,
		"sek": 300, "thb": 1000, "kwd": 150,
	}
}

// price reads amount and currency of a new charge.
func (s *stripe) price(p params) (int64, string, *stripeError) {
	amount, sent, e := p.whole("amount")
	if e != nil {
		return 0, "", e
	}
	if !sent {
		return 0, "", missingParam("amount")
	}
	currency, e := p.text("currency")
	if e != nil {
		return 0, "", e
	}
	if currency == "" {
		return 0, "", missingParam("currency")
	}
	currency = strings.ToLower(currency)
	smallest, known := s.currencies[currency]
	switch {
	case !known:
		return 0, "", invalid("", "currency", "invalid or unsupported currency")
	case amount < smallest:
		return 0, "", invalid("amount_too_small", "amount", "amount must be at least %d in the minor unit of %s", smallest, currency)
	case amount > maxAmount:
		return 0, "", invalid("amount_too_large", "amount", "amount must be no more than %d in the minor unit of %s", maxAmount, currency)
	}
	return amount, currency, nil
}
