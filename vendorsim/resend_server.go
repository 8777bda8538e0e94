package vendorsim

import (
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	maxResendBody = 40 << 20
	// maxResendKey is Resend's bound of an idempotency key, in characters
	// (resend.com/docs/dashboard/emails/idempotency-keys).
	maxResendKey = 256
	maxBatch     = 100 // resend.com/docs/api-reference/emails/send-batch-emails
)

// resend serves Resend's paths.
type resend struct {
	sim    *Sim
	dealer *dealer
	keys   *keyTable
	ids    *idMint

	mu     sync.Mutex
	emails map[string]emailView
}

func newResend(sim *Sim) *resend {
	return &resend{
		sim: sim, keys: newKeyTable(), dealer: newDealer(scramble(sim.cfg.Seed^0x726573656e64), sim.cfg.Faults, sim.cfg.Script), emails: map[string]emailView{},
		ids: &idMint{salt: scramble(sim.cfg.Seed+1) ^ scramble(uint64(sim.cfg.Now().UnixNano()))},
	}
}

// uuid returns the next ID in the form of Resend's.
func (m *idMint) uuid() string {
	n := m.next.Add(1)
	high, low := scramble(m.salt+n), scramble(m.salt^(n<<32|0x5bd1e995))
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", high>>32, high>>16&0xffff, high&0xfff, low>>48&0x3fff|0x8000, low&0xffffffffffff)
}

// isResendPath reports whether a path is one of Resend's.
func isResendPath(path string) bool { return path == "/emails" || strings.HasPrefix(path, "/emails/") }

// resendCall is one request on its way through.
type resendCall struct {
	operation string
	path      string
	key       string // idempotency key
	apiKey    string
	requestID string
	now       time.Time
	body      []byte
}

func (s *resend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &resendCall{
		path: r.URL.EscapedPath(), key: strings.TrimSpace(r.Header.Get("Idempotency-Key")),
		requestID: s.ids.uuid(), now: s.sim.cfg.Now(),
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResendBody))
	s.sim.count(r, c.key)
	w.Header().Set("Date", c.now.UTC().Format(http.TimeFormat))
	refusal := s.admit(r, c, string(body))
	if refusal == nil && err != nil {
		refusal = resendInvalid("the request body could not be read or is larger than %d bytes", maxResendBody)
	}
	if refusal != nil {
		s.refuse(w, c, refusal)
		return
	}
	c.body, c.operation = body, r.Method+" "+c.path
	switch {
	case c.operation == "POST /emails", c.operation == "POST /emails/batch":
		if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
			s.refuse(w, c, resendInvalid("the content type must be application/json"))
			return
		}
		if mode := r.Header.Get("X-Batch-Validation"); mode != "" && mode != "strict" {
			s.refuse(w, c, resendInvalid("this stand-in models strict batch validation only"))
			return
		}
		s.servePost(w, c)
	case r.Method == http.MethodGet && strings.HasPrefix(c.path, "/emails/"):
		s.get(w, c, strings.TrimPrefix(c.path, "/emails/"))
	default:
		s.refuse(w, c, &resendError{http.StatusMethodNotAllowed, "method_not_allowed", "this stand-in models POST /emails, POST /emails/batch and GET /emails/{id}"})
	}
}

// admit refuses callers who show a secret that must not be here, and those
// without a stand-in's key.
func (s *resend) admit(r *http.Request, c *resendCall, body string) *resendError {
	c.apiKey = apiKey(r.Header.Get("Authorization"))
	realKey := strings.HasPrefix(c.apiKey, "re_") && !isResendSimKey(c.apiKey)
	switch {
	case realKey, shown(r, body, LooksLive):
		s.sim.journal.refusedLiveKeys.Add(1)
		s.sim.log.Error("a live key was shown to the stand-in: roll that key, it has left its vault", "request_id", c.requestID)
		return &resendError{http.StatusForbidden, "invalid_api_key", "this is a stand-in for tests and takes no live keys; its keys start with re_sim_"}
	case shown(r, body, looksVault):
		s.sim.journal.leakedVaultKeys.Add(1)
		s.sim.log.Error("a vault key reached the vendor: the proxy passed it on", "request_id", c.requestID)
		return &resendError{http.StatusForbidden, "invalid_api_key", "a vault key reached the vendor; the proxy should have replaced it"}
	case c.apiKey == "":
		return &resendError{http.StatusUnauthorized, "missing_api_key", "no API key in the authorization header"}
	case !isResendSimKey(c.apiKey):
		return &resendError{http.StatusForbidden, "invalid_api_key", "the API key is invalid"}
	case utf8.RuneCountInString(c.key) > maxResendKey:
		return &resendError{http.StatusBadRequest, "invalid_idempotency_key", "an idempotency key has 1 to 256 characters"}
	}
	return nil
}

var resendKey = regexp.MustCompile(`(?:^|[^0-9A-Za-z_])(re_[0-9A-Za-z_]{8,})`)

// LooksLiveResend reports whether text contains what looks like a key of Resend's. They start
// with re_ and have no test mode, so that all but the stand-in's own, re_sim_…, count as live.
func LooksLiveResend(text string) bool {
	return slices.ContainsFunc(resendKey.FindAllStringSubmatch(text, -1), func(found []string) bool {
		return !strings.HasPrefix(found[1], "re_sim_")
	})
}

func isResendSimKey(key string) bool {
	rest, ok := strings.CutPrefix(key, "re_sim_")
	return ok && isWord(rest)
}

// fingerprint identifies what a key was used for.
func (c *resendCall) fingerprint() [sha256.Size]byte {
	return sha256.Sum256([]byte(c.operation + "\n" + string(c.body)))
}

func (s *resend) get(w http.ResponseWriter, c *resendCall, id string) {
	s.sim.wait(s.sim.cfg.Latency)
	s.mu.Lock()
	email, found := s.emails[id]
	s.mu.Unlock()
	if !found {
		s.refuse(w, c, &resendError{http.StatusNotFound, "not_found", "the e-mail was not found"})
		return
	}
	s.answer(w, c, outcome{status: http.StatusOK, view: email}.render(c.requestID), whole, NoFault)
}

func (s *resend) refuse(w http.ResponseWriter, c *resendCall, e *resendError) {
	s.sim.journal.refusals.Add(1)
	s.answer(w, c, e.outcome().render(c.requestID), whole, NoFault)
}

func (s *resend) answer(w http.ResponseWriter, c *resendCall, a answer, how manner, fault Fault) {
	s.sim.log.Debug("resend", "operation", c.operation, "status", a.status, "fault", string(fault), "request_id", c.requestID)
	deliver(w, a, how)
}
