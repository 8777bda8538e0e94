package activities

import (
	"net/http"
	"time"

	"go.temporal.io/sdk/temporal"
)

// Types of the application errors that activities return. The terminal ones are
// never retried by Temporal; the others are, within the activity's timeouts.
const (
	// Terminal, and true of every further item of the run.
	TypeCapExhausted       = "CapExhausted"       // what is booked leaves no room in the key's or the run's budget
	TypeKeyUnknown         = "KeyUnknown"         // the proxy does not know the vault key
	TypeKeyRevoked         = "KeyRevoked"         //
	TypeKeyExpired         = "KeyExpired"         //
	TypeEndpointNotAllowed = "EndpointNotAllowed" // the key's policy does not list the endpoint
	TypeScopeDenied        = "ScopeDenied"        //
	TypeUnmeteredOperation = "UnmeteredOperation" // the call's cost cannot be bounded beforehand
	TypeVendorUnknown      = "VendorUnknown"      // the proxy serves no such vendor
	TypeVendorCredentials  = "VendorCredentials"  // the vendor refused the proxy's own secret

	// Terminal, of one item.
	TypePerCallCapExceeded  = "PerCallCapExceeded"  // this one charge is above the key's cap for a single call
	TypeChargeDeclined      = "ChargeDeclined"      // the vendor refused the payment
	TypeInvalidRequest      = "InvalidRequest"      // the proxy or the vendor refused the request as such
	TypeIdempotencyMismatch = "IdempotencyMismatch" // the item was sent before with other content
	TypeUnexpected          = "Unexpected"          // an answer that nothing here knows; the ledger has to be asked

	// Retryable.
	TypeCapContended        = "CapContended"        // calls in flight hold what is left; it may come free
	TypeRateLimited         = "RateLimited"         //
	TypeIdempotencyInFlight = "IdempotencyInFlight" // an earlier attempt of the item has not ended
	TypeOutcomeUnknown      = "OutcomeUnknown"      // the vendor may have acted; the next attempt asks for proof
	TypeVendorUnavailable   = "VendorUnavailable"   // the vendor could not be reached and nothing was sent
	TypeLedgerUnavailable   = "LedgerUnavailable"   //
	TypeOverloaded          = "Overloaded"          //
	TypeWrongLedger         = "WrongLedger"         // a proxy answered that keeps another ledger
	TypeProxyUnreachable    = "ProxyUnreachable"    // no answer, or none of the proxy's own

	// Of the control plane and the customer list; terminal.
	TypeAdminKeyRejected    = "AdminKeyRejected"
	TypePolicyConflict      = "PolicyConflict" // a key of the same identity exists with another policy
	TypeRunRevoked          = "RunRevoked"
	TypeRunClosed           = "RunClosed"
	TypeNotFound            = "NotFound"
	TypeInvalidCustomerList = "InvalidCustomerList"
	TypeCustomerListChanged = "CustomerListChanged"

	TypeCustomerListUnread = "CustomerListUnread" // reading it failed for now; retryable

	TypeWorkerStopping = "WorkerStopping" // of an activity that charges many items; retryable
)

// rule is how one kind of refusal is told to Temporal.
type rule struct {
	errorType string
	retry     bool
	benign    bool   // an expected outcome of business, not a fault of ours: logged low
	text      string // what the history shows
}

// denialRule is the one table from the proxy's codes to error types. A code that
// is not in it is terminal: retrying what one does not understand is how money
// gets spent twice.
func denialRule(code string) (rule, bool) {
	switch code {
	case "cap_exhausted":
		return rule{errorType: TypeCapExhausted, benign: true, text: "the budget has no room for this charge"}, true
	case "key_unknown":
		return rule{errorType: TypeKeyUnknown, text: "the vault proxy does not know the vault key"}, true
	case "key_revoked":
		return rule{errorType: TypeKeyRevoked, benign: true, text: "the vault key was revoked"}, true
	case "key_expired":
		return rule{errorType: TypeKeyExpired, benign: true, text: "the vault key has expired"}, true
	case "endpoint_not_allowed":
		return rule{errorType: TypeEndpointNotAllowed, text: "the vault key's policy does not allow the endpoint"}, true
	case "scope_denied":
		return rule{errorType: TypeScopeDenied, text: "the request is outside of the vault key's scope"}, true
	case "unmetered_operation":
		return rule{errorType: TypeUnmeteredOperation, text: "the cost of the request cannot be bounded beforehand"}, true
	case "vendor_unknown":
		return rule{errorType: TypeVendorUnknown, text: "the vault proxy does not serve the vendor"}, true
	case "vendor_credentials":
		return rule{errorType: TypeVendorCredentials, text: "the vendor refused the vault proxy's secret; check the proxy's configuration"}, true
	case "request_invalid", "request_ambiguous", "idempotency_required", "currency_unsupported", "amount_invalid":
		return rule{errorType: TypeInvalidRequest, text: "the vault proxy refused the request"}, true
	case "idempotency_mismatch":
		return rule{errorType: TypeIdempotencyMismatch, text: "the item was sent before with other content"}, true
	case "idempotency_in_flight":
		return rule{errorType: TypeIdempotencyInFlight, retry: true, text: "an earlier attempt of the item has not ended yet"}, true
	case "cap_contended":
		return rule{errorType: TypeCapContended, retry: true, benign: true, text: "calls in flight hold what is left of the budget"}, true
	case "rate_limited":
		return rule{errorType: TypeRateLimited, retry: true, benign: true, text: "the vendor or the vault proxy asks to slow down"}, true
	case "outcome_unknown":
		return rule{errorType: TypeOutcomeUnknown, retry: true, text: "the vendor may have acted; the next attempt asks for proof"}, true
	case "vendor_unavailable":
		return rule{errorType: TypeVendorUnavailable, retry: true, text: "the vendor could not be reached and nothing was sent"}, true
	case "ledger_unavailable":
		return rule{errorType: TypeLedgerUnavailable, retry: true, text: "the vault proxy's ledger is not available"}, true
	case "overloaded":
		return rule{errorType: TypeOverloaded, retry: true, benign: true, text: "the vault proxy is overloaded"}, true
	case "wrong_ledger":
		return rule{errorType: TypeWrongLedger, retry: true, text: "a vault proxy answered that keeps another ledger"}, true
	}
	return rule{}, false
}

// statusRule is for answers that the proxy passed on from the vendor, and for
// those of something in between.
func statusRule(status int) rule {
	switch {
	case status == http.StatusPaymentRequired:
		return rule{errorType: TypeChargeDeclined, benign: true, text: "the vendor declined the payment"}
	case status == http.StatusBadRequest || status == http.StatusNotFound:
		return rule{errorType: TypeInvalidRequest, text: "the vendor refused the request"}
	case status == http.StatusTooManyRequests:
		return rule{errorType: TypeRateLimited, retry: true, benign: true, text: "the vendor asks to slow down"}
	case status >= http.StatusInternalServerError:
		// Trying again is safe: the idempotency key stays the same.
		return rule{errorType: TypeProxyUnreachable, retry: true, text: "something other than the vault proxy answered"}
	}
	return rule{errorType: TypeUnexpected, text: "the answer has no known meaning"}
}

func unexpected() rule {
	return rule{errorType: TypeUnexpected, text: "the vault proxy refused with an unknown code"}
}

// applicationError must stay the last thing done to an error: see the package comment.
func (r rule) applicationError(detail string, retryAfter time.Duration) error {
	text := r.text
	if detail != "" {
		text += " (" + detail + ")"
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: !r.retry}
	if r.retry {
		options.NextRetryDelay = retryAfter
	}
	if r.benign {
		options.Category = temporal.ApplicationErrorCategoryBenign
	}
	return temporal.NewApplicationErrorWithOptions(text, r.errorType, options)
}

// token passes a short machine-readable word of an answer, such as a decline
// code, and drops everything else: free text may hold anything.
func token(s string) string {
	if len(s) > 64 {
		return ""
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '[' && c != ']' {
			return ""
		}
	}
	return s
}
