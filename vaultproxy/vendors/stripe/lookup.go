package stripe

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	// accountMargin and filteredMargin cover the difference between our clock and
	// Stripe's. A list of one customer or object is short, and can go back further
	// than one of the whole account.
	accountMargin  = time.Hour
	filteredMargin = 24 * time.Hour
	// maxPages bounds a look-up. One that needs more is not complete, and proves nothing.
	maxPages = 20
	pageSize = 100
)

// Lookup finds out what became of a call. Creations are found by their stamp in
// Stripe's lists, which, unlike its search, show an object as soon as it is
// there; moves of an object are read off the object. What moves no money and
// makes nothing leaves no trace to look for: it is sent again.
//
// With a key of the other mode, nothing would be found of what was done, and a call
// that is sent again would be done once more.
func (p *Profile) Lookup(ctx context.Context, s vendors.Sent, g vendors.Getter) (vendors.Finding, error) {
	p = p.judging(s)
	if was, is := s.Wire.Mode, p.mode(); was != "" && is != "" && was != is {
		return vendors.Finding{}, fmt.Errorf("it was sent with a key of Stripe's %s mode, and the proxy has one of its %s mode", was, is)
	}
	op, known := named(s.Operation)
	switch {
	case !known:
		return vendors.Finding{}, nil
	case op.creates():
		return p.findStamped(ctx, op, s, g)
	case op.effectOf(s) == records:
		return vendors.Finding{}, nil
	}
	return p.readMoved(ctx, op, s, g)
}

// Follow reads the object that a committed call holds an amount for.
func (p *Profile) Follow(ctx context.Context, s vendors.Sent, objectID string, g vendors.Getter) (vendors.Finding, error) {
	k, ok := kindOf(objectID)
	if !ok {
		return vendors.Finding{}, nil
	}
	obj, raw, err := get(ctx, g, k.path, objectID)
	if err != nil {
		return vendors.Finding{}, err
	}
	v := obj.verdict(p.judging(s), s)
	return vendors.Finding{Found: v.Final(), Verdict: v, Answer: p.Conceal(s, obj.answer(raw, v))}, nil
}

// findStamped pages through the newest objects back to the call's first send.
func (p *Profile) findStamped(ctx context.Context, op operation, s vendors.Sent, g vendors.Getter) (vendors.Finding, error) {
	sent, err := vendors.ParseForm(string(s.Wire.Body))
	if err != nil {
		return vendors.Finding{}, err
	}
	stamp, ok := sent.Get(stampCall)
	if !ok {
		return vendors.Finding{}, nil
	}
	query, margin := vendors.Params{}.With("limit", strconv.Itoa(pageSize)), accountMargin
	for _, filter := range op.filters {
		if value, ok := sent.Get(filter); ok {
			query, margin = query.With(filter, value), filteredMargin
		}
	}
	if op.undated {
		margin = filteredMargin
	} else {
		query = query.With("created[gte]", strconv.FormatInt(s.FirstSentAt.Add(-margin).Unix(), 10))
	}
	path := strings.Replace(op.list, "{id}", s.Target, 1)
	for range maxPages {
		answer, err := g.Get(ctx, path, query)
		if err != nil {
			return vendors.Finding{}, err
		}
		var page struct {
			Data    []json.RawMessage `json:"data"`
			HasMore bool              `json:"has_more"`
		}
		if answer.Status != 200 || json.Unmarshal(answer.Body, &page) != nil || page.Data == nil {
			return vendors.Finding{}, &vendors.LookupError{Status: answer.Status}
		}
		var last object
		for _, raw := range page.Data {
			last = object{}
			if err := json.Unmarshal(raw, &last); err != nil || last.ID == "" {
				return vendors.Finding{}, &vendors.LookupError{Status: answer.Status}
			}
			if last.Metadata["tollgate_call"] == stamp {
				return p.found(op, s, last, raw), nil
			}
		}
		if !page.HasMore {
			return vendors.Finding{Absent: !ahead(s, answer, margin)}, nil
		}
		if last.ID == "" {
			return vendors.Finding{}, &vendors.LookupError{Status: answer.Status}
		}
		query = query.With("starting_after", last.ID)
	}
	return vendors.Finding{}, nil
}

// ahead reports whether our clock is known to run so far ahead of Stripe's that
// the list began after the call: then it proves nothing that it is not in there.
func ahead(s vendors.Sent, a vendors.Answer, margin time.Duration) bool {
	theirs, err := time.Parse(httpDate, a.Header("Date"))
	return err == nil && s.FirstSentAt.After(theirs.Add(margin))
}

// httpDate is the layout of a Date header, RFC 9110 section 5.6.7.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// found judges an object that a call certainly made. One that is still being
// confirmed is not judged yet.
func (p *Profile) found(op operation, s vendors.Sent, obj object, raw json.RawMessage) vendors.Finding {
	if unfinished(s, obj) {
		return vendors.Finding{}
	}
	v := op.succeeded(p, s, obj)
	if !v.Final() {
		return vendors.Finding{}
	}
	return vendors.Finding{Found: true, Verdict: v, Answer: p.Conceal(s, obj.answer(raw, v))}
}

// unfinished reports whether an object shows a confirmation that has begun but
// not ended: created in the same request, it may still succeed or fail.
func unfinished(s vendors.Sent, obj object) bool {
	if s.Operation != intentCreate || obj.failed() {
		return false
	}
	return confirms(s) && (obj.Status == "requires_payment_method" || obj.Status == "requires_confirmation")
}

// readMoved judges what moves or ends an object by that object. A state that the
// object may have had before proves the call only if the call is the one way to it.
func (p *Profile) readMoved(ctx context.Context, op operation, s vendors.Sent, g vendors.Getter) (vendors.Finding, error) {
	k, ok := kindOf(s.Target)
	if !ok {
		return vendors.Finding{}, nil
	}
	obj, raw, err := get(ctx, g, k.path, s.Target)
	if err != nil {
		return vendors.Finding{}, err
	}
	switch {
	case op.untouched != nil && op.untouched(obj), op.effect == ends && obj.Status != op.end:
		return vendors.Finding{Absent: true}, nil
	case op.unclear != nil && op.unclear(obj, s):
		return vendors.Finding{}, nil
	}
	v := op.succeeded(p, s, obj)
	if !v.Final() {
		return vendors.Finding{}, nil
	}
	return vendors.Finding{Found: true, Verdict: v, Answer: p.Conceal(s, obj.answer(raw, v))}, nil
}

func get(ctx context.Context, g vendors.Getter, path, id string) (object, json.RawMessage, error) {
	answer, err := g.Get(ctx, path+id, nil)
	if err != nil {
		return object{}, nil, err
	}
	var obj object
	if answer.Status != 200 || json.Unmarshal(answer.Body, &obj) != nil || obj.ID != id {
		return object{}, nil, &vendors.LookupError{Status: answer.Status}
	}
	return obj, answer.Body, nil
}

// answer is what Stripe would have answered to the call that made the object:
// the object itself, or for a payment that was refused the error with it.
func (o object) answer(raw json.RawMessage, v vendors.Verdict) vendors.Answer {
	none := func(string) string { return "" }
	if !v.Declined {
		return vendors.Answer{Status: 200, Header: none, Body: raw}
	}
	body, err := json.Marshal(map[string]any{"error": o.refusal(raw)})
	if err != nil {
		return vendors.Answer{Status: 200, Header: none, Body: raw}
	}
	return vendors.Answer{Status: 402, Header: none, Body: body}
}

// refusal is the error that went with a refused payment. Without it a caller
// would take the object of a failed charge for a success.
func (o object) refusal(raw json.RawMessage) map[string]any {
	fields := map[string]any{}
	if o.Object == "charge" {
		fields["code"], fields["message"], fields["charge"] = o.FailureCode, o.FailureMessage, o.ID
	} else {
		_ = json.Unmarshal(o.LastPaymentError, &fields) // what cannot be read stays out
		fields["payment_intent"] = raw
	}
	fields["type"] = "card_error"
	return fields
}
