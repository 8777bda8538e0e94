package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Store books calls on budgets. Every method that writes returns after its
// commit is durable. All are safe for concurrent use.
//
// Errors that are decisions: *Denial, *Exists, ErrNotFound, ErrPolicyConflict,
// ErrRunRevoked, ErrRunClosed, ErrBookingMoved, ErrObjectTaken, ErrClaimed, ErrOtherKey.
// Anything else wraps ErrUnavailable: the store could not decide, and nothing
// may be sent on the strength of it.
type Store interface {
	// LedgerID names this ledger; it travels inside vault keys.
	LedgerID() string
	// Bind ties the ledger to the key that its vault keys and stored calls hang
	// on, by a fingerprint of it. The first one to come sets it. ErrOtherKey.
	Bind(ctx context.Context, fingerprint string) error

	// Issue returns the live key of an issue identity, minting it if there is
	// none, the last one has expired, or it was revoked and the spec renews it. The
	// bool tells whether it was minted.
	// ErrPolicyConflict, ErrRunRevoked, ErrRunClosed.
	Issue(context.Context, KeySpec) (Key, bool, error)
	// Key returns a key by its ID. ErrNotFound.
	Key(ctx context.Context, keyID string) (Key, error)
	// Keys lists keys, newest first.
	Keys(context.Context, KeyFilter) ([]Key, error)
	// KeyUse returns the budgets that the key draws on today, and its calls. ErrNotFound.
	KeyUse(ctx context.Context, keyID string) (KeyUse, error)
	// RevokeKey revokes one key, once. ErrNotFound.
	RevokeKey(ctx context.Context, keyID string) (Revocation, error)
	// CloseRun revokes every key of the run and lets no further one be issued.
	// An empty tenant means the tenant that has no name. ErrNotFound.
	CloseRun(ctx context.Context, tenant, run string) (Revocation, error)
	// RevokeTenant revokes every live key of a tenant. Its runs stay open. ErrNotFound.
	RevokeTenant(ctx context.Context, tenant string) (Revocation, error)
	// CloseAll revokes every key and closes every run, and returns how many runs
	// were open: what a ledger needs that was restored from an older copy.
	CloseAll(context.Context) (runs int, err error)

	// Budgets lists the budgets of runs and tenants, those in use last first.
	Budgets(context.Context, BudgetFilter) ([]Budget, error)
	// SetCap changes the cap of a run, or sets one of a tenant. A cap below what
	// is used already takes effect for everything that comes. ErrNotFound.
	SetCap(context.Context, CapChange) (Budget, error)

	// Recall returns the call that an idempotency key stands for. ErrNotFound.
	Recall(context.Context, CallKey) (Call, error)
	// Find returns a call by its ID. It is quick for calls in doubt. ErrNotFound.
	Find(ctx context.Context, callID string) (Call, error)
	// Booking returns the call that holds or settled a vendor object. ErrNotFound.
	Booking(ctx context.Context, vendor, object string) (Call, error)
	// InFlight reports whether another call than that one, with the same request, is
	// on its way to the vendor.
	InFlight(ctx context.Context, vendor string, digest [32]byte, callID string) (bool, error)
	// Reserve holds the price on every budget of the key and records the first
	// send, or a new send of a call that had been refused without effect. Where
	// only calls in flight stand in the way it waits for them, as long as the
	// reservation allows, first come first served. *Denial, *Exists, ErrBookingMoved.
	Reserve(context.Context, Reservation) (Reserved, error)
	// Resolve books an outcome. The bool tells whether it moved the call.
	// ErrNotFound, ErrObjectTaken.
	Resolve(context.Context, Resolution) (Call, bool, error)

	// Claim takes the sole right to prove an unknown or committed call for the
	// length of the lease. ErrClaimed, ErrNotFound.
	Claim(ctx context.Context, seq int64, lease time.Duration) (Call, error)
	// Unclaim gives the right back and sets when to look again.
	Unclaim(ctx context.Context, seq int64, next time.Duration) error
	// Resend records one more send of a claimed unknown call. It needs a live
	// key, an open run, and less than the window since the first send. *Denial,
	// *Exists if it is no longer unknown, ErrWindowClosed, ErrNotFound, ErrClaimed
	// if the lease is over.
	Resend(ctx context.Context, seq int64, window time.Duration) (Call, error)
	// Due lists calls whose next check has come: unknown ones and then committed
	// ones, each oldest first. Of a list that is full each has at least half, if it
	// has as many.
	Due(ctx context.Context, limit int) ([]Call, error)
	// Lead reports whether this process may reconcile for the length of the
	// lease. Among those that share a ledger it is one at a time.
	Lead(ctx context.Context, lease time.Duration) (bool, error)

	// Record appends an audit row that belongs to no move.
	Record(context.Context, AuditRow) error
	// Audit returns audit rows in order.
	Audit(context.Context, AuditFilter) ([]AuditRow, error)
	// Calls returns calls in order of their reservation.
	Calls(context.Context, CallFilter) ([]Call, error)
	// RunReports sums up the runs of that label, one for each tenant; all runs if empty.
	RunReports(ctx context.Context, run string) ([]RunReport, error)
	// Verify recomputes every budget from its calls. It returns a line for each
	// difference, none if the ledger is sound.
	Verify(context.Context) ([]string, error)
	// Backlog counts calls that have no final outcome, over all runs.
	Backlog(context.Context) (Backlog, error)
	// Prune closes the runs in which nothing was reserved since a time and no key
	// lives, and removes their final calls and audit rows. What is in doubt stays;
	// so do the run itself, its budget and its totals for each day.
	Prune(ctx context.Context, before time.Time) (Pruned, error)

	// Now is the store's clock, the only one that counts.
	Now(context.Context) (time.Time, error)
	Close() error
}

// Decisions of a store.
var (
	// ErrNotFound: no such key, run or call.
	ErrNotFound = errors.New("not found")
	// ErrPolicyConflict: the issue identity is live under other terms.
	ErrPolicyConflict = errors.New("this issue identity already has a key with another policy")
	// ErrRunRevoked: the key of this issue identity was revoked.
	ErrRunRevoked = errors.New("the key of this issue identity was revoked")
	// ErrRunClosed: the run was closed.
	ErrRunClosed = errors.New("the run is closed")
	// ErrBookingMoved: the call whose hold was to be taken over no longer has it.
	ErrBookingMoved = errors.New("the held amount of this object has moved")
	// ErrObjectTaken: another call already settles this vendor object.
	ErrObjectTaken = errors.New("another call is booked on this vendor object")
	// ErrClaimed: somebody else is proving this call, or it is final.
	ErrClaimed = errors.New("the call is being proved elsewhere")
	// ErrWindowClosed: the call is too old to be sent again.
	ErrWindowClosed = errors.New("the call is too old to be sent again")
	// ErrOtherKey: the ledger is bound to another master key.
	ErrOtherKey = errors.New("the ledger belongs to another master key")
	// ErrUnavailable: the store could not decide.
	ErrUnavailable = errors.New("the ledger is unavailable")
)

// DenialReason says why a reservation was refused.
type DenialReason string

const (
	// KeyUnknown: no such key in this ledger.
	KeyUnknown DenialReason = "key_unknown"
	// KeyRevoked: the key, or its run, was revoked.
	KeyRevoked DenialReason = "key_revoked"
	// KeyExpired: the key's time is over.
	KeyExpired DenialReason = "key_expired"
	// CapExhausted: settled + committed + unknown + price > cap. Terminal.
	CapExhausted DenialReason = "cap_exhausted"
	// CapContended: it does not fit now, but calls in flight may give room back.
	CapContended DenialReason = "cap_contended"
)

// BudgetPerCall is the Budget kind of a denial by the per-call cap.
const BudgetPerCall = "per_call"

// Denial is a refused reservation. Nothing was written.
type Denial struct {
	Reason   DenialReason
	Kind     string // which budget: "key/day", "key/total", "run/total", "tenant/day", "tenant/total", "per_call"
	Price    money.USD
	Budget   Budget // as it stood; for per_call only Cap
	ResetsAt time.Time
}

func (d *Denial) Error() string {
	switch d.Reason {
	case CapExhausted, CapContended:
		return fmt.Sprintf("%s: %s does not fit %s budget of %s", d.Reason, d.Price, d.Kind, d.Budget.Cap)
	default:
		return string(d.Reason)
	}
}

// Exists is a reservation under an ID that already has a call.
type Exists struct{ Call Call }

func (e *Exists) Error() string { return "the call exists and is " + string(e.Call.State) }
