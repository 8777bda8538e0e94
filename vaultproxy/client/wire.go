package client

import (
	"time"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// IssueRequest asks for a vault key. At least one of the daily, total and run
// caps is required: a key without a bound is not issued. Amounts may be written
// as JSON numbers or decimal strings, in dollars.
type IssueRequest struct {
	Vendor           string     `json:"vendor"`                  // one that the proxy is configured for: stripe, twilio, resend
	AllowedEndpoints []string   `json:"allowed_endpoints"`       // exact method and path template, such as "POST /v1/payment_intents"
	ExpiresIn        string     `json:"expires_in,omitempty"`    // a Go duration such as "2h"; or ExpiresAt
	ExpiresAt        *time.Time `json:"expires_at,omitempty"`    //
	AgentRunLabel    string     `json:"agent_run_label"`         // names the run, such as temporal/default/billing-pro-2026-11
	Phase            string     `json:"phase,omitempty"`         // tells apart several keys of one run and vendor
	DailyUSDCap      *money.USD `json:"daily_usd_cap,omitempty"` // a UTC day
	TotalUSDCap      *money.USD `json:"total_usd_cap,omitempty"` // over the key's life, re-issues included
	PerCallUSDCap    *money.USD `json:"per_call_usd_cap,omitempty"`
	RunUSDCap        *money.USD `json:"run_usd_cap,omitempty"` // shared by all keys of the run; fixed at the run's first issue
	Tenant           string     `json:"tenant,omitempty"`
	AgentName        string     `json:"agent_name,omitempty"`
	// InputsDigest says what the run works on, such as the SHA-256 of its list. It
	// is opaque, and part of the policy: items are told apart by their place in
	// what the run works on, so the same run with other inputs gets no key.
	InputsDigest string `json:"inputs_digest,omitempty"`
	// Renew mints a further key on the same budgets also where the last one of the
	// identity was revoked: a run that had ended goes on. It changes nothing about a
	// key that lives, and a run that was closed gets none.
	Renew bool `json:"renew,omitempty"`
}

// IssuedKey is the answer to IssueRequest: the only answer that holds the token.
type IssuedKey struct {
	VaultKey  string    `json:"vault_key"`
	KeyID     string    `json:"key_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Key is what the control plane tells of a vault key; never its token.
type Key struct {
	KeyID            string     `json:"key_id"`
	State            string     `json:"state"` // live, expired, revoked
	Vendor           string     `json:"vendor"`
	AllowedEndpoints []string   `json:"allowed_endpoints"`
	AgentRunLabel    string     `json:"agent_run_label"`
	Phase            string     `json:"phase,omitempty"`
	Tenant           string     `json:"tenant,omitempty"`
	AgentName        string     `json:"agent_name,omitempty"`
	Generation       int        `json:"generation"` // 1 for the first key of its issue identity
	IssuedAt         time.Time  `json:"issued_at"`
	ExpiresAt        time.Time  `json:"expires_at"`
	RevokedAt        *time.Time `json:"revoked_at,omitempty"`
	PerCallUSDCap    *money.USD `json:"per_call_usd_cap,omitempty"`
	Budgets          []Budget   `json:"budgets"`
	Calls            CallCounts `json:"calls"`
}

// KeyList is the answer of GET /vault/keys.
type KeyList struct {
	Keys []Key `json:"keys"`
}

// Budget is one account that a key's calls draw on.
type Budget struct {
	Scope        string     `json:"scope"`            // key, run or tenant
	Name         string     `json:"name"`             // the issue identity's ID, the run label, or the tenant
	Tenant       string     `json:"tenant,omitempty"` // of a run
	Window       string     `json:"window"`           // total, or the UTC day such as 2026-11-23
	CapUSD       money.USD  `json:"cap_usd"`
	SettledUSD   money.USD  `json:"settled_usd"`
	ReservedUSD  money.USD  `json:"reserved_usd"`  // in flight
	CommittedUSD money.USD  `json:"committed_usd"` // certain to have an effect, final amount still open
	UnknownUSD   money.USD  `json:"unknown_usd"`   // held until proof
	RemainingUSD money.USD  `json:"remaining_usd"`
	OverrunUSD   money.USD  `json:"overrun_usd,omitempty"` // booked past a hold
	ResetsAt     *time.Time `json:"resets_at,omitempty"`
}

// BudgetQuery narrows Budgets; empty fields do not.
type BudgetQuery struct {
	Scope  string // run or tenant
	Name   string // of the run or tenant
	Tenant string // of a run; a tenant's own budgets are among them
	Limit  int    // 1 to 1000; zero means 100
}

// BudgetList is the answer of GET and PUT under /vault/budgets.
type BudgetList struct {
	Budgets []Budget `json:"budgets"`
}

// CapChange sets caps of a tenant (daily, total, or both) or the one of a run.
// By and Reason stay in the audit log.
type CapChange struct {
	DailyUSDCap *money.USD `json:"daily_usd_cap,omitempty"` // of a tenant; each UTC day anew
	TotalUSDCap *money.USD `json:"total_usd_cap,omitempty"` // of a tenant
	RunUSDCap   *money.USD `json:"run_usd_cap,omitempty"`   // of a run
	Tenant      string     `json:"tenant,omitempty"`        // of the run, if it has one
	By          string     `json:"by"`                      // who decides
	Reason      string     `json:"reason"`                  // and on what grounds
}

// CallCounts counts calls by state.
type CallCounts struct {
	InFlight  int `json:"in_flight"`
	Settled   int `json:"settled"`
	Committed int `json:"committed"`
	Released  int `json:"released"`
	Unknown   int `json:"unknown"`
}

// Revocation is the answer to a DELETE: what was revoked and what was still in
// flight at that moment. Calls in flight run to their end and are booked.
type Revocation struct {
	KeyIDs        []string  `json:"key_ids"`
	AgentRunLabel string    `json:"agent_run_label,omitempty"` // set when a whole run was closed
	Tenant        string    `json:"tenant,omitempty"`          // of that run, or whose keys were revoked
	RevokedAt     time.Time `json:"revoked_at"`
	InFlight      int       `json:"in_flight"`
	InFlightUSD   money.USD `json:"in_flight_usd"`
	UnknownCalls  int       `json:"unknown"`
	UnknownUSD    money.USD `json:"unknown_usd"`
}

// RunReportList is the answer of GET /vault/reports/runs.
type RunReportList struct {
	Runs []RunReport `json:"runs"`
}

// RunReport is what one run cost and how its calls ended.
type RunReport struct {
	AgentRunLabel string     `json:"agent_run_label"`
	Tenant        string     `json:"tenant,omitempty"`
	Closed        bool       `json:"closed"`
	FirstCallAt   *time.Time `json:"first_call_at,omitempty"`
	LastCallAt    *time.Time `json:"last_call_at,omitempty"`
	Budget        Budget     `json:"budget"` // the run's own
	Calls         CallCounts `json:"calls"`
	Declined      int        `json:"declined"` // of the released: the vendor refused the payment
	Replays       int        `json:"replays"`  // answered from the ledger, nothing sent
	Resends       int        `json:"resends"`  // sent again: after a refusal without effect, or as proof
	Denied        []Denials  `json:"denied"`
	Vendors       []Spend    `json:"vendors"`
}

// Denials counts the calls that the proxy refused, by code.
type Denials struct {
	Code  string `json:"code"`
	Count int    `json:"count"`
}

// Spend is what a run spent at one vendor.
type Spend struct {
	Vendor     string    `json:"vendor"`
	Calls      int       `json:"calls"`
	SettledUSD money.USD `json:"settled_usd"`
	HeldUSD    money.USD `json:"held_usd"`
}

// CallQuery narrows Calls; empty fields do not.
type CallQuery struct {
	Run            string
	State          string // dispatched, settled, released, committed or unknown
	IdempotencyKey string
	Cursor         string
	Limit          int // 1 to 1000; zero means 100
}

// Call is one intended effect at a vendor, as the ledger has it.
type Call struct {
	CallID         string     `json:"call_id"`
	State          string     `json:"state"`
	Reason         string     `json:"reason,omitempty"` // why it is in that state, such as succeeded, card_declined, answer_lost
	AgentRunLabel  string     `json:"agent_run_label"`
	Tenant         string     `json:"tenant,omitempty"`
	KeyID          string     `json:"key_id"`
	Vendor         string     `json:"vendor"`
	Operation      string     `json:"operation"`
	IdempotencyKey string     `json:"idempotency_key"`
	Item           string     `json:"item,omitempty"`
	WorkflowID     string     `json:"workflow_id,omitempty"`
	HoldUSD        money.USD  `json:"hold_usd"`    // what was reserved
	SettledUSD     money.USD  `json:"settled_usd"` // what it cost; zero until settled
	ObjectID       string     `json:"object_id,omitempty"`
	Declined       bool       `json:"declined,omitempty"` // the vendor refused the payment
	Sends          int        `json:"sends"`
	Checks         int        `json:"checks,omitempty"` // proofs tried so far
	CreatedAt      time.Time  `json:"created_at"`
	FirstSentAt    *time.Time `json:"first_sent_at,omitempty"` // of the sends that are not proved without effect
	LastSentAt     *time.Time `json:"last_sent_at,omitempty"`
	FinalAt        *time.Time `json:"final_at,omitempty"`

	// Of unknown and committed calls alone:
	NextCheckAt *time.Time `json:"next_check_at,omitempty"` // when the proxy looks again by itself
	OpenBecause string     `json:"open_because,omitempty"`  // one sentence
	Check       string     `json:"check,omitempty"`         // what a person should look at, in one sentence
}

// ResolveRequest is what a person found out about a call that the proxy could
// not prove. By and Reason stay in the audit log.
type ResolveRequest struct {
	Outcome   string     `json:"outcome"`              // settled or released
	AmountUSD *money.USD `json:"amount_usd,omitempty"` // what it cost; needed for settled
	ObjectID  string     `json:"object_id,omitempty"`  // the vendor object that it made, if it is known
	By        string     `json:"by"`                   // who decides
	Reason    string     `json:"reason"`               // and on what grounds
}

// CallPage is a page of calls; NextCursor is empty on the last one.
type CallPage struct {
	Calls      []Call `json:"calls"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// AuditQuery narrows Audit; empty fields do not.
type AuditQuery struct {
	Run, KeyID, Vendor, Verdict string
	Since, Until                time.Time
	Cursor                      string
	Limit                       int // 1 to 1000; zero means 100
}

// AuditRow is one line of the audit log: a call, a denial, a replay, a
// resolution, or a change to a key.
type AuditRow struct {
	Seq            int64     `json:"seq"`
	At             time.Time `json:"at"`
	Verdict        string    `json:"verdict"`        // settled, committed, released, unknown, replayed, denied, read, issued, revoked, cap_set
	Code           string    `json:"code,omitempty"` // the denial's code, or the reason of the verdict
	By             string    `json:"by"`             // caller, reconciler, admin, person, restart
	AgentRunLabel  string    `json:"agent_run_label,omitempty"`
	KeyID          string    `json:"key_id,omitempty"`
	CallID         string    `json:"call_id,omitempty"`
	Item           string    `json:"item,omitempty"`
	WorkflowID     string    `json:"workflow_id,omitempty"`
	Vendor         string    `json:"vendor,omitempty"`
	Method         string    `json:"method,omitempty"`
	Path           string    `json:"path,omitempty"` // template; of reads and early denials the path itself
	IdempotencyKey string    `json:"idempotency_key,omitempty"`
	Status         int       `json:"status,omitempty"` // answered to the caller
	PriceUSD       money.USD `json:"price_usd"`        // metered
	AmountUSD      money.USD `json:"amount_usd"`       // booked by this row
	ObjectID       string    `json:"object_id,omitempty"`
	DurationMS     int64     `json:"duration_ms,omitempty"`
	Who            string    `json:"who,omitempty"`  // the person who decided
	Note           string    `json:"note,omitempty"` // and on what grounds
}

// AuditPage is a page of the audit log; NextCursor is empty on the last one.
type AuditPage struct {
	Rows       []AuditRow `json:"rows"`
	NextCursor string     `json:"next_cursor,omitempty"`
}
