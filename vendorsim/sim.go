package vendorsim

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Defaults of Config.
const (
	DefaultSlowDelay       = 1500 * time.Millisecond
	DefaultProcessingReads = 2
	DefaultProcessingDelay = 5 * time.Second

	DefaultTwilioPriceDelay = 10 * time.Second
)

// Config says how a Sim behaves. The zero value is a well-behaved vendor on the wall clock.
type Config struct {
	// Seed fixes the order in which the deck of faults is dealt.
	Seed uint64
	// Faults is the deck; the zero value deals none.
	Faults FaultPlan
	// Script, if not nil, replaces the deck: it is asked about every request that a fault may
	// strike. It is called concurrently.
	Script func(FaultPoint) Fault

	// Now is the stand-in's clock, time.Now if nil. Object times, the Date of answers and the 24
	// hours of an idempotency key are measured by it.
	Now func() time.Time
	// After waits for Latency and SlowDelay, time.After if nil.
	After func(time.Duration) <-chan time.Time
	// SlowDelay is how long SlowAnswer holds an answer back, DefaultSlowDelay if zero.
	SlowDelay time.Duration
	// Latency is added to every vendor request before it is executed.
	Latency time.Duration

	// APIKeys, if not empty, are the only keys accepted; otherwise any key is that starts with
	// sk_test_, sk_sim_ or rk_test_. Others are refused by New.
	APIKeys []string

	// ProcessingReads and ProcessingDelay say how often a PaymentIntent in processing is read,
	// or how old it gets, before it is final; the earlier counts. Defaults apply if zero.
	ProcessingReads int
	ProcessingDelay time.Duration

	// TwilioPriceDelay is how long after its creation a message shows its price, and a call after
	// its end: DefaultTwilioPriceDelay if zero.
	TwilioPriceDelay time.Duration
	// TwilioListLag is how long a new message or call is missing from Twilio's lists.
	TwilioListLag time.Duration

	// Logger receives warnings, and one line a request at debug level. Nil discards them.
	Logger *slog.Logger
}

// Sim is a stand-in for a vendor. It is safe for concurrent use.
type Sim struct {
	cfg     Config
	log     *slog.Logger
	journal *journal
	dealer  *dealer
	stripe  *stripe
	resend  *resend
	twilio  *twilio

	closing   chan struct{}
	closeOnce sync.Once
}

// New returns a stand-in with no object in it. It fails with ErrLiveKey if a key looks live, with
// a *FaultPlanError if the plan is not one, and otherwise on a key or duration that makes no sense.
func New(cfg Config) (*Sim, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.fillDefaults()
	cfg.APIKeys = slices.Clone(cfg.APIKeys)
	s := &Sim{
		cfg:     cfg,
		log:     cfg.Logger,
		journal: newJournal(),
		dealer:  newDealer(cfg.Seed, cfg.Faults, cfg.Script),
		closing: make(chan struct{}),
	}
	s.stripe, s.twilio, s.resend = newStripe(s), newTwilio(s), newResend(s)
	return s, nil
}

func (c *Config) validate() error {
	for _, key := range c.APIKeys {
		if LooksLive(key) {
			return ErrLiveKey
		}
		if !isTestKey(key) {
			return fmt.Errorf("vendorsim: an API key must start with sk_test_, sk_sim_ or rk_test_")
		}
	}
	if c.SlowDelay < 0 || c.Latency < 0 || c.TwilioPriceDelay < 0 || c.TwilioListLag < 0 || c.ProcessingDelay < 0 || c.ProcessingReads < 0 {
		return fmt.Errorf("vendorsim: delays and counts must not be negative")
	}
	return c.Faults.validate()
}

func (c *Config) fillDefaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	if c.SlowDelay == 0 {
		c.SlowDelay = DefaultSlowDelay
	}
	if c.ProcessingReads == 0 {
		c.ProcessingReads = DefaultProcessingReads
	}
	if c.ProcessingDelay == 0 {
		c.ProcessingDelay = DefaultProcessingDelay
	}
	if c.TwilioPriceDelay == 0 {
		c.TwilioPriceDelay = DefaultTwilioPriceDelay
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// redirectTarget is where Redirect302 points.
const redirectTarget = "/sim/redirect-target"

// Handler serves the vendors under their own paths (/v1/… for Stripe, /2010-04-01/… and
// /v2/Services/… for Twilio, /emails… for Resend), and besides them GET
// /sim/truth and GET /healthz. Connection faults need HTTP/1.
func (s *Sim) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// No ServeMux: it redirects unclean paths, which no vendor does.
		switch {
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			s.stripe.ServeHTTP(w, r)
		case isResendPath(r.URL.Path):
			s.resend.ServeHTTP(w, r)
		case servesTwilio(r.URL.Path):
			s.twilio.ServeHTTP(w, r)
		case r.URL.Path == "/healthz" && r.Method == http.MethodGet:
			writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
		case r.URL.Path == "/sim/truth" && r.Method == http.MethodGet:
			writeJSON(w, http.StatusOK, s.Truth())
		case r.URL.Path == redirectTarget:
			s.journal.redirectsFollowed.Add(1)
			writeJSON(w, http.StatusOK, map[string]string{"status": "followed"})
		default:
			writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such path; see /v1/, /2010-04-01/, /emails, /sim/truth and /healthz"})
		}
	})
}

// Truth returns what really happened so far.
func (s *Sim) Truth() Truth {
	s.stripe.settleDue(s.cfg.Now())
	truth := s.journal.truth()
	truth.Twilio = s.twilio.tell()
	return truth
}

// Faults counts the faults that struck so far, by kind.
func (s *Sim) Faults() map[string]int { return s.journal.faultCounts() }

// NextFaults scripts the next requests to Stripe that a fault may strike, one fault each in order of
// arrival, before the deck or Config.Script are asked again. NoFault lets one through.
func (s *Sim) NextFaults(faults ...Fault) { s.dealer.enqueue(faults) }

// NextResendFaults is NextFaults for requests to Resend, whose schedule is one of its own.
func (s *Sim) NextResendFaults(faults ...Fault) { s.resend.dealer.enqueue(faults) }

// NextTwilioFaults is NextFaults for requests to Twilio, whose schedule is one of its own.
func (s *Sim) NextTwilioFaults(faults ...Fault) { s.twilio.dealer.enqueue(faults) }

// Close lets go at once of all answers that are being held back, now and from now on. It does
// not wait for them and is safe to call more than once.
func (s *Sim) Close() { s.closeOnce.Do(func() { close(s.closing) }) }

// wait holds a request back. It does not heed the client's going away: a vendor would not either.
func (s *Sim) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-s.cfg.After(d):
	case <-s.closing:
	}
}

// count notes a request's arrival, whatever becomes of it.
func (s *Sim) count(r *http.Request, key string) {
	for name := range r.Header {
		if len(name) >= 9 && strings.EqualFold(name[:9], "Tollgate-") {
			s.journal.leakedTollgate.Add(1)
			break
		}
	}
	if r.Method == http.MethodPost {
		if LooksLive(key) || looksVault(key) {
			key = "(refused)"
		}
		s.journal.sent(key)
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The only failure left is a client that has gone.
	_ = json.NewEncoder(w).Encode(body)
}
