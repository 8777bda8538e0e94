package vaultproxy

import (
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// judgement is a verdict together with the answer that it was passed on.
type judgement struct {
	vendors.Verdict
	result result
}

// storedFailure is the reason of a call whose vendor failed, and may keep that
// failure under the idempotency key.
const storedFailure = "vendor_error"

// judge is the eighth step: what does the answer prove? The vendor's profile
// says so; without an answer, only a send that never left proves something.
func judge(v vendors.Vendor, s vendors.Sent, r result) judgement {
	switch {
	case r.err != nil && r.unsent:
		return judgement{vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: "not_sent"}, r}
	case r.err != nil:
		return judgement{vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "answer_lost"}, r}
	}
	verdict := v.Judge(s, r.answer)
	if verdict.StoredFailure {
		verdict.Reason = storedFailure
	}
	return judgement{verdict, r}
}
