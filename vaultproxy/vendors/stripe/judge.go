package stripe

import (
	"encoding/json"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/policy"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

type stripeError struct {
	Type        string `json:"type"`
	Code        string `json:"code"`
	DeclineCode string `json:"decline_code"`

	PaymentIntent json.RawMessage `json:"payment_intent"`
}

// reason is the most telling of the error's codes. They come from outside, so
// only what looks like a code is kept.
func (e stripeError) reason(otherwise string) string {
	for _, code := range []string{e.Code, e.DeclineCode, e.Type} {
		if isCode(code) {
			return code
		}
	}
	return otherwise
}

// made is the PaymentIntent that an error tells of, empty if there is none.
func (e stripeError) made() string {
	var obj object
	_ = json.Unmarshal(e.PaymentIntent, &obj) // what cannot be read names no object
	if !isID(obj.ID, "pi_") {
		return ""
	}
	return obj.ID
}

func isCode(text string) bool { return policy.IsSegment(text) && len(text) <= 64 }

// Judge says what an answer proves about the send that it answers. Only the
// refusals listed here prove that nothing happened; everything else that is not
// a success leaves the outcome unknown.
//
//	2xx               the object's status decides
//	402 card_error    the payment was refused: final, stored under the key; see declined
//	400, 404          invalid_request_error: refused before it began, unless it
//	                  tells of the PaymentIntent that it made
//	401, 403          our secret was refused before it began
//	429               refused before it began
//	409, 424, 5xx, …  nothing is proved
func (p *Profile) Judge(s vendors.Sent, a vendors.Answer) vendors.Verdict {
	p = p.judging(s)
	if a.Status >= 200 && a.Status <= 299 {
		op, known := named(s.Operation)
		var obj object
		if err := json.Unmarshal(a.Body, &obj); err != nil || !known || !policy.IsSegment(obj.ID) {
			return obj.notUnderstood()
		}
		return op.succeeded(p, s, obj)
	}
	var body struct {
		Error stripeError `json:"error"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "answer_not_understood", StoredFailure: a.Status >= 500}
	}
	e := body.Error
	replayed := a.Header("Idempotent-Replayed") == "true"
	v := vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: e.reason("answer_not_understood")}
	switch {
	case a.Status == 402 && e.Type == "card_error":
		return declined(s, e)
	case a.Status == 400 && e.Type == "invalid_request_error" && s.Operation == intentCreate && e.made() != "":
		// It was refused on the way, and what it had made by then can be paid.
		v.Outcome, v.Object = ledger.OutcomeCommitted, e.made()
	case (a.Status == 400 || a.Status == 404) && e.Type == "invalid_request_error" && replayed:
		// Stored under the key: it is what the key's one execution came to. An
		// object that the call acts on is still there, and so is its hold.
		v.Outcome = ledger.OutcomeReleased
		if s.Target != "" {
			v.Outcome = ledger.OutcomeNoEffect
		}
	case (a.Status == 400 || a.Status == 404) && e.Type == "invalid_request_error":
		v.Outcome = ledger.OutcomeRefused
	case a.Status == 401 || a.Status == 403:
		v.Outcome, v.Reason, v.Credentials = ledger.OutcomeRefused, "vendor_credentials", true
	case a.Status == 429:
		v.Outcome, v.Reason = ledger.OutcomeRefused, "rate_limited"
	case a.Status >= 500:
		v.Reason, v.StoredFailure = "vendor_error", true
	}
	return v
}

// succeeded judges a call by the object that it made or moved.
func (op operation) succeeded(p *Profile, s vendors.Sent, o object) vendors.Verdict {
	if o.ID == "" || o.Object != op.object || (!op.creates() && o.ID != s.Target) {
		return o.notUnderstood()
	}
	switch op.effectOf(s) {
	case makes, moves:
		return o.verdict(p, s)
	case ends:
		// It costs nothing itself; what it ends is the hold of its object.
		if o.Status != op.end {
			return o.notUnderstood()
		}
		return vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: o.Status, Frees: o.ID}
	case adds:
		if !isRef(o.Invoice, s.Target) {
			return o.notUnderstood()
		}
		return vendors.Verdict{Outcome: ledger.OutcomeCommitted, Amount: s.Hold, Reason: "added", Object: s.Target}
	case records:
	}
	v := vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: "done"}
	if isCode(o.Status) {
		v.Reason = o.Status
	}
	return v
}

// effectOf is what a call as it was sent does about money.
func (op operation) effectOf(s vendors.Sent) effect {
	if len(op.moneyParams) == 0 {
		return op.effect
	}
	if sent, err := vendors.ParseForm(string(s.Wire.Body)); err == nil && !op.movesMoney(sent) {
		return records
	}
	return op.effect
}
