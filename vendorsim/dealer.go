package vendorsim

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// maxFaultsPerKey keeps the deck from striking one request for ever: past it the key is spared,
// so that every client that retries ends with an answer.
const maxFaultsPerKey = 2

// card is a fault together with where it came from, so that one that could not strike goes back.
type card struct {
	fault  Fault
	queued bool
	dealt  bool
}

// dealer decides which fault strikes which request: scripted ones first, then the deck.
type dealer struct {
	script func(FaultPoint) Fault

	mu       sync.Mutex
	rng      *rand.Rand
	block    []Fault
	deck     []Fault
	returned []Fault
	queue    []Fault
}

func newDealer(seed uint64, plan FaultPlan, script func(FaultPoint) Fault) *dealer {
	d := &dealer{script: script, rng: rand.New(rand.NewPCG(seed, 0x746f6c6c67617465))}
	kinds := make([]Fault, 0, len(plan.Cards))
	for kind := range plan.Cards {
		kinds = append(kinds, kind)
	}
	// A map's order would make two decks of one seed differ.
	slices.Sort(kinds)
	for _, kind := range kinds {
		for range plan.Cards[kind] {
			d.block = append(d.block, kind)
		}
	}
	if len(d.block) > 0 {
		d.block = append(d.block, make([]Fault, plan.Block-len(d.block))...)
	}
	return d
}

// enqueue scripts the faults of the next requests, one each.
func (d *dealer) enqueue(faults []Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, faults...)
}

// draw decides for one request. A key that has had its share draws nothing from the deck, and
// its card stays there for the next request; scripted faults strike whatever happened before.
func (d *dealer) draw(point FaultPoint) card {
	d.mu.Lock()
	if len(d.queue) > 0 {
		fault := d.queue[0]
		d.queue = d.queue[1:]
		d.mu.Unlock()
		return card{fault: fault, queued: true}
	}
	if d.script != nil {
		d.mu.Unlock()
		return card{fault: d.script(point)}
	}
	defer d.mu.Unlock()
	if len(d.block) == 0 || point.Faults >= maxFaultsPerKey {
		return card{}
	}
	if n := len(d.returned); n > 0 {
		fault := d.returned[n-1]
		d.returned = d.returned[:n-1]
		return card{fault: fault, dealt: true}
	}
	if len(d.deck) == 0 {
		d.deck = slices.Clone(d.block)
		d.rng.Shuffle(len(d.deck), func(i, j int) { d.deck[i], d.deck[j] = d.deck[j], d.deck[i] })
	}
	fault := d.deck[0]
	d.deck = d.deck[1:]
	return card{fault: fault, dealt: true}
}

// giveBack returns a card that could not strike; the next request gets it.
func (d *dealer) giveBack(c card) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case c.queued:
		d.queue = slices.Insert(d.queue, 0, c.fault)
	case c.dealt:
		d.returned = append(d.returned, c.fault)
	}
}
