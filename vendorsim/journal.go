package vendorsim

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// eventKind names a movement of money, or of a promise of it.
type eventKind int

const (
	eventCharged    eventKind = iota // money taken
	eventAuthorized                  // money held at the card, to be captured
	eventPending                     // handed to the bank, outcome open
	eventSettled                     // a pending charge came through
	eventFailed                      // a pending charge did not
	eventCaptured                    // held money taken, in whole or in part
	eventReleased                    // held money given back untouched
	eventRefunded                    // taken money given back
)

// event is one entry of the journal. Opening events carry the charge, later ones refer to it.
type event struct {
	kind   eventKind
	charge string
	amount int64 // minor units of the charge's currency
	opened *ChargeTruth
}

// journal is the stand-in's memory of what really happened. It is append-only, is written at
// the moment money moves and does not consult idempotency keys or objects.
type journal struct {
	mu     sync.Mutex
	events []event
	emails []EmailTruth
	sends  map[string]int
	faults map[Fault]int

	posts, postsWithoutKey, replays       atomic.Int64
	intents, declined                     atomic.Int64
	leakedVaultKeys, leakedTollgate       atomic.Int64
	refusedLiveKeys, redirectsFollowed    atomic.Int64
	keyConflicts, keyMismatches, refusals atomic.Int64
}

func newJournal() *journal {
	return &journal{sends: map[string]int{}, faults: map[Fault]int{}}
}

func (j *journal) append(e event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// sent records a POST as it arrives, whatever becomes of it.
func (j *journal) sent(idempotencyKey string) {
	j.posts.Add(1)
	if idempotencyKey == "" {
		j.postsWithoutKey.Add(1)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sends[idempotencyKey]++
}

// struck records a fault at the moment when it strikes.
func (j *journal) struck(fault Fault) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults[fault]++
}

func (j *journal) faultCounts() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := make(map[string]int, len(j.faults))
	for kind, n := range j.faults {
		counts[string(kind)] = n
	}
	return counts
}

// snapshot returns the events and e-mails so far, which are never changed afterwards, and a copy of the sends.
func (j *journal) snapshot() ([]event, []EmailTruth, map[string]int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.events), slices.Clip(j.emails), maps.Clone(j.sends)
}
