package twilio

import (
	"github.com/nyaruka/phonenumbers"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// destination finds the prices of a recipient. It takes numbers in E.164 only,
// and only kinds of numbers that cost what their country costs: who is called on
// a premium or shared-cost number gets a share of the price.
func (p *Profile) destination(to string) (country, string, error) {
	if !isE164(to) {
		return country{}, "", refuse(vendors.Invalid, "To",
			"To must be a phone number such as +14155550123; other channels are not metered")
	}
	number, err := phonenumbers.Parse(to, "")
	if err != nil || !phonenumbers.IsValidNumber(number) || phonenumbers.Format(number, phonenumbers.E164) != to {
		return country{}, "", refuse(vendors.Invalid, "To", "To is no phone number that is in use anywhere")
	}
	region := phonenumbers.GetRegionCodeForNumber(number)
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE, phonenumbers.VOIP:
	default:
		return country{}, "", refuse(vendors.ScopeDenied, "To",
			"To is a premium, shared-cost, toll-free or other special number, whose price its country's does not bound")
	}
	rates, priced := p.rates.countries[region]
	if !priced {
		return country{}, "", refuse(vendors.Unmetered, "To", "the rate card has no price for %s, where To is", region)
	}
	if p.countries != nil && !p.countries[region] {
		return country{}, "", refuse(vendors.ScopeDenied, "To", "%s, where To is, is not among the countries that this proxy lets through", region)
	}
	return rates, region, nil
}

// isE164 reports whether text is a number in the form of ITU-T E.164, with its plus.
func isE164(text string) bool {
	if len(text) < 8 || len(text) > 16 || text[0] != '+' || text[1] == '0' {
		return false
	}
	for i := 1; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// isSender reports whether text can be the sender of a message: a number, a
// short code or an alphanumeric name, and no address of another channel.
func isSender(text string) bool {
	if isE164(text) {
		return true
	}
	if text == "" || len(text) > 11 {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == ' ', c == '-', c == '_', c == '&', c == '+':
		default:
			return false
		}
	}
	return true
}
