package vaultproxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Code is what the proxy says when it does not pass a call on, or cannot tell
// what became of it. Codes are part of the interface.
type Code string

// The data plane's codes.
const (
	CapExhausted        Code = "cap_exhausted"
	CapContended        Code = "cap_contended"
	RateLimited         Code = "rate_limited"
	KeyUnknown          Code = "key_unknown"
	KeyRevoked          Code = "key_revoked"
	KeyExpired          Code = "key_expired"
	EndpointNotAllowed  Code = "endpoint_not_allowed"
	ScopeDenied         Code = vendors.ScopeDenied
	UnmeteredOperation  Code = vendors.Unmetered
	VendorUnknown       Code = "vendor_unknown"
	IdempotencyRequired Code = "idempotency_required"
	RequestAmbiguous    Code = vendors.Ambiguous
	RequestInvalid      Code = vendors.Invalid
	IdempotencyMismatch Code = "idempotency_mismatch"
	IdempotencyInFlight Code = "idempotency_in_flight"
	CurrencyUnsupported Code = vendors.CurrencyUnsupported
	AmountInvalid       Code = vendors.AmountInvalid
	OutcomeUnknown      Code = "outcome_unknown"
	VendorCredentials   Code = "vendor_credentials"
	VendorUnavailable   Code = "vendor_unavailable" // nothing that has an effect was sent: it could not be reached, or not be asked for a price
	LedgerUnavailable   Code = "ledger_unavailable"
	Overloaded          Code = "overloaded"
	WrongLedger         Code = "wrong_ledger"
)

// CodeInfo is how a code is answered.
type CodeInfo struct {
	Status int
	Retry  bool // the same call, with the same idempotency key, may succeed later
}

// Codes returns the whole table, for those who map it on to errors of their own.
func Codes() map[Code]CodeInfo {
	return map[Code]CodeInfo{
		CapExhausted:        {http.StatusTooManyRequests, false},
		CapContended:        {http.StatusTooManyRequests, true},
		RateLimited:         {http.StatusTooManyRequests, true},
		KeyUnknown:          {http.StatusUnauthorized, false},
		KeyRevoked:          {http.StatusUnauthorized, false},
		KeyExpired:          {http.StatusUnauthorized, false},
		EndpointNotAllowed:  {http.StatusForbidden, false},
		ScopeDenied:         {http.StatusForbidden, false},
		UnmeteredOperation:  {http.StatusForbidden, false},
		VendorUnknown:       {http.StatusNotFound, false},
		IdempotencyRequired: {http.StatusBadRequest, false},
		RequestAmbiguous:    {http.StatusBadRequest, false},
		RequestInvalid:      {http.StatusBadRequest, false},
		IdempotencyMismatch: {http.StatusConflict, false},
		IdempotencyInFlight: {http.StatusConflict, true},
		CurrencyUnsupported: {http.StatusUnprocessableEntity, false},
		AmountInvalid:       {http.StatusUnprocessableEntity, false},
		OutcomeUnknown:      {http.StatusBadGateway, true},
		VendorCredentials:   {http.StatusBadGateway, false},
		VendorUnavailable:   {http.StatusServiceUnavailable, true},
		LedgerUnavailable:   {http.StatusServiceUnavailable, true},
		Overloaded:          {http.StatusServiceUnavailable, true},
		WrongLedger:         {http.StatusServiceUnavailable, true},
	}
}

// denial is a call that the proxy answers itself.
type denial struct {
	code       Code
	message    string
	param      string
	retryAfter time.Duration
	budget     *ledger.Denial // of a cap
}

func deny(code Code, message string) *denial { return &denial{code: code, message: message} }

func (d *denial) Error() string { return string(d.code) + ": " + d.message }

// reply builds the answer: our own fields at the top, and an error object as
// vendors' SDKs decode it.
func (d *denial) reply() reply {
	info := Codes()[d.code]
	inner := map[string]any{"type": errorType(info.Status), "code": d.code, "message": d.message}
	if d.param != "" {
		inner["param"] = d.param
	}
	body := map[string]any{"code": d.code, "message": d.message, "error": inner}
	if b := d.budget; b != nil {
		body["budget"] = b.Kind
		body["price_usd"] = b.Price
		body["cap_usd"] = b.Budget.Cap
		body["settled_usd"] = b.Budget.Settled
		body["reserved_usd"] = b.Budget.InFlight + b.Budget.Committed
		body["unknown_usd"] = b.Budget.Unknown
		if !b.ResetsAt.IsZero() {
			body["resets_at"] = b.ResetsAt.UTC().Format(time.RFC3339)
		}
	}
	r := jsonReply(info.Status, body)
	r.header["Tollgate-Denied"] = string(d.code)
	if !info.Retry {
		r.header["Stripe-Should-Retry"] = "false"
	} else if d.retryAfter > 0 {
		r.header["Retry-After"] = strconv.Itoa(int((d.retryAfter + time.Second - 1) / time.Second))
	}
	return r
}

func errorType(status int) string {
	switch {
	case status == http.StatusConflict:
		return "idempotency_error"
	case status >= 500:
		return "api_error"
	default:
		return "invalid_request_error"
	}
}
