package vendorsim

import (
	"crypto/sha256"
	"sync"
	"time"
)

// keyWindow is how long Stripe remembers an idempotency key at least
// (docs.stripe.com/api/idempotent_requests); the stand-in forgets it right then.
const keyWindow = 24 * time.Hour

// keyScope tells apart equal keys of different callers.
type keyScope struct{ apiKey, key string }

type keyState int

const (
	keyIdle      keyState = iota // seen, nothing stored: the next request executes
	keyExecuting                 // a request is being executed
	keyStored                    // the answer is kept
)

// keyEntry is what is known of one key. All fields are guarded by the table.
type keyEntry struct {
	scope       keyScope
	state       keyState
	fingerprint [sha256.Size]byte
	stored      answer
	since       time.Time
	attempts    int
	faults      int
}

// keyVerdict is what a request under a key is to be told.
type keyVerdict int

const (
	keyExecute keyVerdict = iota
	keyReplay
	keyMismatch
	keyInUse
)

// keyTable holds the idempotency keys. Answers are stored from the moment a request began to
// execute, refusals and failures included; what was refused before leaves the key unused.
type keyTable struct {
	mu      sync.Mutex
	entries map[keyScope]*keyEntry
	byAge   []*keyEntry
}

func newKeyTable() *keyTable { return &keyTable{entries: map[keyScope]*keyEntry{}} }

// ticket is a request's hold on its key. The zero ticket belongs to a request without a key.
type ticket struct {
	table *keyTable
	entry *keyEntry
	// attempt and faults are the entry's counts when the request began.
	attempt, faults int
}

// begin looks a key up and, where the verdict is keyExecute, takes it. The answer is that of a replay.
func (t *keyTable) begin(scope keyScope, fingerprint [sha256.Size]byte, now time.Time) (keyVerdict, ticket, answer) {
	if scope.key == "" {
		return keyExecute, ticket{attempt: 1}, answer{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetOld(now)
	entry := t.entries[scope]
	if entry == nil {
		entry = &keyEntry{scope: scope, since: now}
		t.entries[scope] = entry
		t.byAge = append(t.byAge, entry)
	}
	switch {
	case entry.state != keyIdle && entry.fingerprint != fingerprint:
		return keyMismatch, ticket{}, answer{}
	case entry.state == keyExecuting:
		return keyInUse, ticket{}, answer{}
	case entry.state == keyStored:
		return keyReplay, ticket{}, entry.stored
	}
	entry.state = keyExecuting
	entry.fingerprint = fingerprint
	entry.attempts++
	return keyExecute, ticket{table: t, entry: entry, attempt: entry.attempts, faults: entry.faults}, answer{}
}

// forgetOld drops keys past their window. One that is still executing keeps its entry through
// its ticket and is merely no longer found.
func (t *keyTable) forgetOld(now time.Time) {
	for len(t.byAge) > 0 && now.Sub(t.byAge[0].since) >= keyWindow {
		old := t.byAge[0]
		t.byAge = t.byAge[1:]
		delete(t.entries, old.scope)
	}
}

// store keeps the answer for replays and frees the key.
func (k ticket) store(a answer) {
	k.update(func(e *keyEntry) { e.state, e.stored = keyStored, a })
}

// abandon frees the key as though the request had never been.
func (k ticket) abandon() {
	k.update(func(e *keyEntry) { e.state = keyIdle })
}

// struck notes that a fault struck the key's request.
func (k ticket) struck() {
	k.update(func(e *keyEntry) { e.faults++ })
}

func (k ticket) update(change func(*keyEntry)) {
	if k.entry == nil {
		return
	}
	k.table.mu.Lock()
	defer k.table.mu.Unlock()
	change(k.entry)
}
