package vendorsim

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// twilio serves Twilio's paths: messages and calls of /2010-04-01, and
// verifications of Verify's /v2, which has a host of its own at Twilio.
type twilio struct {
	sim    *Sim
	dealer *dealer
	ids    *idMint

	mu      sync.Mutex
	objects []*twilioObject // in order of creation
	bySID   map[string]*twilioObject
	truth   twilioCounts
}

type twilioCounts struct {
	posts, refusals int
	faults          map[Fault]int
}

func newTwilio(sim *Sim) *twilio {
	return &twilio{
		sim:    sim,
		dealer: newDealer(scramble(sim.cfg.Seed^0x7477696c696f), sim.cfg.Faults, sim.cfg.Script),
		ids:    &idMint{salt: scramble(sim.cfg.Seed+1) ^ scramble(uint64(sim.cfg.Now().UnixNano()))},
		bySID:  map[string]*twilioObject{},
		truth:  twilioCounts{faults: map[Fault]int{}},
	}
}

// twilioError is an error answer (twilio.com/docs/usage/twilios-response).
type twilioError struct {
	status, code int
	message      string
}

func twilioInvalid(code int, format string, args ...any) *twilioError {
	return &twilioError{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

func (e *twilioError) answer() answer {
	return twilioAnswer(e.status, map[string]any{
		"code": e.code, "message": e.message, "status": e.status,
		"more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", e.code),
	})
}

func twilioAnswer(status int, view any) answer {
	body, err := json.Marshal(view)
	if err != nil {
		panic(fmt.Sprintf("vendorsim: a view cannot be encoded: %v", err)) // views are made of strings and numbers
	}
	return answer{status: status, body: body}
}

// servesTwilio reports whether a path is one of Twilio's.
func servesTwilio(path string) bool {
	return strings.HasPrefix(path, "/2010-04-01/") || strings.HasPrefix(path, "/v2/Services/")
}

func (t *twilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxStripeBody))
	t.count(r)
	w.Header().Set("Date", t.sim.cfg.Now().UTC().Format(http.TimeFormat))
	account, refusal := t.admit(r, string(body))
	if refusal == nil && err != nil {
		refusal = twilioInvalid(20001, "the request body could not be read")
	}
	if refusal != nil {
		t.refuse(w, refusal)
		return
	}
	t.sim.wait(t.sim.cfg.Latency)
	if r.Method == http.MethodPost {
		t.post(w, r, account, string(body))
		return
	}
	view, refusal := t.read(r, account)
	if refusal != nil {
		t.refuse(w, refusal)
		return
	}
	deliver(w, twilioAnswer(http.StatusOK, view), whole)
}

func (t *twilio) count(r *http.Request) {
	for name := range r.Header {
		if hasPrefixFold(name, "Tollgate-") || strings.EqualFold(name, "Idempotency-Key") {
			t.sim.journal.leakedTollgate.Add(1)
			break
		}
	}
	if r.Method == http.MethodPost {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.truth.posts++
	}
}

func (t *twilio) refuse(w http.ResponseWriter, e *twilioError) {
	t.mu.Lock()
	t.truth.refusals++
	t.mu.Unlock()
	deliver(w, e.answer(), whole)
}

// admit refuses callers who show a secret that must not be here, and those
// without a test account. It returns the account that the request is for.
func (t *twilio) admit(r *http.Request, body string) (account string, refusal *twilioError) {
	unauthorized := &twilioError{http.StatusUnauthorized, 20003, "Authenticate"}
	user, password, _ := r.BasicAuth()
	if LooksLiveTwilio(r.URL.Path) || LooksLiveTwilio(user) || looksLiveToken(password) || LooksLive(body) {
		t.sim.journal.refusedLiveKeys.Add(1)
		t.sim.log.Error("live Twilio credentials were shown to the stand-in: change them, they have left their vault")
		return "", unauthorized
	}
	if shown(r, body, looksVault) {
		t.sim.journal.leakedVaultKeys.Add(1)
		t.sim.log.Error("a vault key reached the vendor: the proxy passed it on")
		return "", unauthorized
	}
	if !strings.HasPrefix(password, "test_") || (!isTwilioSID(user, "AC") && !isTwilioSID(user, "SK")) {
		return "", unauthorized
	}
	account = user
	if rest, ok := strings.CutPrefix(r.URL.Path, "/2010-04-01/Accounts/"); ok {
		account, _, _ = strings.Cut(rest, "/")
	}
	if !isTwilioSID(account, "AC") || (strings.HasPrefix(user, "AC") && user != account) || strings.Trim(account[2:], "0") == "" {
		return "", &twilioError{http.StatusNotFound, 20404, "the requested resource was not found"}
	}
	return account, nil
}

// post executes a create as often as it is asked to, and lets a fault come between.
func (t *twilio) post(w http.ResponseWriter, r *http.Request, account, body string) {
	make, operation, refusal := t.prepare(r, account, body)
	if refusal != nil {
		t.refuse(w, refusal)
		return
	}
	drawn := t.dealer.draw(FaultPoint{Operation: operation, Path: r.URL.Path, Attempt: 1})
	if drawn.fault != NoFault {
		t.sim.journal.struck(drawn.fault)
		t.mu.Lock()
		t.truth.faults[drawn.fault]++
		t.mu.Unlock()
	}
	failed := &twilioError{http.StatusInternalServerError, 20500, "an internal server error has occurred"}
	switch drawn.fault {
	case ClosedAfterRead:
		deliver(w, answer{}, severed)
		return
	case ConnectionReset:
		deliver(w, answer{}, resetting)
		return
	case RateLimited429:
		w.Header().Set("Retry-After", "1")
		deliver(w, (&twilioError{http.StatusTooManyRequests, 20429, "too many requests"}).answer(), whole)
		return
	case Error503:
		failed.status, failed.code = http.StatusServiceUnavailable, 20503
		deliver(w, failed.answer(), whole)
		return
	case Error500BeforeCharge:
		deliver(w, failed.answer(), whole)
		return
	case Redirect302:
		deliver(w, redirected().render(""), whole)
		return
	}
	made := twilioAnswer(http.StatusCreated, make())
	switch drawn.fault {
	case AnswerLost:
		deliver(w, made, severed)
	case TruncatedAnswer:
		deliver(w, made, halved)
	case Error500AfterCharge:
		deliver(w, failed.answer(), whole)
	case SlowAnswer:
		t.sim.wait(t.sim.cfg.SlowDelay)
		deliver(w, made, whole)
	default:
		deliver(w, made, whole)
	}
}

// prepare checks a create without changing anything, and returns what executes it.
func (t *twilio) prepare(r *http.Request, account, body string) (run func() any, operation string, refusal *twilioError) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	form, formErr := url.ParseQuery(body)
	if err != nil || media != "application/x-www-form-urlencoded" || formErr != nil || r.URL.RawQuery != "" {
		return nil, "", twilioInvalid(20001, "the parameters of a POST must be a form in its body")
	}
	segments := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	o := &twilioObject{
		account: account, to: form.Get("To"), from: form.Get("From"), body: form.Get("Body"), media: len(form["MediaUrl"]),
		service: form.Get("MessagingServiceSid"), created: t.sim.cfg.Now(),
	}
	switch {
	case len(segments) == 4 && segments[3] == "Messages.json":
		o.kind, operation = "SM", "POST /2010-04-01/Accounts/{AccountSid}/Messages.json"
		if o.media > 0 {
			o.kind = "MM"
		}
		if o.from == "" && o.service == "" {
			return nil, "", twilioInvalid(21603, "a From or a MessagingServiceSid is required")
		}
		if o.body == "" && o.media == 0 {
			return nil, "", twilioInvalid(21602, "a Body or a MediaUrl is required")
		}
		if len([]rune(o.body)) > 1600 {
			return nil, "", twilioInvalid(21617, "the Body is longer than 1600 characters")
		}
	case len(segments) == 4 && segments[3] == "Calls.json":
		o.kind, operation = "CA", "POST /2010-04-01/Accounts/{AccountSid}/Calls.json"
		if form.Get("Url") == "" && form.Get("Twiml") == "" {
			return nil, "", twilioInvalid(21205, "a Url or a Twiml is required")
		}
	case len(segments) == 4 && segments[0] == "v2" && segments[3] == "Verifications":
		o.kind, o.service, operation = "VE", segments[2], "POST /v2/Services/{ServiceSid}/Verifications"
	default:
		return nil, "", &twilioError{http.StatusNotFound, 20404, "the requested resource was not found"}
	}
	if !strings.HasPrefix(o.to, "+") {
		return nil, "", twilioInvalid(21211, "the To number is not a valid phone number")
	}
	if strings.HasSuffix(o.to, "0001") {
		return nil, "", twilioInvalid(21610, "the recipient has unsubscribed")
	}
	return func() any { return t.create(o) }, operation, nil
}

// twilioDate is how Twilio writes a time, RFC 2822.
func twilioDate(at time.Time) string { return at.UTC().Format(time.RFC1123Z) }
