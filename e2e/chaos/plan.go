package chaos

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Part is what gets killed.
type Part string

// The parts.
const (
	Worker   Part = "worker"
	Proxy    Part = "proxy"
	Temporal Part = "temporal"
)

// Parts lists them all.
func Parts() []Part { return []Part{Worker, Proxy, Temporal} }

// blow is one moment of a round at which parts are killed together.
type blow struct {
	share float64 // of the charges to be expected that must have been made
	parts []Part
	down  time.Duration // how long they stay down
}

const (
	// The first blow falls when the run is under way for certain, the last one early
	// enough that charges remain.
	earliest = 0.05
	latest   = 0.75
	// longestDown is more than the pauses between an activity's attempts at first.
	longestDown = 3 * time.Second
)

// plan deals the blows of a round: each part is killed once, or twice, and in every
// third round everything at once as well, as by a power cut.
func plan(seed int64, round int) []blow {
	rng := rand.New(rand.NewPCG(uint64(seed), uint64(round))) //nolint:gosec // a reproducible schedule, no secret
	at := func(parts ...Part) blow {
		return blow{
			share: earliest + rng.Float64()*(latest-earliest), parts: parts,
			down: time.Duration(rng.Int64N(int64(longestDown))),
		}
	}
	var blows []blow
	for _, part := range Parts() {
		for range 1 + rng.IntN(2) {
			blows = append(blows, at(part))
		}
	}
	if round%3 == 0 {
		blows = append(blows, at(Parts()...))
	}
	slices.SortFunc(blows, func(a, b blow) int { return cmp.Compare(a.share, b.share) })
	return blows
}
