package vaultproxy_test

import (
	"fmt"

	"github.com/anishathalye/porcupine"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// The sequential specification of one run: what a vault proxy would do if it
// took one call after the other. A charge that goes through has two moments,
// its reservation and its settlement, in that order and both within the time
// that its caller waited; everything else has one.

// The accounts of a run: its own, and one for each of its two keys. A call draws
// on its key's and on the run's. The keys go by the same numbers.
const (
	wholeRun = iota
	firstKey
	secondKey
	runAccounts
)

// runItems is how many idempotency keys a run has. Each always stands for the
// same request, so that two that use one at a time repeat each other.
const runItems = 24

type account struct{ settled, held money.USD }

// stage is where an item stands.
type stage string

const (
	untried  stage = ""
	held     stage = "held"
	charged  stage = "charged"
	declined stage = "declined"
)

type itemState struct {
	stage  stage
	key    int    // that it was reserved under, and counts on
	object string // the vendor's, which every answer must name
}

// runState holds only what can be compared by ==, as the checker does.
type runState struct {
	accounts [runAccounts]account
	keyIDs   [runAccounts]string // empty: not issued
	revoked  [runAccounts]bool
	items    [runItems]itemState
}

// event is what an answer says to have happened at one moment.
type event string

const (
	keyIssued       event = "key issued"
	issueRefused    event = "issue refused: run_revoked"
	keyRevoked      event = "key revoked"
	reserved        event = "reserved"
	settledCharge   event = "settled"
	settledDecline  event = "declined"
	replayed        event = "replayed"
	capExhausted    event = "cap_exhausted"
	capContended    event = "cap_contended"
	chargeInFlight  event = "idempotency_in_flight"
	chargeByRevoked event = "key_revoked"
	stateRead       event = "key's state read"
	budgetsRead     event = "budgets read"
)

// moment is one event with all that its answer told of it.
type moment struct {
	run   int
	event event
	key   int
	keyID string // of keyIssued

	item   int
	price  money.USD
	stage  stage  // of replayed: the outcome that was told again
	object string // of an outcome

	on      int     // of a denial: the account that has no room
	seen    account // of a denial: as that account stood; of a revocation: what was in flight; of a read: the key's
	seenRun account // of a read
	revoked bool    // of a read: the key's state
	caps    caps    // of the run, the same in all its moments
}

// caps are those of the run and of its two keys.
type caps [runAccounts]money.USD

// after is the state that the moment leaves behind, if the specification lets
// it happen at all.
func (m moment) after(s runState) (runState, bool) {
	it := &s.items[m.item]
	fresh := it.stage == untried && !s.revoked[m.key]
	switch m.event {
	case keyIssued: // once; asked for again it is the same key
		ok := !s.revoked[m.key] && (s.keyIDs[m.key] == "" || s.keyIDs[m.key] == m.keyID)
		s.keyIDs[m.key] = m.keyID
		return s, ok
	case issueRefused:
		return s, s.revoked[m.key]
	case keyRevoked: // at any time, and again; what is in flight runs on
		s.revoked[m.key] = true
		return s, s.accounts[m.key].held == m.seen.held
	case reserved: // all caps have room for it beside all that is settled and held
		ok := fresh
		for _, n := range m.drawsOn() {
			ok = ok && s.accounts[n].settled+s.accounts[n].held+m.price <= m.caps[n]
			s.accounts[n].held += m.price
		}
		*it = itemState{stage: held, key: m.key}
		return s, ok
	case settledCharge, settledDecline: // whatever became of the key
		ok := it.stage == held && it.key == m.key
		for _, n := range m.drawsOn() {
			s.accounts[n].held -= m.price
			if m.event == settledCharge {
				s.accounts[n].settled += m.price
			}
		}
		it.stage, it.object = declined, m.object
		if m.event == settledCharge {
			it.stage = charged
		}
		return s, ok
	case replayed: // whatever became of the key and its caps
		return s, it.stage == m.stage && it.object == m.object
	case capExhausted: // nothing that is in flight could make room for it
		return s, fresh && s.accounts[m.on] == m.seen && m.exhausts(s, m.on)
	case capContended: // no room now, and none of the caps is exhausted
		a := s.accounts[m.on]
		ok := fresh && a == m.seen && a.settled+a.held+m.price > m.caps[m.on]
		for _, n := range m.drawsOn() {
			ok = ok && !m.exhausts(s, n)
		}
		return s, ok
	case chargeInFlight:
		return s, it.stage == held
	case chargeByRevoked: // never of a charge that was made, or is being made
		return s, s.revoked[m.key] && it.stage == untried
	case stateRead:
		return s, s.revoked[m.key] == m.revoked
	case budgetsRead:
		return s, s.accounts[m.key] == m.seen && s.accounts[wholeRun] == m.seenRun
	default:
		return s, false
	}
}

func (m moment) drawsOn() [2]int { return [2]int{m.key, wholeRun} }

func (m moment) exhausts(s runState, n int) bool { return s.accounts[n].settled+m.price > m.caps[n] }

func (m moment) String() string {
	switch m.event {
	case keyIssued, issueRefused, keyRevoked:
		return fmt.Sprintf("key %d: %s", m.key, m.event)
	case stateRead:
		return fmt.Sprintf("key %d: revoked is %t", m.key, m.revoked)
	case budgetsRead:
		return fmt.Sprintf("key %d has %s, run %s", m.key, m.seen, m.seenRun)
	case capExhausted, capContended:
		return fmt.Sprintf("item %d by key %d, %s: %s, account %d has %s", m.item, m.key, m.price, m.event, m.on, m.seen)
	default:
		return fmt.Sprintf("item %d by key %d, %s: %s %s", m.item, m.key, m.price, m.event, m.stage)
	}
}

func (a account) String() string { return fmt.Sprintf("%s settled, %s held", a.settled, a.held) }

func (s runState) String() string {
	return fmt.Sprintf("run: %s; key 1: %s, revoked %t; key 2: %s, revoked %t", s.accounts[wholeRun],
		s.accounts[firstKey], s.revoked[firstKey], s.accounts[secondKey], s.revoked[secondKey])
}

// runModel is the specification as the checker wants it. Runs share nothing, so
// each is checked by itself, which keeps the search small.
func runModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byRun := map[int][]porcupine.Operation{}
			for _, op := range history {
				run := op.Input.(moment).run
				byRun[run] = append(byRun[run], op)
			}
			parts := make([][]porcupine.Operation, 0, len(byRun))
			for _, part := range byRun {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return runState{} },
		Step: func(state, input, _ any) (bool, any) {
			next, ok := input.(moment).after(state.(runState))
			return ok, next
		},
		DescribeOperation: func(input, _ any) string { return input.(moment).String() },
		DescribeState:     func(state any) string { return state.(runState).String() },
	}
}
