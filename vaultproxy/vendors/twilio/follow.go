package twilio

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// priceWithin is how long Twilio may take to put a price on what has ended
// (https://support.twilio.com/hc/en-us/articles/46871410243099). After that,
// nothing but the fee for a failed message is owed for what was never sent.
const priceWithin = 24 * time.Hour

// Follow reads what a call made until it has a price.
func (p *Profile) Follow(ctx context.Context, s vendors.Sent, object string, g vendors.Getter) (vendors.Finding, error) {
	path := accountsPrefix + p.account
	switch {
	case s.Operation == messageCreate && (isSID(object, "SM") || isSID(object, "MM")):
		path += "/Messages/" + object + ".json"
	case s.Operation == callCreate && isSID(object, "CA"):
		path += "/Calls/" + object + ".json"
	default:
		return vendors.Finding{}, nil
	}
	answer, err := g.Get(ctx, path, nil)
	if err != nil {
		return vendors.Finding{}, err
	}
	var r resource
	if answer.Status != 200 || json.Unmarshal(answer.Body, &r) != nil || r.SID != object || !r.is(s.Operation, p.account) {
		return vendors.Finding{}, &vendors.LookupError{Status: answer.Status}
	}
	if _, known, err := r.price(); known && err != nil {
		return vendors.Finding{}, err
	}
	v := r.verdict(s)
	if fee, over := p.unpriced(r, s, answer); over {
		v.Outcome, v.Amount = ledger.OutcomeSettled, fee
	}
	return vendors.Finding{Found: v.Outcome == ledger.OutcomeSettled, Verdict: v, Answer: answer}, nil
}

// unpriced is what is owed for a resource that ended unsent and got no price.
// https://support.twilio.com/hc/en-us/articles/27502337507483
func (p *Profile) unpriced(r resource, s vendors.Sent, a vendors.Answer) (fee money.USD, over bool) {
	now, err := http.ParseTime(a.Header("Date"))
	ended := at(r.DateUpdated)
	if err != nil || ended.IsZero() || now.Sub(ended) < priceWithin || !r.unsent() {
		return 0, false
	}
	if _, known, _ := r.price(); known {
		return 0, false
	}
	if s.Operation == messageCreate && r.Status == "failed" {
		return p.rates.failed, true
	}
	return 0, true
}

// Pace looks soon, since most prices come within seconds, and ever more rarely,
// since some take a day: a run of many texts would else use up what Twilio allows
// of reads.
func (*Profile) Pace(looks int) time.Duration {
	if looks > 20 {
		return time.Hour
	}
	return min(5*time.Second<<max(looks, 0), 10*time.Minute)
}
