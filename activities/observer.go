package activities

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Header names of the proxy's answers and of our requests.
const (
	headerDenied     = "Tollgate-Denied"
	headerReplayed   = "Tollgate-Replayed"
	headerItem       = "Tollgate-Item"
	headerWorkflowID = "Tollgate-Workflow-Id"
)

// answer is what the transport saw of one call. The SDK drops status and headers
// when a body is not what it expects, and those decide whether to try again.
type answer struct {
	received   bool
	status     int
	denied     string // the proxy's code, if it refused
	replayed   bool
	retryAfter time.Duration
}

type answerKey struct{}

// observe returns a context whose calls record their answer in the result.
func observe(ctx context.Context) (context.Context, *answer) {
	seen := &answer{}
	return context.WithValue(ctx, answerKey{}, seen), seen
}

// observer notes each answer in the answer of its request's context.
type observer struct {
	next http.RoundTripper
}

func (o observer) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := o.next.RoundTrip(req)
	seen, ok := req.Context().Value(answerKey{}).(*answer)
	if err != nil || !ok {
		return res, err
	}
	seen.read(res)
	return res, nil
}

func (a *answer) read(res *http.Response) {
	a.received = true
	a.status = res.StatusCode
	a.denied = res.Header.Get(headerDenied)
	a.replayed = res.Header.Get(headerReplayed) == "true"
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.retryAfter = min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
}

// maxRetryAfter: a charge has a few minutes in all; an answer that asks for an
// hour's pause would use them up in one wait.
const maxRetryAfter = time.Minute
