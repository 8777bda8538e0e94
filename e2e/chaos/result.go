package chaos

import (
	"fmt"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Result is what one round came to: one line of JSON.
type Result struct {
	Round int          `json:"round"`
	Seed  int64        `json:"seed"`
	OK    bool         `json:"ok"`
	Kills map[Part]int `json:"kills"` // between the first and the last charge

	demo.Result

	Problems []string `json:"problems,omitempty"`
}

// struck counts the kills that fell between the first and the last charge, and
// finds a round at fault in which a part was spared.
func (r *Result) struck(kills []kill, charges int) {
	r.Kills = map[Part]int{}
	for _, k := range kills {
		if k.charges > 0 && k.charges < charges {
			r.Kills[k.part]++
		}
	}
	for _, part := range Parts() {
		if r.Kills[part] == 0 {
			r.Problems = append(r.Problems, fmt.Sprintf("the %s was not killed between the first and the last charge: this round proves nothing about it", part))
		}
	}
}

// Total is the last line.
type Total struct {
	Rounds           int          `json:"rounds"`
	OK               int          `json:"ok"`
	Kills            map[Part]int `json:"kills"`
	Charged          int          `json:"charged"`
	DuplicateCharges int          `json:"duplicate_charges"`
	OverspendUSD     money.USD    `json:"overspend_usd"`
	Unknown          int          `json:"unknown"`
	LongestSeconds   float64      `json:"longest_seconds"`
}

// Add counts a round.
func (t *Total) Add(r Result) {
	t.Rounds++
	if r.OK {
		t.OK++
	}
	if t.Kills == nil {
		t.Kills = map[Part]int{}
	}
	for part, n := range r.Kills {
		t.Kills[part] += n
	}
	t.Charged += r.Charged
	t.DuplicateCharges += r.DuplicateCharges
	t.OverspendUSD += r.OverspendUSD
	t.Unknown += r.Unknown
	t.LongestSeconds = max(t.LongestSeconds, r.Seconds)
}
