package vendorsim

import (
	"fmt"
	"net/http"
)

// resendError is an error answer of Resend (resend.com/docs/api-reference/errors).
type resendError struct {
	status  int
	name    string
	message string
}

func (e *resendError) outcome() outcome {
	o := outcome{status: e.status, view: struct {
		StatusCode int    `json:"statusCode"`
		Name       string `json:"name"`
		Message    string `json:"message"`
	}{e.status, e.name, e.message}}
	if e.status == http.StatusTooManyRequests {
		o.header = http.Header{"Retry-After": {"1"}, "Ratelimit-Limit": {"2"}, "Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"1"}}
	}
	return o
}

// resendInvalid is a 422 about what was sent.
func resendInvalid(format string, args ...any) *resendError {
	return &resendError{http.StatusUnprocessableEntity, "validation_error", fmt.Sprintf(format, args...)}
}

func resendMissing(name string) *resendError {
	return &resendError{http.StatusUnprocessableEntity, "missing_required_field", "missing required field: " + name}
}

// resendFailure is a 5xx: the caller cannot tell whether anything was sent.
func resendFailure(status int) *resendError {
	return &resendError{status, "internal_server_error", "something went wrong at the vendor's end"}
}
