package main

import (
	"fmt"
	"strings"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/workflows"
)

// attention is nil for a run that needs nobody. Declined cards and a used-up
// budget are what a bounded run is expected to meet; the rest is not.
func attention(s workflows.Summary) error {
	var why []string
	look := "report " + s.WorkflowID
	if label := noticesToLookAt(s); label != "" {
		look = "audit --run-label " + label + " --limit 0"
	}
	if s.Failed > 0 {
		// By the vendor, or by the proxy before anything was sent.
		log := "audit " + s.WorkflowID + " --limit 0 --verdict "
		look = log + "released' and 'starter " + log + "denied"
	}
	if s.Unknown > 0 {
		look = "audit " + s.WorkflowID + " --limit 0 --verdict unknown"
		why = append(why, fmt.Sprintf("%s of unknown outcome", charges(s.Unknown)))
	}
	if s.Failed > 0 {
		why = append(why, fmt.Sprintf("%s failed", charges(s.Failed)))
	}
	if s.StopReason != "" && s.StopReason != activities.TypeCapExhausted {
		why = append(why, "it was stopped by "+s.StopReason)
	}
	if !s.KeyRevoked {
		why = append(why, fmt.Sprintf("its vault key %s could not be revoked ('starter revoke %s')", s.KeyID, s.WorkflowID))
	}
	if !s.LedgerRead {
		why = append(why, "the ledger could not be read at the end")
	}
	why = append(why, noticeAttention(s)...)
	if len(why) == 0 {
		return nil
	}
	return &exit{code: exitAttention, text: fmt.Sprintf("%s ended and needs a look: %s; see 'starter %s'", s.WorkflowID, strings.Join(why, ", "), look)}
}

func charges(n int) string {
	if n == 1 {
		return "1 charge"
	}
	return count(n) + " charges"
}
