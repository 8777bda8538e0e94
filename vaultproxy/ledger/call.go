package ledger

import (
	"time"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// State is where a call stands.
type State string

const (
	// Dispatched: its hold is booked and it may be on the wire.
	Dispatched State = "dispatched"
	// Settled: it had its effect and its final amount is booked.
	Settled State = "settled"
	// Committed: the effect is certain, the final amount may still fall. The hold stays.
	Committed State = "committed"
	// Released: every send of it is proved without effect that costs. Nothing is held.
	Released State = "released"
	// Unknown: the vendor may have acted and nobody can tell yet. The hold stays.
	Unknown State = "unknown"
)

// Final reports whether no further move is expected.
func (s State) Final() bool { return s == Settled || s == Released }

// CallKey is what makes a call one call: an idempotency key, at one vendor, in one run.
type CallKey struct {
	RunNo          int64
	Vendor         string
	IdempotencyKey string
}

// Call is one intended effect at a vendor.
type Call struct {
	Seq            int64 // its number within the ledger, rising with the first reservation
	ID             string
	Digest         [32]byte // of the canonical request: the same idempotency key must bring the same one
	State          State
	Reason         string // why it is in that state, such as "succeeded", "card_declined", "answer_lost"
	KeyID          string
	Tenant         string
	Run            string
	Vendor         string
	Operation      string
	Method         string
	Path           string // template, not the raw path
	IdempotencyKey string // the caller's
	Item           string
	WorkflowID     string
	Hold           money.USD // reserved; for a released call what had been reserved
	Amount         money.USD // booked; zero until settled
	Object         string    // the vendor object whose amount this call holds or settled
	Target         string    // the vendor object the request acts on; empty for a creation
	ReservedAt     time.Time // when what it holds or booked was reserved
	Day            string    // UTC day of that, such as 2026-11-23
	Declined       bool      // the vendor refused the payment

	// Answered: Answer may be returned to whoever asks again. A released call
	// that has neither an answer nor an object was refused before it had any
	// effect, and may be reserved again; so may a committed call whose every
	// send was refused, by taking its own hold over.
	Answered     bool
	AnswerStatus int
	Answer       []byte // sealed by the proxy; opaque here
	Request      []byte // sealed; kept while the call may have to be sent again

	Sends       int // sends recorded so far
	Unproven    int // of those, sends that are not proved without effect
	Resend      int // number in the vendor's idempotency key; rises only past a complete, empty look-up
	Checks      int // proofs tried so far
	CreatedAt   time.Time
	FirstSentAt time.Time // first of the sends that are not proved without effect; zero if there is none
	LastSentAt  time.Time // last of them, at first also of one that is yet to be proved
	PriorSentAt time.Time // what LastSentAt was before the last resend: it stands again if that one is refused
	CommittedAt time.Time // when its effect on its object was last proved; zero if it never was committed
	FinalAt     time.Time // zero until final
	NextCheckAt time.Time // of unknown and committed calls: when a proof is due

	// Damaged says what is wrong with the row as it is stored, empty if nothing is.
	// Such a call is listed and keeps its hold, and nobody's request is taken for its.
	Damaged string
}

// Reservation asks for a hold and for the right to send.
type Reservation struct {
	CallID         string
	Digest         [32]byte
	KeyID          string
	RunNo          int64 // of the key, if the caller knows it: saves a look-up
	Vendor         string
	Operation      string
	Method         string
	Path           string
	IdempotencyKey string
	Item           string
	WorkflowID     string
	Price          money.USD
	Target         string
	// TakeOver names a committed call of the same run whose hold passes to this
	// one in the same commit, by its Seq: confirming or capturing what is already held must
	// not hold it twice. If it is no longer committed: ErrBookingMoved.
	TakeOver int64 // Seq; zero for none
	Request  []byte
	// Wait is how long to wait for calls in flight that stand in the way; zero:
	// not at all.
	Wait time.Duration
}

// Reserved is a granted reservation.
type Reserved struct {
	Call      Call
	Remaining money.USD // the smallest room left over the budgets drawn on
}

// Outcome is what the proof of one send, or of the whole call, amounts to.
type Outcome string

const (
	// OutcomeSettled: it happened; Amount is final.
	OutcomeSettled Outcome = "settled"
	// OutcomeCommitted: it will count; the hold stays until the object is final.
	OutcomeCommitted Outcome = "committed"
	// OutcomeReleased: the vendor gave its final answer and nothing is owed.
	OutcomeReleased Outcome = "released"
	// OutcomeRefused: this one send had no effect, and its answer is not final:
	// the same idempotency key may try again. Earlier sends are not touched by it.
	// A hold that was taken over stays, as committed: its object is still there.
	OutcomeRefused Outcome = "refused"
	// OutcomeNoEffect: a complete look-up after every send was fenced found
	// nothing: no send had an effect. The vendor's idempotency key is given up.
	OutcomeNoEffect Outcome = "no_effect"
	// OutcomeUnknown: nothing is proved.
	OutcomeUnknown Outcome = "unknown"
)

// Resolution books an outcome. Each move happens once: on a call that is
// already final it changes nothing and returns what stands.
type Resolution struct {
	Seq int64
	// Seen is the call as whoever judged it had it. An outcome that speaks of
	// single sends (refused, no effect, unknown) counts only while the call has
	// the same sends: told twice, or too late, it would take the hold of a send
	// that it knows nothing of. Nil: as the store finds it.
	Seen         *Call
	Outcome      Outcome
	Amount       money.USD // OutcomeSettled: final. OutcomeCommitted: the amount promised, if above the hold
	Reason       string
	Object       string // vendor object that now carries the amount
	Declined     bool
	Frees        string // vendor object whose committed hold ends with this outcome: a cancelled payment
	Answered     bool   // Answer may be replayed
	AnswerStatus int
	Answer       []byte        // sealed
	NextCheck    time.Duration // for unknown and committed: when to look again
	Audit        AuditRow      // written in the same commit; its call fields are filled in by the store
}

// CallFilter narrows Calls; zero fields do not.
type CallFilter struct {
	Run            string
	Tenant         string
	State          State
	IdempotencyKey string
	After          int64 // Seq
	Limit          int
}
