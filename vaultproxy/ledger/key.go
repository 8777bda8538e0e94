package ledger

import (
	"time"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Terms are what a vault key may do and spend. They are fixed for an issue
// identity; a re-issue after expiry keeps them.
type Terms struct {
	AllowedEndpoints []string   `json:"allowed_endpoints"`
	DailyCap         *money.USD `json:"daily_usd_cap,omitempty"`
	TotalCap         *money.USD `json:"total_usd_cap,omitempty"`
	PerCallCap       *money.USD `json:"per_call_usd_cap,omitempty"`
	RunCap           *money.USD `json:"run_usd_cap,omitempty"` // as asked for; nil takes the run's
}

// EffectiveRunCap is the cap of a run whose first key has these terms: the run
// cap, else the total cap, else the daily cap, so that a key that crosses
// midnight does not spend twice. Zero if there is none.
func (t Terms) EffectiveRunCap() money.USD {
	for _, c := range []*money.USD{t.RunCap, t.TotalCap, t.DailyCap} {
		if c != nil {
			return *c
		}
	}
	return 0
}

// KeySpec asks for the key of an issue identity.
type KeySpec struct {
	KeyID     string // used if a key is minted
	IssueID   string // the issue identity
	Tenant    string
	Run       string
	Vendor    string
	Phase     string
	AgentName string
	Terms     Terms
	ExpiresIn time.Duration // counted on the store's clock; zero if ExpiresAt is set
	ExpiresAt time.Time
	Digest    string // of all that must be alike in a repeated issue
	Renew     bool   // mint a further generation also where the last one was revoked
}

// Key is a vault key as the ledger has it. The token itself is nowhere stored.
type Key struct {
	ID         string
	IssueID    string
	Generation int
	Tenant     string
	Run        string
	RunNo      int64 // the run's number within the ledger
	Vendor     string
	Phase      string
	AgentName  string
	Terms      Terms
	IssuedAt   time.Time
	ExpiresAt  time.Time
	RevokedAt  time.Time // zero while not revoked
	RunClosed  bool
}

// KeyFilter narrows Keys; zero fields do not.
type KeyFilter struct {
	Run    string
	Tenant string
	Limit  int
}

// Budget is an account with a cap. In micro-USD.
type Budget struct {
	Scope     string // "key", "run" or "tenant"
	Name      string // issue identity, run label or tenant
	Tenant    string // of a run
	Window    string // "total", or a UTC day
	Cap       money.USD
	Settled   money.USD
	InFlight  money.USD
	Committed money.USD
	Unknown   money.USD
	Overrun   money.USD // booked past a hold
}

// WindowTotal is the window of a budget that never resets.
const WindowTotal = "total"

// Held is what is reserved but not settled.
func (b Budget) Held() money.USD { return b.InFlight + b.Committed + b.Unknown }

// Remaining is the room left, never negative.
func (b Budget) Remaining() money.USD {
	return max(0, b.Cap-b.Settled-b.Held())
}

// Kind names the budget in denials: its scope, and "day" or "total".
func (b Budget) Kind() string {
	if b.Window == WindowTotal {
		return b.Scope + "/total"
	}
	return b.Scope + "/day"
}

// ResetsAt is the end of the UTC day of a daily budget, zero for others.
func (b Budget) ResetsAt() time.Time {
	day, err := time.Parse(time.DateOnly, b.Window)
	if err != nil {
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}

// Scopes of budgets.
const (
	ScopeKey    = "key"
	ScopeRun    = "run"
	ScopeTenant = "tenant"
)

// BudgetFilter narrows Budgets; zero fields do not.
type BudgetFilter struct {
	Scope  string // ScopeRun or ScopeTenant; empty: both
	Name   string
	Tenant string // of a run
	Limit  int
}

// Spans of a cap.
const (
	SpanDay   = "day" // each UTC day anew
	SpanTotal = "total"
)

// CapChange is a cap as a person wants it from now on.
type CapChange struct {
	Scope  string // ScopeRun or ScopeTenant
	Tenant string // of the run, or the tenant itself
	Name   string // label of the run
	Span   string // SpanDay or SpanTotal; a run has only the latter
	Cap    money.USD
	Who    string
	Note   string
}

// Backlog is what has no final outcome.
type Backlog struct {
	Counts    Counts        // Settled and Released are left zero
	OldestDue time.Duration // how long the oldest proof is overdue; zero if none is
}

// Pruned says what Prune removed.
type Pruned struct {
	Runs, Calls, AuditRows int
}

// Counts are calls by state.
type Counts struct {
	InFlight, Settled, Committed, Released, Unknown int
}

// KeyUse is what a key's issue identity has used.
type KeyUse struct {
	Budgets []Budget
	Counts  Counts
}

// Revocation says what was revoked and what was still open then.
type Revocation struct {
	KeyIDs      []string
	At          time.Time
	InFlight    int
	InFlightUSD money.USD
	Unknown     int
	UnknownUSD  money.USD
}

// RunReport sums up one run.
type RunReport struct {
	Run, Tenant       string
	Closed            bool
	FirstCall, LastAt time.Time
	Budget            Budget
	Counts            Counts
	Declined          int
	Replays           int
	Resends           int
	Denied            map[string]int
	Vendors           map[string]VendorSpend
}

// VendorSpend is what a run spent at one vendor.
type VendorSpend struct {
	Calls         int
	Settled, Held money.USD
}
