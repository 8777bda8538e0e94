package ledgertest

import (
	"slices"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// model is the ledger as plain lists, with no budgets kept: every amount is
// summed up anew from the calls when it is asked for.
type model struct {
	keys    map[string]*modelKey // by issue identity, the newest generation
	runs    map[string]*modelRun
	calls   []*modelCall
	overrun map[account]money.USD
	// tenants are the caps that a person set, by tenant and span. Every run of
	// the model belongs to one of them.
	tenants map[string]map[string]money.USD
	// lowered notes accounts whose cap a person lowered below what was in use.
	lowered map[account]bool
}

type modelRun struct {
	cap    money.USD
	closed bool
}

type modelKey struct {
	spec       ledger.KeySpec
	id         string
	generation int
	expires    time.Time
	revoked    bool
}

type modelCall struct {
	id, keyID, issue, run string
	tenant                string
	digest                [32]byte
	state                 ledger.State
	hold, amount          money.USD
	object, target, day   string
	sends, unproven       int
	resend                int
	answered              bool
	retriable             bool // every send so far was refused or proved to be nothing
	claimedUntil          time.Time
}

// account is what a budget is kept for.
type account struct{ scope, owner, window string }

func newModel() *model {
	return &model{keys: map[string]*modelKey{}, runs: map[string]*modelRun{}, overrun: map[account]money.USD{},
		tenants: map[string]map[string]money.USD{}, lowered: map[account]bool{},
	}
}

func (m *model) call(id string) *modelCall {
	i := slices.IndexFunc(m.calls, func(c *modelCall) bool { return c.id == id })
	if i < 0 {
		return nil
	}
	return m.calls[i]
}

// accounts are those that a call of an issue identity and a day draws on.
func (m *model) accounts(issue, day string) map[account]money.USD {
	s := m.keys[issue].spec
	caps := map[account]money.USD{{"run", s.Run, ledger.WindowTotal}: m.runs[s.Run].cap}
	if s.Terms.DailyCap != nil {
		caps[account{"key", issue, day}] = *s.Terms.DailyCap
	}
	if s.Terms.TotalCap != nil {
		caps[account{"key", issue, ledger.WindowTotal}] = *s.Terms.TotalCap
	}
	for span, limit := range m.tenants[s.Tenant] {
		caps[tenantAccount(s.Tenant, span, day)] = limit
	}
	return caps
}

func tenantAccount(tenant, span, day string) account {
	if span == ledger.SpanTotal {
		day = ledger.WindowTotal
	}
	return account{"tenant", tenant, day}
}

// sum adds up what the calls say of an account, but for one call.
func (m *model) sum(a account, without *modelCall) counters {
	var n counters
	for _, c := range m.calls {
		if c == without || !c.drawsOn(a) {
			continue
		}
		switch c.state {
		case ledger.Settled:
			n.settled += c.amount
		case ledger.Dispatched:
			n.inFlight += c.hold
		case ledger.Committed:
			n.committed += c.hold
		case ledger.Unknown:
			n.unknown += c.hold
		case ledger.Released:
		}
	}
	return n
}

func (c *modelCall) drawsOn(a account) bool {
	switch a.scope {
	case "run":
		return c.run == a.owner
	case "tenant":
		return c.tenant == a.owner && (a.window == ledger.WindowTotal || a.window == c.day)
	}
	return c.issue == a.owner && (a.window == ledger.WindowTotal || a.window == c.day)
}

// books reports whether the call holds or has settled its object.
func (c *modelCall) books(object string) bool {
	return object != "" && c.object == object && c.state != ledger.Released
}

// taken reports whether a call other than this one is booked on the object.
func (m *model) taken(object string, by *modelCall) bool {
	return slices.ContainsFunc(m.calls, func(c *modelCall) bool { return c != by && c.books(object) })
}

// answer is what a reservation must come to: granted if both are empty.
type answer struct {
	denial ledger.DenialReason
	err    error
	exists bool
}

// reserve says what a reservation must come to, and books it if it is granted.
// From is the call whose hold it asks for.
func (m *model) reserve(k *modelKey, r ledger.Reservation, from *modelCall, now time.Time) answer {
	old := m.call(r.CallID)
	if old != nil && !old.reopensFor(r, from) {
		return answer{exists: true}
	}
	switch {
	case k.revoked || m.runs[k.spec.Run].closed:
		return answer{denial: ledger.KeyRevoked}
	case !now.Before(k.expires):
		return answer{denial: ledger.KeyExpired}
	}
	hold := r.Price
	if from != nil {
		if from.state != ledger.Committed || from.object != r.Target || from.run != k.spec.Run {
			return answer{err: ledger.ErrBookingMoved}
		}
		hold = max(hold, from.hold)
	}
	day := now.UTC().Format(time.DateOnly)
	if reason := m.refuses(k, r.Price, hold, day, from); reason != "" {
		return answer{denial: reason}
	}
	c := old
	if c == nil {
		c = &modelCall{id: r.CallID, digest: r.Digest, run: k.spec.Run, tenant: k.spec.Tenant}
		m.calls = append(m.calls, c)
	}
	if from != nil && from != c {
		from.state, from.retriable = ledger.Released, false
	}
	c.keyID, c.issue, c.state, c.hold, c.day, c.target = k.id, k.spec.IssueID, ledger.Dispatched, hold, day, r.Target
	c.sends, c.unproven, c.retriable = c.sends+1, 1, false
	c.object = ""
	if from != nil {
		c.object = r.Target
	}
	return answer{}
}

func (c *modelCall) reopensFor(r ledger.Reservation, from *modelCall) bool {
	if !c.retriable || c.digest != r.Digest || c.answered {
		return false
	}
	return c.state == ledger.Released || (c.state == ledger.Committed && from == c)
}

// refuses works through the caps with nothing but sums.
func (m *model) refuses(k *modelKey, price, hold money.USD, day string, from *modelCall) ledger.DenialReason {
	if perCall := k.spec.Terms.PerCallCap; perCall != nil && price > *perCall {
		return ledger.CapExhausted
	}
	contended := false
	for a, limit := range m.accounts(k.spec.IssueID, day) {
		if price == 0 && (from == nil || from.drawsOn(a)) {
			continue
		}
		rest := m.sum(a, from)
		if firm := rest.settled + rest.committed + rest.unknown + hold; firm > limit {
			return ledger.CapExhausted
		} else if firm+rest.inFlight > limit {
			contended = true
		}
	}
	if contended {
		return ledger.CapContended
	}
	return ""
}

// resolve says whether an outcome moves the call, and moves it.
func (m *model) resolve(c *modelCall, r ledger.Resolution) (moved, taken bool) {
	next := *c
	refusal := r.Outcome == ledger.OutcomeRefused || r.Outcome == ledger.OutcomeNoEffect
	if r.Object != "" && !refusal {
		next.object = r.Object
	}
	next.answered = c.answered || r.Answered
	next.retriable = false
	switch {
	case c.state.Final():
		return false, false
	case r.Outcome == ledger.OutcomeSettled:
		next.state, next.unproven, next.amount = ledger.Settled, 0, r.Amount
	case r.Outcome == ledger.OutcomeCommitted:
		next.state, next.unproven, next.hold = ledger.Committed, 0, max(c.hold, r.Amount)
		next.retriable = c.state == ledger.Committed && c.retriable // its own request still had no effect
	case r.Outcome == ledger.OutcomeReleased:
		next.state, next.unproven = ledger.Released, 0
		next.retriable = next.object == "" || c.retriable // a refused taker had no effect, whatever became of its object
	case c.state == ledger.Committed:
		return false, false
	case refusal:
		m.refuse(&next, r.Outcome == ledger.OutcomeNoEffect)
		next.answered = c.answered
	default:
		next.state, next.answered = ledger.Unknown, c.answered
	}
	if next.state != ledger.Released && m.taken(next.object, c) {
		return false, true
	}
	over := max(next.amount, next.hold) - c.hold
	if over > 0 {
		for a := range m.accounts(c.issue, c.day) {
			m.overrun[a] += over
		}
	}
	next.claimedUntil = time.Time{}
	*c = next
	return true, false
}

func (m *model) refuse(next *modelCall, all bool) {
	next.unproven--
	if all {
		next.unproven, next.resend = 0, next.resend+1
	}
	switch {
	case next.unproven > 0:
		next.state = ledger.Unknown
	case next.object != "":
		next.state, next.retriable = ledger.Committed, true
	default:
		next.state, next.retriable = ledger.Released, true
	}
}

// free ends the committed hold on an object.
func (m *model) free(object string) {
	for _, c := range m.calls {
		if c.books(object) && c.state == ledger.Committed {
			m.resolve(c, ledger.Resolution{Outcome: ledger.OutcomeReleased})
		}
	}
}

// restart makes what is in flight unknown.
func (m *model) restart() {
	for _, c := range m.calls {
		if c.state == ledger.Dispatched {
			c.state, c.claimedUntil = ledger.Unknown, time.Time{}
		}
	}
}
