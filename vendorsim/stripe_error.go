package vendorsim

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// stripeError is an error answer of Stripe (docs.stripe.com/api/errors).
type stripeError struct {
	status  int
	header  http.Header
	details errorView
}

// errorView is the "error" member of an error answer.
type errorView struct {
	Charge        string      `json:"charge,omitempty"`
	Code          string      `json:"code,omitempty"`
	DeclineCode   string      `json:"decline_code,omitempty"`
	Message       string      `json:"message"`
	Param         string      `json:"param,omitempty"`
	PaymentIntent *intentView `json:"payment_intent,omitempty"`
	PaymentMethod *methodView `json:"payment_method,omitempty"`
	Type          string      `json:"type"`
}

// outcome is what an operation ends with: an object or an error.
type outcome struct {
	status int
	header http.Header
	view   any
}

func (e *stripeError) outcome() outcome {
	return outcome{status: e.status, header: e.header, view: map[string]errorView{"error": e.details}}
}

// render turns an outcome into bytes that can be stored.
func (o outcome) render(requestID string) answer {
	body, err := json.Marshal(o.view)
	if err != nil {
		// Views are made of strings, numbers and maps of strings.
		panic(fmt.Sprintf("vendorsim: a view cannot be encoded: %v", err))
	}
	return answer{status: o.status, header: o.header, body: body, requestID: requestID}
}

// invalid is a 400 about one parameter; param and code may be empty.
func invalid(code, param, format string, args ...any) *stripeError {
	return &stripeError{status: http.StatusBadRequest, details: errorView{
		Type: "invalid_request_error", Code: code, Param: param, Message: fmt.Sprintf(format, args...),
	}}
}

// unauthorized is a 401.
func unauthorized(code, message string) *stripeError {
	return &stripeError{status: http.StatusUnauthorized, details: errorView{
		Type: "invalid_request_error", Code: code, Message: message,
	}}
}

// missingParam says that a required parameter is absent.
func missingParam(name string) *stripeError {
	return invalid("parameter_missing", name, "missing required parameter: %s", name)
}

// noSuch is for an id that names nothing: 404 where it was in the path, 400 in a parameter.
func noSuch(status int, object, param, id string) *stripeError {
	e := invalid("resource_missing", param, "no such %s: '%s'", object, id)
	e.status = status
	return e
}

// notModelled is the stand-in's own refusal of what Stripe would have understood.
func notModelled(param, what string) *stripeError {
	return invalid("vendorsim_not_modelled", param, "this stand-in does not model %s and will not pretend to", what)
}

func unrecognizedURL(method, path string) *stripeError {
	e := invalid("", "", "unrecognized request URL (%s: %s)", method, path)
	e.status = http.StatusNotFound
	return e
}

func idempotencyMismatch() *stripeError {
	e := invalid("", "", "this idempotency key was first used with another endpoint or other parameters; use a new key for a different request")
	e.details.Type = "idempotency_error"
	return e
}

func idempotencyInUse() *stripeError {
	e := invalid("idempotency_key_in_use", "", "another request with this idempotency key is still being executed")
	e.status = http.StatusConflict
	e.details.Type = "idempotency_error"
	return e
}

// rateLimited tells the client to come back; the SDKs obey Stripe-Should-Retry.
func rateLimited() *stripeError {
	e := invalid("rate_limit", "", "too many requests reached the API too quickly")
	e.status = http.StatusTooManyRequests
	e.header = http.Header{"Retry-After": {"1"}, "Stripe-Should-Retry": {"true"}}
	return e
}

func internalError(status int) *stripeError {
	return &stripeError{status: status, details: errorView{
		Type: "api_error", Message: "something went wrong at the vendor's end",
	}}
}

func redirected() outcome {
	return outcome{
		status: http.StatusFound, header: http.Header{"Location": {redirectTarget}},
		view: map[string]string{"location": redirectTarget},
	}
}
