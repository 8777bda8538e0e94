package workflows

import (
	"time"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// TaskQueue is the queue that the worker polls for both workflows and their activities.
const TaskQueue = "tollgate-billing"

// QueryProgress names the query that returns Progress. It answers for running
// and for closed runs, as long as a worker is up.
const QueryProgress = "progress"

const (
	// SignalStop tells a batch to schedule no further charge, and tells the run
	// that one of its batches met a reason to stop. Its payload is a StopSignal.
	SignalStop = "stop"
	// SignalProgress carries a BatchProgress from a batch to its run.
	SignalProgress = "progress"
	// SignalPause tells a batch to hold or to go on. Its payload is a PauseSignal.
	SignalPause = "pause"
)

// StopCanceled is the stop reason of a run that was cancelled. Every other stop
// reason but StopBatchLost is the type of the activity error that stopped it, such as CapExhausted.
const StopCanceled = "Canceled"

// StopBatchLost is the stop reason of a run some of whose charges were cut off and
// not made: a batch was ended from outside or did not return in time, or one of its
// activities ran out of time. Such a run can be finished by another one that continues it.
const StopBatchLost = "BatchLost"

// BillingInput starts a run. Zero values of the optional fields mean the default
// in their comment.
type BillingInput struct {
	Plan      string              `json:"plan"`       // [a-z0-9-], part of the workflow ID
	Period    string              `json:"period"`     // YYYY-MM, part of the workflow ID
	Customers customerlist.Source `json:"customers"`  // the list
	Pinned    customerlist.Pinned `json:"pinned"`     // what the starter saw; an empty SHA256 means that the run pins it itself
	BudgetUSD money.USD           `json:"budget_usd"` // micro-USD; the run never spends more
	// PerChargeCapUSD refuses single charges above it, micro-USD; zero: no such cap.
	PerChargeCapUSD money.USD     `json:"per_charge_cap_usd,omitempty"`
	KeyTTL          time.Duration `json:"key_ttl,omitempty"`     // life of the vault key; 2 h
	BatchSize       int           `json:"batch_size,omitempty"`  // customers in one child workflow, 1 to MaxBatchSize; 500, or 2,000 if an activity charges many
	Window          int           `json:"window,omitempty"`      // concurrent charges in one batch, 1 to MaxWindow; 64
	Parallelism     int           `json:"parallelism,omitempty"` // batches at once, 1 to MaxParallelism; 2
	// ChargesPerActivity is how many customers one activity charges, 1 to
	// MaxChargesPerActivity; 1. Each has an idempotency key of its own all the same.
	ChargesPerActivity int `json:"charges_per_activity,omitempty"`
	// ActivityWindow is how many charges such an activity makes at once, 1 to
	// MaxActivityWindow; 8. They count towards Window.
	ActivityWindow int `json:"activity_window,omitempty"`
	// ChargeTimeout bounds all attempts at one charge together; 10 min. What
	// happened to a charge that runs out of it is then read from the ledger.
	ChargeTimeout time.Duration `json:"charge_timeout,omitempty"`
	// SettleTimeout bounds the wait, after the last charge, for calls whose
	// outcome the proxy is still proving; 5 min.
	SettleTimeout time.Duration `json:"settle_timeout,omitempty"`
	// OutageLimit is how long a batch waits for a vault proxy that does not answer,
	// before it gives up and the run stops; 4 h. No item is given up meanwhile.
	OutageLimit time.Duration `json:"outage_limit,omitempty"`
	// BatchTimeout is how long the run waits for one batch to return; 24 h. A server
	// may lose a batch, as after a reset, and never say so.
	BatchTimeout time.Duration `json:"batch_timeout,omitempty"`
	// KeyRenewals is how many times a key that expired before the run's end is issued
	// anew, 0 to MaxKeyRenewals; nil: 12.
	KeyRenewals *int `json:"key_renewals,omitempty"`

	// Tenant is whose budget the run draws on as well; empty: nobody's.
	Tenant string `json:"tenant,omitempty"`
	// Approval holds charges back until a person decides on them; nil: none.
	Approval *ApprovalInput `json:"approval,omitempty"`

	// Continue finishes a run of this workflow ID that ended: what was charged is
	// answered from the ledger, on the same budget. The list must be the same.
	Continue bool `json:"continue,omitempty"`
	// RetryDeclined asks a continued run to try those once more whom the vendor had
	// declined before it began.
	RetryDeclined bool `json:"retry_declined,omitempty"`

	// Receipts and Texts ask for notices to those who were charged, once all charges
	// have an outcome; nil: none.
	Receipts *ReceiptsInput `json:"receipts,omitempty"`
	Texts    *TextsInput    `json:"texts,omitempty"`

	// Resume carries a run over continue-as-new. Starters leave it nil.
	Resume *BillingState `json:"resume,omitempty"`
}

// Bounds of BillingInput. A server takes at most 2,000 pending activities from
// one workflow; a batch whose window came near that would stall for ever rather
// than fail.
const (
	MaxBatchSize   = 2000
	MaxWindow      = 1000
	MaxParallelism = 100

	MaxChargesPerActivity = 1000
	MaxActivityWindow     = 100
	MaxKeyRenewals        = 1000
)

// MaxKeyTTL is the longest life that the vault proxy gives a key.
const MaxKeyTTL = 31 * 24 * time.Hour

// Summary is the result of a run. The seven outcome counts add up to Customers. What
// an earlier run of the workflow ID charged counts as charged.
type Summary struct {
	Plan       string `json:"plan"`
	Period     string `json:"period"`
	WorkflowID string `json:"workflow_id"`
	RunLabel   string `json:"run_label"` // the ledger's name of the run
	KeyID      string `json:"key_id"`
	KeyRevoked bool   `json:"key_revoked"` // false: revoking failed, the key lives until it expires

	Customers    int `json:"customers"`
	Charged      int `json:"charged"`       // the vendor took the payment, or has it in processing
	Declined     int `json:"declined"`      // the vendor refused the payment; nothing was taken
	CapDenied    int `json:"cap_denied"`    // the proxy refused: the budget had no room
	NotAttempted int `json:"not_attempted"` // without effect, and not tried to the end: the run had stopped, or its key had ended
	Unknown      int `json:"unknown"`       // the vendor may or may not have acted; a person has to look
	Failed       int `json:"failed"`        // tried to the end and certainly without effect, for another reason than a decline
	Rejected     int `json:"rejected"`      // not approved, and so not tried

	CapUSD       money.USD `json:"cap_usd"`                 // of the run's budget: what it was started with, or what a person made of it
	SettledUSD   money.USD `json:"settled_usd"`             // booked by the ledger
	CommittedUSD money.USD `json:"committed_usd,omitempty"` // certain, final amount still open
	UnknownUSD   money.USD `json:"unknown_usd,omitempty"`   // held until there is proof
	// LedgerRead is false if the ledger could not be asked at the end; the amounts
	// are then the sum of the answers that the run itself saw.
	LedgerRead bool `json:"ledger_read"`

	StopReason string     `json:"stop_reason"` // empty: every customer was attempted
	ListSHA256 string     `json:"list_sha256"`
	Exceptions Exceptions `json:"exceptions"`

	Emails *NoticeSummary `json:"emails,omitempty"` // nil: no receipts were asked for
	Texts  *NoticeSummary `json:"texts,omitempty"`  // nil: no texts were asked for
}

// Progress answers QueryProgress.
type Progress struct {
	State        string    `json:"state"` // one of the State constants
	WorkflowID   string    `json:"workflow_id"`
	RunLabel     string    `json:"run_label"`
	KeyID        string    `json:"key_id,omitempty"`
	Customers    int       `json:"customers"`
	Charged      int       `json:"charged"`
	Declined     int       `json:"declined"`
	CapDenied    int       `json:"cap_denied"`
	NotAttempted int       `json:"not_attempted"`
	Unknown      int       `json:"unknown"`
	Failed       int       `json:"failed"`
	Rejected     int       `json:"rejected"`
	InFlight     int       `json:"in_flight"`
	CapUSD       money.USD `json:"cap_usd"`
	SettledUSD   money.USD `json:"settled_usd"` // as far as the run has seen; the summary has the ledger's sum
	StopReason   string    `json:"stop_reason,omitempty"`
	EmailsSent   int       `json:"emails_sent,omitempty"`
	TextsSent    int       `json:"texts_sent,omitempty"`
	// Paused says by whom and why the run is paused; empty: it is not.
	Paused string `json:"paused,omitempty"`
	// Awaiting is what nobody has decided on yet; nil: the run asks for no approval.
	Awaiting *Awaiting `json:"awaiting,omitempty"`
}

// Awaiting is what waits for a person's decision.
type Awaiting struct {
	Items  int       `json:"items"`
	Ranges Ranges    `json:"ranges,omitempty"` // of item indexes; at most the first 200
	Until  time.Time `json:"until,omitzero"`   // when it is decided by itself; zero: the charges before it are not over
}

// Done is how many customers have an outcome.
func (p Progress) Done() int {
	return p.Charged + p.Declined + p.CapDenied + p.NotAttempted + p.Unknown + p.Failed + p.Rejected
}

// States of a run, in their order.
const (
	StateStarting  = "starting" // pinning the list, issuing the key
	StateCharging  = "charging"
	StateAwaiting  = "awaiting_approval" // everything else is charged, and some of what needs an approval has none yet
	StateStopping  = "stopping"          // no further charge is scheduled, what is in flight ends
	StateSettling  = "settling"          // waiting for proof of what is unknown, revoking the key, reading the ledger
	StateNotifying = "notifying"         // writing to those who were charged
	StateDone      = "done"
)
