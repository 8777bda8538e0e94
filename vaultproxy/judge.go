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
	r.answer = conceal(v, s, r.answer)
	return judgement{verdict, r}
}

// conceal takes out of an answer what money is spent with past the proxy.
func conceal(v vendors.Vendor, s vendors.Sent, a vendors.Answer) vendors.Answer {
	if concealer, ok := v.(vendors.Concealer); ok {
		return concealer.Conceal(s, a)
	}
	return a
}
