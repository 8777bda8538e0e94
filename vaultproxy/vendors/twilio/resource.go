package twilio

import (
	"errors"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// resource is what the profile reads of a message, a call or a verification.
type resource struct {
	SID         string  `json:"sid"`
	AccountSID  string  `json:"account_sid"`
	To          string  `json:"to"`
	From        *string `json:"from"`
	Body        string  `json:"body"`
	Status      string  `json:"status"`
	Direction   string  `json:"direction"`
	NumMedia    string  `json:"num_media"`
	ServiceSID  *string `json:"messaging_service_sid"`
	Price       *string `json:"price"`
	PriceUnit   *string `json:"price_unit"`
	DateCreated string  `json:"date_created"`
	DateUpdated string  `json:"date_updated"`
}

// errPrice is a price that cannot be booked. Its call keeps its hold.
var errPrice = errors.New("the price that Twilio reports cannot be booked: it is not in US dollars, or no charge")

// is reports whether the resource is one that an operation makes, of this account.
func (r resource) is(operation, account string) bool {
	if r.AccountSID != account {
		return false
	}
	switch operation {
	case messageCreate:
		return isSID(r.SID, "SM") || isSID(r.SID, "MM")
	case callCreate:
		return isSID(r.SID, "CA")
	case verifyStart:
		return isSID(r.SID, "VE")
	}
	return false
}

// verdict says what a resource proves about the call that made it: it is there,
// so the call had its effect. What it cost is known once it has a price. One that
// costs nothing is booked at nothing, and not released: its identifier stays
// taken, so that no other call with the same text is ever matched with it.
func (r resource) verdict(s vendors.Sent) vendors.Verdict {
	v := vendors.Verdict{Outcome: ledger.OutcomeCommitted, Reason: r.reason(), Object: r.SID}
	if s.Operation == verifyStart {
		// Twilio reports no price of a verification. One that is begun again while it is
		// pending keeps its identifier, and sends one more text: there is no object of
		// which each is charged once.
		v.Outcome, v.Amount, v.Object = ledger.OutcomeSettled, s.Hold, ""
		return v
	}
	if amount, known, err := r.price(); known && err == nil {
		v.Outcome, v.Amount = ledger.OutcomeSettled, amount
	}
	return v
}

// price is what Twilio charges, if it says so yet: a negative decimal, since it
// is taken from the account's balance. It contains the carriers' fees
// (https://support.twilio.com/hc/en-us/articles/46871410243099).
func (r resource) price() (amount money.USD, known bool, err error) {
	if r.Price == nil || *r.Price == "" {
		return 0, false, nil
	}
	if r.PriceUnit == nil || !strings.EqualFold(*r.PriceUnit, "usd") {
		return 0, true, errPrice
	}
	digits, negative := strings.CutPrefix(*r.Price, "-")
	if strings.Contains(digits, ".") {
		digits = strings.TrimRight(digits, "0")
		digits = strings.TrimSuffix(digits, ".")
	}
	up := money.USD(0)
	if whole, fraction, _ := strings.Cut(digits, "."); len(fraction) > 6 && len(fraction) < 20 {
		if strings.ContainsFunc(fraction, func(r rune) bool { return r < '0' || r > '9' }) {
			return 0, true, errPrice
		}
		digits, up = whole+"."+fraction[:6], money.Micro // a part of a micro-USD counts as one
	}
	amount, err = money.Parse(digits)
	if err != nil || (amount > 0 && !negative) {
		return 0, true, errPrice
	}
	amount, err = money.Add(amount, up)
	if err != nil {
		return 0, true, errPrice
	}
	return amount, true, nil
}

// reason is the status, if it looks like one.
func (r resource) reason() string {
	if r.Status == "" || len(r.Status) > 32 || strings.ContainsFunc(r.Status, func(c rune) bool { return (c < 'a' || c > 'z') && c != '-' && c != '_' }) {
		return "accepted"
	}
	return r.Status
}

// unsent reports whether the resource has ended before anything that is charged
// as such: a message that never left Twilio, a call that nobody took.
// https://www.twilio.com/docs/messaging/api/message-resource#message-status-values,
// https://www.twilio.com/docs/voice/api/call-resource#call-status-values
func (r resource) unsent() bool {
	switch r.Status {
	case "failed", "canceled", "busy", "no-answer":
		return true
	}
	return false
}

// at reads a date as Twilio writes it, RFC 2822; zero if there is none.
func at(text string) time.Time {
	t, err := time.Parse(time.RFC1123Z, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
