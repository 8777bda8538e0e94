package resend

import (
	"encoding/json"
	"slices"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/policy"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// refusals are the errors by which Resend says, by status and name, that it did
// not begin to send. https://resend.com/docs/api-reference/errors
var refusals = map[int][]string{ //nolint:gochecknoglobals // a constant table
	400: {"validation_error", "invalid_idempotency_key"},
	403: {"validation_error", "invalid_from_address"}, // the domain is not verified, or for tests only
	404: {"not_found"},
	405: {"method_not_allowed"},
	422: {
		"validation_error", "missing_required_field", "missing_required_fields", "invalid_parameter", "invalid_attachment",
		"invalid_from_address", "invalid_access", "invalid_region",
	},
	429: {"rate_limit_exceeded", "daily_quota_exceeded", "monthly_quota_exceeded"},
	451: {"security_error"},
}

// credentials are the errors by which Resend refuses the proxy's own key.
var credentials = map[int][]string{ //nolint:gochecknoglobals // a constant table
	401: {"missing_api_key", "restricted_api_key"},
	403: {"invalid_api_key", "suspended_api_key"},
}

// Judge says what an answer proves about the send that it answers.
//
//	2xx with an ID for each e-mail  sent: settled at its price
//	400, 403, 404, 405, 422, 429, 451 with a name in the table of refusals
//	                                not begun
//	401, 403 about the key          not begun; our secret was refused
//	409, 5xx, anything else         nothing is proved: 409 speaks of another send
//	                                under the key, and an e-mail may be sent behind a 5xx
func (*Profile) Judge(s vendors.Sent, a vendors.Answer) vendors.Verdict {
	if a.Status >= 200 && a.Status <= 299 {
		return accepted(s, a)
	}
	var body struct {
		Name string `json:"name"`
	}
	v := vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "answer_not_understood", StoredFailure: a.Status >= 500}
	if err := json.Unmarshal(a.Body, &body); err != nil || !policy.IsSegment(body.Name) || len(body.Name) > 64 {
		return v
	}
	v.Reason = body.Name
	switch {
	case slices.Contains(credentials[a.Status], body.Name):
		v.Outcome, v.Reason, v.Credentials = ledger.OutcomeRefused, "vendor_credentials", true
	case slices.Contains(refusals[a.Status], body.Name):
		v.Outcome = ledger.OutcomeRefused
	}
	return v
}

// accepted settles a call at its price. The call's object is its first e-mail.
func accepted(s vendors.Sent, a vendors.Answer) vendors.Verdict {
	type made struct {
		ID string `json:"id"`
	}
	var one made
	var many struct {
		Data   []made            `json:"data"`
		Errors []json.RawMessage `json:"errors"`
	}
	ids, want := []made{}, 1
	if s.Operation == sendBatch {
		var items []json.RawMessage
		if json.Unmarshal(s.Wire.Body, &items) == nil && json.Unmarshal(a.Body, &many) == nil && len(many.Errors) == 0 {
			ids, want = many.Data, len(items)
		}
	} else if json.Unmarshal(a.Body, &one) == nil {
		ids = append(ids, one)
	}
	if len(ids) != want || slices.ContainsFunc(ids, func(m made) bool { return !policy.IsSegment(m.ID) }) {
		return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "answer_not_understood"}
	}
	return vendors.Verdict{Outcome: ledger.OutcomeSettled, Amount: s.Hold, Reason: "accepted", Object: ids[0].ID}
}
