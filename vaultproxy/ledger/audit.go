package ledger

import (
	"time"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Verdicts of audit rows that are not the state of a call.
const (
	VerdictReplayed = "replayed" // answered from the ledger; nothing was sent
	VerdictDenied   = "denied"   // refused by the proxy; nothing was sent
	VerdictRead     = "read"     // passed on at no cost
	VerdictIssued   = "issued"
	VerdictRevoked  = "revoked"
	VerdictCapSet   = "cap_set"
)

// Who caused an audit row.
const (
	ByCaller     = "caller"
	ByReconciler = "reconciler"
	ByAdmin      = "admin"
	ByPerson     = "person"
	ByRestart    = "restart"
)

// AuditRow is one line of the audit log.
type AuditRow struct {
	Seq            int64
	At             time.Time // set by the store
	Verdict        string
	Code           string
	By             string
	Tenant         string
	Run            string
	KeyID          string
	CallID         string
	Item           string
	WorkflowID     string
	Vendor         string
	Method         string
	Path           string
	IdempotencyKey string
	Status         int
	Price          money.USD
	Amount         money.USD
	Object         string
	Duration       time.Duration
	Who            string // the person who decided
	Note           string // and why
}

// AuditFilter narrows Audit; zero fields do not.
type AuditFilter struct {
	Run, Tenant, KeyID, Vendor, Verdict string
	Since, Until                        time.Time
	After                               int64 // Seq
	Limit                               int
}
