package chaos

import (
	"fmt"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Result is what one round came to: one line of JSON.
type Result struct {
	Round            int          `json:"round"`
	Seed             int64        `json:"seed"`
	OK               bool         `json:"ok"`
	Kills            map[Part]int `json:"kills"` // between the first and the last charge
	Customers        int          `json:"customers"`
	Charged          int          `json:"charged"`
	Declined         int          `json:"declined"`
	CapDenied        int          `json:"cap_denied"`
	NotAttempted     int          `json:"not_attempted"`
	Unknown          int          `json:"unknown"`
	Failed           int          `json:"failed"`
	CapUSD           money.USD    `json:"cap_usd"`
	SettledUSD       money.USD    `json:"settled_usd"`        // by the ledger
	VendorChargedUSD money.USD    `json:"vendor_charged_usd"` // by the vendor's own log
	DuplicateCharges int          `json:"duplicate_charges"`
	OverspendUSD     money.USD    `json:"overspend_usd"`
	Seconds          float64      `json:"seconds"` // of the run, from its start to its end
	Problems         []string     `json:"problems,omitempty"`
}

func (r *Result) take(found demo.Result) {
	r.Customers, r.Charged, r.Declined, r.CapDenied = found.Customers, found.Charged, found.Declined, found.CapDenied
	r.NotAttempted, r.Unknown, r.Failed = found.NotAttempted, found.Unknown, found.Failed
	r.CapUSD, r.SettledUSD, r.VendorChargedUSD = found.CapUSD, found.SettledUSD, found.VendorChargedUSD
	r.DuplicateCharges, r.OverspendUSD = found.DuplicateCharges, found.OverspendUSD
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
