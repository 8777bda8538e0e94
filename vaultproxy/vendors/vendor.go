// Package vendors is the seam between the proxy and what it knows of one vendor:
// how to read a request, what it costs, what an answer proves, and how to find
// out later what became of a call whose answer was lost.
//
// A vendor profile does no I/O of its own. Where it must look something up, it
// is handed a way to do so.
package vendors

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/money/fx"
)

// Vendor is the profile of one vendor.
type Vendor interface {
	// Name is the first path segment of the data plane, such as "stripe".
	Name() string
	// Parse reads a request strictly into its canonical form. Everything after
	// it works on that form, and what is sent is built from it. *Refusal.
	Parse(Raw) (Request, error)
	// Meter works out what the request may cost at most, before it is sent.
	// *Refusal, or the error of a look-up.
	Meter(context.Context, Request, View) (Quote, error)
	// Wire builds what is sent, stamped so that it can be found again. It is the
	// same, byte for byte, on every send of a call.
	Wire(Quote, Stamp) Wire
	// Credentials are the headers that carry the vendor's secret.
	Credentials() map[string]string
	// IdempotencyHeader is the header that makes repeats safe at this vendor. Empty
	// if there is none: then a call that may have arrived is never sent again, and
	// what becomes of it is looked up or left to a person.
	IdempotencyHeader() string
	// Judge says what an answer proves about the send that it answers.
	Judge(Sent, Answer) Verdict
	// Lookup finds out what became of a call, without causing anything. The Getter
	// is a Books too.
	Lookup(context.Context, Sent, Getter) (Finding, error)
	// Follow reads the object that a committed call holds an amount for and says
	// what its state proves.
	Follow(ctx context.Context, s Sent, object string, g Getter) (Finding, error)
}

// Checker is a vendor profile that can tell a person where to find out what
// became of a call that the proxy cannot tell.
type Checker interface {
	// Check is one sentence. Object is what the call is known to have made or
	// moved, if anything. What was sent (Wire) is not there.
	Check(s Sent, object string) string
}

// Scoper is a vendor profile that holds its calls to a key's scope. Of a profile
// that is none no key has a scope.
type Scoper interface {
	// CheckScope says what is wrong with a scope that a key shall be issued with.
	CheckScope(ledger.Scope) error
	// CheckRead refuses to pass on what a read was answered, if it reaches beyond
	// the scope. What can be told from the request, Meter has refused before. *Refusal.
	CheckRead(Request, Answer, ledger.Scope) error
}

// Raw is a request as it came in. Path is canonical already, without the
// vendor's name; the rest is not.
type Raw struct {
	Method      string
	Path        string // such as /v1/payment_intents
	Query       string // raw
	ContentType string
	Header      func(name string) string
	Body        []byte
}

// Request is a request that was understood fully.
type Request struct {
	Method string
	Path   string
	Query  Params
	Body   Params
	JSON   []byte            // canonical, of vendors that take JSON; Body is empty then
	Header map[string]string // vendor headers that take part in the meaning, such as a version
}

// Read reports whether the request has no effect.
func (r Request) Read() bool { return r.Method == http.MethodGet }

// View is what metering may ask.
type View interface {
	// Booking tells which call holds an object's amount, if any does.
	Booking(ctx context.Context, object string) (Booking, bool, error)
	// Scope is that of the key, zero if it has none.
	Scope() ledger.Scope
	// Now is the time by the ledger's clock.
	Now(context.Context) (time.Time, error)
	// Get reads as the request would act: with its headers.
	Getter
}

// Getter reads from the vendor, with its real secret.
type Getter interface {
	Get(ctx context.Context, path string, query Params) (Answer, error)
}

// Booking is a call that holds an object's amount.
type Booking struct {
	Seq       int64
	SameRun   bool // as the caller's
	Committed bool // held, and free to be taken over
	Hold      money.USD
	Rate      *fx.Rate          // that the hold was priced at; nil: in US dollars, or no longer known
	Header    map[string]string // of what was sent, such as the account that it acted on
}

// Quote is a metered request.
type Quote struct {
	Request   Request // with what metering pinned
	Operation string  // such as payment_intents.create
	Template  string  // of the path, such as /v1/payment_intents/{id}/capture
	Price     money.USD
	Target    string // vendor object that it acts on, empty for a creation
	TakeOver  int64  // call whose committed hold passes to this one; zero for none
	// Rate is what a price in another currency than the US dollar was worked out
	// with, and what the call books is worked out with later; nil for none.
	Rate *fx.Rate
}

// Stamp is what a creation carries so that it can be found by it.
type Stamp struct {
	CallID, Run, Item string
}

// Wire is a request as sent, without credentials and idempotency key.
type Wire struct {
	Method      string            `json:"method"`
	Target      string            `json:"target"` // path and query
	ContentType string            `json:"content_type,omitempty"`
	Header      map[string]string `json:"header,omitempty"`
	Body        []byte            `json:"body,omitempty"`
	// Rate is not sent. It is kept with what was, so that the call books at the rate
	// that it was held at, whatever the exchange rates are by then.
	Rate *fx.Rate `json:"rate,omitempty"`
	// Mode is not sent either. It is the world that the secret opened which the call was
	// sent with, where a vendor has two, such as "test" and "live": in the other one
	// nothing shows of it.
	Mode string `json:"mode,omitempty"`
}

// Sent is a call as judging and looking up see it.
type Sent struct {
	CallID      string
	Operation   string
	Target      string
	Wire        Wire
	Hold        money.USD
	FirstSentAt time.Time
}

// Answer is a vendor's answer.
type Answer struct {
	Status int
	Header func(name string) string
	Body   []byte
}

// Verdict is what an answer proves.
type Verdict struct {
	Outcome  ledger.Outcome
	Amount   money.USD // settled: what it cost; committed: what it may cost, if more than held
	Reason   string    // a short code, such as succeeded or card_declined
	Object   string    // vendor object that now carries the amount
	Frees    string    // vendor object whose hold ends with it
	Declined bool      // the vendor refused the payment
	// StoredFailure: the vendor keeps this failure under the idempotency key and
	// will repeat it, so that only a look-up can tell more.
	StoredFailure bool
	// Credentials: the vendor refused our secret, which is nothing the caller did.
	Credentials bool
}

// Final reports whether the verdict ends the doubt about every send so far.
func (v Verdict) Final() bool {
	return v.Outcome == ledger.OutcomeSettled || v.Outcome == ledger.OutcomeReleased || v.Outcome == ledger.OutcomeCommitted
}

// Finding is what a look-up found.
type Finding struct {
	// Found: Verdict holds, and Answer is what the vendor would have answered.
	Found   bool
	Verdict Verdict
	Answer  Answer
	// Absent: the look-up was complete and strongly consistent, and there is no
	// trace of the call. It proves something only once every send is fenced.
	Absent bool
}

// Refusal is a request that the proxy does not pass on. Code is one of the data
// plane's codes.
type Refusal struct {
	Code    string
	Message string
	Param   string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// LookupError is a look-up that the vendor answered with something else than
// what was asked for.
type LookupError struct{ Status int }

func (e *LookupError) Error() string {
	return "the vendor answered a look-up with HTTP " + strconv.Itoa(e.Status)
}

// Codes of refusals that a vendor profile gives.
const (
	Ambiguous           = "request_ambiguous"
	Invalid             = "request_invalid"
	Unmetered           = "unmetered_operation"
	ScopeDenied         = "scope_denied"
	CurrencyUnsupported = "currency_unsupported"
	AmountInvalid       = "amount_invalid"
)
