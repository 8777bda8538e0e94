package vaultproxy_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
)

// crashVendor is the stand-in in the test's own process, which outlives the
// proxy's. Some requests of some customers are treated in a way of their own;
// that is also where a proxy is killed while its request is on the way.
type crashVendor struct {
	sim     http.Handler
	late    chan struct{}  // closed when what is parked goes on
	parked  sync.WaitGroup // requests that the vendor has, and does not answer yet
	arrived chan struct{}  // one for each of them
	release sync.Once

	mu      sync.Mutex
	posts   map[string][]treatment // by customer: of its first POSTs
	lookUps map[string][]treatment // by customer: of its first look-ups
	victim  *victim
}

// treatment is what the vendor does with one request.
type treatment func(*crashVendor, http.ResponseWriter, *http.Request)

func newCrashVendor(sim http.Handler) *crashVendor {
	return &crashVendor{
		sim: sim, late: make(chan struct{}), arrived: make(chan struct{}, 100),
		posts: map[string][]treatment{}, lookUps: map[string][]treatment{},
	}
}

func (v *crashVendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // half a request is none
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	treat := v.next(r.Method, r.URL.Query(), string(body))
	if treat == nil {
		treat = executed
	}
	treat(v, w, r)
}

// next is the treatment of a request, nil for the usual one.
func (v *crashVendor) next(method string, query url.Values, body string) treatment {
	of, customer := v.lookUps, query.Get("customer")
	if method == http.MethodPost {
		form, err := url.ParseQuery(body)
		if err != nil {
			return nil
		}
		of, customer = v.posts, form.Get("customer")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	left := of[customer]
	if len(left) == 0 {
		return nil
	}
	of[customer] = left[1:]
	return left[0]
}

func (v *crashVendor) treatPosts(customer string, treatments ...treatment) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.posts[customer] = treatments
}

func (v *crashVendor) treatLookUps(customer string, treatments ...treatment) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lookUps[customer] = treatments
}

func (v *crashVendor) setVictim(now *victim) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.victim = now
}

// kill kills the proxy that is alive now.
func (v *crashVendor) kill() {
	v.mu.Lock()
	now := v.victim
	v.mu.Unlock()
	now.kill()
}

// letThrough lets everything go on that is parked, and returns when it is done.
func (v *crashVendor) letThrough() {
	v.release.Do(func() { close(v.late) })
	v.parked.Wait()
}

// park holds a request until letThrough.
func (v *crashVendor) park() {
	v.parked.Add(1)
	v.arrived <- struct{}{}
	<-v.late
}

// unseen executes a request and keeps its answer.
func (v *crashVendor) unseen(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	v.sim.ServeHTTP(answer, r)
	return answer
}

func executed(v *crashVendor, w http.ResponseWriter, r *http.Request) { v.sim.ServeHTTP(w, r) }

// requestLost: it arrived, and nothing was done.
func requestLost(*crashVendor, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// answerLost: it was done, and nothing was answered.
func answerLost(v *crashVendor, _ http.ResponseWriter, r *http.Request) {
	v.unseen(r)
	panic(http.ErrAbortHandler)
}

// queued: it stands in a queue, and is done when nobody waits for it any more.
func queued(v *crashVendor, _ http.ResponseWriter, r *http.Request) {
	defer v.parked.Done()
	v.park()
	v.unseen(r)
}

// unanswered: it was done, and its answer is on the way for too long.
func unanswered(v *crashVendor, _ http.ResponseWriter, r *http.Request) {
	defer v.parked.Done()
	v.unseen(r)
	v.park()
}

func killedUnexecuted(v *crashVendor, _ http.ResponseWriter, _ *http.Request) {
	v.kill()
	panic(http.ErrAbortHandler)
}

func killedExecuted(v *crashVendor, _ http.ResponseWriter, r *http.Request) {
	v.unseen(r)
	v.kill()
	panic(http.ErrAbortHandler)
}

func killedBeforeItIsExecuted(v *crashVendor, _ http.ResponseWriter, r *http.Request) {
	v.kill()
	v.unseen(r)
	panic(http.ErrAbortHandler)
}

func killedHalfAnswered(v *crashVendor, w http.ResponseWriter, r *http.Request) {
	answer := v.unseen(r)
	maps.Copy(w.Header(), answer.Header())
	w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	v.kill()
	panic(http.ErrAbortHandler)
}
