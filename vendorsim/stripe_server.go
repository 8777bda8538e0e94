package vendorsim

import (
	"crypto/sha256"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// stripeVersion is the one API version that is modelled.
const stripeVersion = "2023-10-16"

const (
	maxStripeBody     = 1 << 20
	maxIdempotencyKey = 255 // docs.stripe.com/api/idempotent_requests
)

// stripe serves Stripe's paths.
type stripe struct {
	sim        *Sim
	operations map[string]operation
	currencies map[string]int64
	methods    map[string]methodBehaviour
	keys       *keyTable
	ids        *idMint
	store      *stripeStore
}

func newStripe(sim *Sim) *stripe {
	return &stripe{
		sim:        sim,
		operations: stripeOperations(),
		currencies: stripeCurrencies(),
		methods:    stripeTestMethods(),
		keys:       newKeyTable(),
		// The clock goes into the ids so that a stand-in that is started again does not give
		// new objects the ids of old ones, which clients may have kept.
		ids:   &idMint{salt: scramble(sim.cfg.Seed) ^ scramble(uint64(sim.cfg.Now().UnixNano()))},
		store: newStripeStore(),
	}
}

// call is one request on its way through.
type call struct {
	operation string
	path      string
	id        string // of the object in the path
	key       string // idempotency key
	apiKey    string
	requestID string
	now       time.Time
	form      url.Values
	params    params
}

// operation is one endpoint. Prepare checks a call without changing anything; what it refuses is
// not stored under the idempotency key. The plan that it returns executes.
type operation struct {
	params  paramSpec
	money   bool // faults strike
	prepare func(*stripe, *call) (plan, *stripeError)
}

type plan func() outcome

func (s *stripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{
		path: r.URL.EscapedPath(), key: strings.TrimSpace(r.Header.Get("Idempotency-Key")),
		requestID: s.ids.id("req_"), now: s.sim.cfg.Now(),
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxStripeBody))
	if err != nil {
		body = nil
	}
	s.sim.count(r, c.key)
	h := w.Header()
	// By the same clock as the objects: clients measure the vendor's clock by it.
	h.Set("Date", c.now.UTC().Format(http.TimeFormat))
	h.Set("Request-Id", c.requestID)
	h.Set("Stripe-Version", stripeVersion)
	refusal := s.admit(r, c, string(body))
	if refusal == nil && err != nil {
		refusal = invalid("", "", "the request body could not be read or is larger than %d bytes", maxStripeBody)
	}
	var op operation
	if refusal == nil {
		op, refusal = s.route(r, c)
	}
	if refusal == nil {
		refusal = c.read(r, string(body), op.params)
	}
	if refusal != nil {
		s.refuse(w, c, refusal)
		return
	}
	if r.Method == http.MethodPost {
		if c.key != "" {
			h.Set("Idempotency-Key", c.key)
		}
		s.servePost(w, c, op)
		return
	}
	s.travel(c)
	run, refusal := op.prepare(s, c)
	if refusal != nil {
		s.refuse(w, c, refusal)
		return
	}
	s.answer(w, c, run().render(c.requestID), whole, NoFault)
}

// travel lets the configured latency pass and brings the clock of the call, and whatever is due
// by it, up to date.
func (s *stripe) travel(c *call) {
	s.sim.wait(s.sim.cfg.Latency)
	c.now = s.sim.cfg.Now()
	s.settleDue(c.now)
}

// admit refuses callers: first those who show a secret that must not be here, then those
// without a test key, then those of another API version.
func (s *stripe) admit(r *http.Request, c *call, body string) *stripeError {
	if shown(r, body, LooksLive) {
		s.sim.journal.refusedLiveKeys.Add(1)
		s.sim.log.Error("a live Stripe key was shown to the stand-in: roll that key, it has left its vault", "request_id", c.requestID)
		return unauthorized("live_key_refused", "this is a stand-in for tests and takes no live keys; roll the one that was sent, it has left its vault")
	}
	if shown(r, body, looksVault) {
		s.sim.journal.leakedVaultKeys.Add(1)
		s.sim.log.Error("a vault key reached the vendor: the proxy passed it on", "request_id", c.requestID)
		return unauthorized("vault_key_leaked", "a vault key reached the vendor; the proxy should have replaced it")
	}
	c.apiKey = apiKey(r.Header.Get("Authorization"))
	switch {
	case c.apiKey == "":
		return unauthorized("", "no API key was given; send it as a Bearer token or as the user of Basic authentication")
	case len(s.sim.cfg.APIKeys) > 0 && !slices.Contains(s.sim.cfg.APIKeys, c.apiKey), !isTestKey(c.apiKey):
		return unauthorized("", "invalid API key")
	}
	if version := r.Header.Get("Stripe-Version"); version != "" && version != stripeVersion {
		return invalid("", "", "invalid or unsupported Stripe API version; this stand-in speaks %s", stripeVersion)
	}
	if r.Header.Get("Stripe-Account") != "" {
		return notModelled("", "connected accounts (Stripe-Account)")
	}
	if utf8.RuneCountInString(c.key) > maxIdempotencyKey {
		e := invalid("", "", "an idempotency key has at most %d characters", maxIdempotencyKey)
		e.details.Type = "idempotency_error"
		return e
	}
	return nil
}

// route finds the operation by method and path template.
func (s *stripe) route(r *http.Request, c *call) (operation, *stripeError) {
	segments := strings.Split(strings.TrimPrefix(c.path, "/"), "/")
	if len(segments) >= 3 && isWord(segments[2]) {
		c.id = segments[2]
		segments[2] = "{id}"
	}
	c.operation = r.Method + " /" + strings.Join(segments, "/")
	op, ok := s.operations[c.operation]
	if ok {
		return op, nil
	}
	if c.operation == "POST /v1/payment_intents/{id}" || c.operation == "POST /v1/charges/{id}" ||
		c.operation == "POST /v1/refunds/{id}" || c.operation == "POST /v1/customers/{id}" {
		e := notModelled("", "updates of objects")
		e.status = http.StatusNotFound
		return op, e
	}
	return op, unrecognizedURL(r.Method, c.path)
}

// read parses the parameters: the form of a POST, the query of a GET.
func (c *call) read(r *http.Request, body string, spec paramSpec) *stripeError {
	source := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if source != "" {
			return invalid("", "", "the parameters of a POST belong into its body, not into the URL")
		}
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if body != "" && (err != nil || media != "application/x-www-form-urlencoded") {
			return invalid("", "", "invalid request: the content type of a POST must be application/x-www-form-urlencoded")
		}
		source = body
	}
	form, err := url.ParseQuery(source)
	if err != nil || !utf8.ValidString(source) {
		return invalid("", "", "invalid request: the parameters are not properly form-encoded")
	}
	var refusal *stripeError
	c.form = form
	c.params, refusal = readParams(form, spec)
	return refusal
}

// fingerprint identifies what a key was used for: method, path template, path and parameters in
// any order.
func (c *call) fingerprint() [sha256.Size]byte {
	return sha256.Sum256([]byte(c.operation + "\n" + c.path + "\n" + c.form.Encode()))
}

func (s *stripe) refuse(w http.ResponseWriter, c *call, e *stripeError) {
	s.sim.journal.refusals.Add(1)
	s.answer(w, c, e.outcome().render(c.requestID), whole, NoFault)
}

func (s *stripe) answer(w http.ResponseWriter, c *call, a answer, how manner, fault Fault) {
	// Not the path: what a refused caller put there may be a secret.
	s.sim.log.Debug("stripe", "operation", c.operation, "status", a.status,
		"fault", string(fault), "request_id", c.requestID)
	deliver(w, a, how)
}
