package activities

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxRefusal bounds what is read of a refusal, in bytes.
const maxRefusal = 64 << 10

// notice is what the transport saw of one notice's call. The SDKs tell of
// refusals by their texts alone.
type notice struct {
	answer

	code   string // of the proxy, out of the body
	budget string // which budget was full, out of the body
}

// noticeObserver notes the answer of the one call that it is made for, and adds
// headers to it.
type noticeObserver struct {
	next   http.RoundTripper
	seen   *notice
	header map[string]string
}

func (o noticeObserver) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, value := range o.header {
		req.Header.Set(name, value)
	}
	// A body that can be rewound is one that the transport may send twice.
	req.GetBody = nil
	res, err := o.next.RoundTrip(req)
	if err != nil {
		return res, err
	}
	o.seen.read(res)
	if res.StatusCode < 200 || res.StatusCode > 299 {
		if err := o.seen.readRefusal(res); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// readRefusal takes from a body what decides whether to go on, and leaves the
// body as it was.
func (n *notice) readRefusal(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	closed := res.Body.Close()
	if err := errors.Join(err, closed); err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	var said struct {
		Code   any    `json:"code"` // a number in Twilio's own refusals
		Budget string `json:"budget"`
	}
	if json.Unmarshal(body, &said) == nil {
		n.code, _ = said.Code.(string)
		n.budget = said.Budget
	}
	return nil
}

// noticeError turns a failed call into a bare application error, by the same
// table as a charge's.
func noticeError(seen *notice, err error) error {
	if !seen.received {
		detail := ""
		var network *net.OpError
		if errors.As(err, &network) {
			detail = network.Error()
		}
		return rule{errorType: TypeProxyUnreachable, retry: true, text: "the vault proxy did not answer"}.applicationError(detail, 0)
	}
	if seen.status < http.StatusMultipleChoices {
		return rule{errorType: TypeProxyUnreachable, retry: true, text: "the vault proxy's answer was cut off"}.applicationError("", 0)
	}
	code := seen.denied
	if _, ours := denialRule(seen.code); code == "" && ours {
		code = seen.code
	}
	if code == "" {
		return noticeStatusRule(seen.status).applicationError("", seen.retryAfter)
	}
	r, known := denialRule(code)
	if !known {
		r = unexpected()
	}
	if r.errorType == TypeCapExhausted && strings.HasPrefix(seen.budget, "per_call") {
		r = rule{errorType: TypePerCallCapExceeded, benign: true, text: "the notice is above the cap for a single call"}
	}
	return r.applicationError(token(code), seen.retryAfter)
}

// noticeStatusRule is statusRule for vendors that say 422 to an address which they
// cannot write to (Resend's "validation_error", https://resend.com/docs/api-reference/errors).
func noticeStatusRule(status int) rule {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	return statusRule(status)
}

// noticeVerdict is what the error of a notice says.
type noticeVerdict struct {
	outcome byte
	stop    string // true of every further notice too
	again   int    // attempts in all; zero: this one was the last
	// away: the proxy or its ledger is not there, or the vendor wants a pause. It
	// will be the same for the next item, so the page waits rather than give it up.
	away bool
	// reached: the attempt may have had its effect all the same. What a later one is
	// refused for says nothing about that.
	reached bool
}

// manyAttempts is bounded by the notice's patience alone.
const manyAttempts = 1 << 30

// unknownAttempts at a notice whose outcome the vendor leaves open. Each asks the
// proxy to look it up; what is open after them is read from the ledger at the end.
const unknownAttempts = 3

// judgeNotice never concludes "no effect" from an error that does not prove it.
func judgeNotice(kind string) noticeVerdict {
	switch kind {
	case "":
		return noticeVerdict{outcome: NoticeSent}
	case TypeCapExhausted, TypeKeyRevoked, TypeKeyExpired, TypeEndpointNotAllowed, TypeVendorUnknown:
		return noticeVerdict{outcome: NoticeNotTried, stop: kind}
	case TypeKeyUnknown:
		return noticeVerdict{outcome: NoticeInDoubt, stop: kind}
	case TypeVendorCredentials:
		return noticeVerdict{outcome: NoticeFailed, stop: kind}
	case TypePerCallCapExceeded, TypeChargeDeclined, TypeInvalidRequest, TypeScopeDenied, TypeUnmeteredOperation:
		// Scope and price depend on where a notice goes: the next may pass.
		return noticeVerdict{outcome: NoticeFailed}
	case TypeOutcomeUnknown:
		return noticeVerdict{outcome: NoticeInDoubt, again: unknownAttempts, reached: true}
	case TypeIdempotencyInFlight:
		return noticeVerdict{outcome: NoticeInDoubt, again: manyAttempts, reached: true}
	case TypeProxyUnreachable:
		return noticeVerdict{outcome: NoticeInDoubt, again: manyAttempts, away: true, reached: true}
	case TypeWrongLedger, TypeLedgerUnavailable, TypeOverloaded, TypeVendorUnavailable, TypeRateLimited, TypeCapContended:
		return noticeVerdict{outcome: NoticeInDoubt, again: manyAttempts, away: true}
	}
	return noticeVerdict{outcome: NoticeInDoubt}
}
