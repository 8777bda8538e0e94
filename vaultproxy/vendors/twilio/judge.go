package twilio

import (
	"encoding/json"
	"strconv"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const notUnderstood = "answer_not_understood"

// Judge says what an answer proves about the send that it answers. Only the
// refusals listed here prove that nothing happened.
//
//	200, 201       the resource is there: certain, and settled once it has a price
//	400, 403, 404  with an error code of Twilio's: refused before it began
//	401, 403       with a code about who asks, or any 401: our secret was refused
//	429            refused before it began
//	others         nothing is proved
func (p *Profile) Judge(s vendors.Sent, a vendors.Answer) vendors.Verdict {
	unknown := vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: notUnderstood}
	if a.Status == 200 || a.Status == 201 {
		var r resource
		if err := json.Unmarshal(a.Body, &r); err != nil || !r.is(s.Operation, p.account) {
			return unknown
		}
		return r.verdict(s)
	}
	if a.Status == 429 {
		return vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: "rate_limited"}
	}
	credentials := vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: "vendor_credentials", Credentials: true}
	code, isTwilio := errorCode(a)
	switch {
	case a.Status == 401:
		return credentials
	case a.Status == 403 && isTwilio && isAuth(code):
		return credentials
	case isTwilio && (a.Status == 400 || a.Status == 403 || a.Status == 404):
		return vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: "twilio_" + strconv.Itoa(code)}
	case a.Status >= 500:
		unknown.Reason = "vendor_error"
	}
	return unknown
}

// errorCode is the number that Twilio gives a refusal:
// https://www.twilio.com/docs/api/errors.
func errorCode(a vendors.Answer) (int, bool) {
	var body struct {
		Code   int `json:"code"`
		Status int `json:"status"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil || body.Status != a.Status {
		return 0, false
	}
	return body.Code, body.Code >= 10_000 && body.Code <= 99_999
}

// isAuth reports whether a refusal is about who asks, and not what for: 20003
// authentication, 20005 account not active, 20006 access denied, 20008 test credentials.
func isAuth(code int) bool {
	return code == 20003 || code == 20005 || code == 20006 || code == 20008
}
