package twilio

import (
	"context"
	"slices"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Meter works out the price from the request and the rate card alone.
func (p *Profile) Meter(_ context.Context, r vendors.Request, _ vendors.View) (vendors.Quote, error) {
	op, _, err := p.find(r.Method, r.Path)
	if err != nil {
		return vendors.Quote{}, err
	}
	q := vendors.Quote{Request: r, Operation: op.name, Template: op.template()}
	switch op.name {
	case messageCreate:
		p.leaveOutCallback(&q)
		q.Price, err = p.meterMessage(r.Body)
	case callCreate:
		p.leaveOutCallback(&q)
		err = p.meterCall(&q)
	case verifyStart:
		q.Price, err = p.meterVerify(r.Body)
	}
	return q, err
}

// meterMessage prices a text by its segments, and one with media as an MMS.
func (p *Profile) meterMessage(body vendors.Params) (money.USD, error) {
	from, hasFrom := body.Get("From")
	service, hasService := body.Get("MessagingServiceSid")
	switch {
	case !hasFrom && !hasService:
		return 0, refuse(vendors.Invalid, "From", "a message needs From or MessagingServiceSid")
	case hasFrom && !isSender(from):
		return 0, refuse(vendors.Unmetered, "From", "From must be a phone number, a short code or a sender's name; other channels are not metered")
	case hasService && !isSID(service, "MG"):
		return 0, refuse(vendors.Invalid, "MessagingServiceSid", "MessagingServiceSid must be MG and 32 hexadecimal digits")
	}
	to, _ := body.Get("To")
	rates, region, err := p.destination(to)
	if err != nil {
		return 0, err
	}
	text, _ := body.Get("Body")
	media := body.All("MediaUrl")
	if text == "" && len(media) == 0 {
		return 0, refuse(vendors.Invalid, "Body", "a message needs a Body or a MediaUrl")
	}
	if slices.Contains(media, "") {
		return 0, refuse(vendors.Invalid, "MediaUrl", "MediaUrl is empty: leave it out instead")
	}
	if len(media) > 0 && rates.mms == 0 {
		return 0, refuse(vendors.Unmetered, "MediaUrl", "the rate card has no price for an MMS to %s", region)
	}
	if rates.sms == 0 {
		return 0, refuse(vendors.Unmetered, "To", "the rate card has no price for a text to %s", region)
	}
	// Where media cannot be delivered, Twilio sends the text with a link to each of
	// them, which fills a segment at most.
	// https://support.twilio.com/hc/en-us/articles/223181248
	price, err := times(rates.sms, segments(text)+int64(len(media)))
	if len(media) > 0 {
		price = max(price, rates.mms)
	}
	return price, err
}

func (p *Profile) meterVerify(body vendors.Params) (money.USD, error) {
	if channel, _ := body.Get("Channel"); channel != "sms" {
		return 0, refuse(vendors.Unmetered, "Channel", "only verifications with Channel=sms are metered")
	}
	if err := checkVerifyText(body); err != nil {
		return 0, err
	}
	to, _ := body.Get("To")
	rates, region, err := p.destination(to)
	if err != nil {
		return 0, err
	}
	if rates.verify == 0 {
		return 0, refuse(vendors.Unmetered, "To", "the rate card has no price for a verification in %s", region)
	}
	return rates.verify, nil
}

// checkVerifyText bounds what a request adds to the text of a verification: Twilio
// charges for each of its segments, and never reports what that came to.
// https://www.twilio.com/docs/verify/api/verification
func checkVerifyText(body vendors.Params) error {
	if code, ok := body.Get("CustomCode"); ok && (len(code) < 4 || len(code) > 10 || strings.Trim(code, alphanumeric) != "") {
		return refuse(vendors.Invalid, "CustomCode", "CustomCode takes 4 to 10 ASCII letters and digits")
	}
	if hash, ok := body.Get("AppHash"); ok && (len(hash) != 11 || strings.Trim(hash, alphanumeric+"+/") != "") {
		return refuse(vendors.Invalid, "AppHash", "AppHash must be the 11 characters by which an Android app finds its text")
	}
	return nil
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// leaveOutCallback takes out of what is sent that Twilio shall call an address that
// the operator has not allowed. What the call does and costs is the same without.
func (p *Profile) leaveOutCallback(q *vendors.Quote) {
	if target, ok := q.Request.Body.Get("StatusCallback"); ok && slices.Contains(p.callbacks, target) {
		return
	}
	q.Request.Body = slices.DeleteFunc(slices.Clone(q.Request.Body), func(param vendors.Param) bool {
		return strings.HasPrefix(param.Name, "StatusCallback")
	})
}

// times multiplies a price, or reports that nothing can cost that much.
func times(price money.USD, n int64) (money.USD, error) {
	if n < 0 || (n > 0 && price > money.Max/money.USD(n)) {
		return 0, refuse(vendors.AmountInvalid, "", "the price of this request is too large to be counted")
	}
	return price * money.USD(n), nil
}
