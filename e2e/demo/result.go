package demo

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
	"github.com/tollgate/tollgate/workflows"
)

// Result is what the run came to: the last line that the demo prints.
type Result struct {
	Customers        int            `json:"customers"`
	Charged          int            `json:"charged"`
	Declined         int            `json:"declined"`
	CapDenied        int            `json:"cap_denied"`
	NotAttempted     int            `json:"not_attempted"`
	Unknown          int            `json:"unknown"`
	Failed           int            `json:"failed"`
	CapUSD           money.USD      `json:"cap_usd"`
	SettledUSD       money.USD      `json:"settled_usd"`        // by the ledger
	VendorChargedUSD money.USD      `json:"vendor_charged_usd"` // by the vendor's own log
	VendorCharges    int            `json:"vendor_charges"`
	DuplicateCharges int            `json:"duplicate_charges"` // charges of a customer beyond the first
	OverspendUSD     money.USD      `json:"overspend_usd"`     // what the vendor took above the cap
	Replays          int            `json:"replays"`           // answered from the ledger, nothing sent
	Faults           map[string]int `json:"faults"`            // by kind, as the vendor counted them
	Emails           *Notices       `json:"emails,omitempty"`
	Texts            *Notices       `json:"texts,omitempty"`
	Seconds          float64        `json:"seconds"` // of the run, from its start to its summary

	WorkerPeakBytes int64     `json:"worker_peak_bytes"` // most memory that the worker had resident; 0 where the system does not tell
	Histories       Histories `json:"histories"`         // of the run and its batches
}

// outcome builds the result from the three who know: the workflow's summary,
// the ledger's report and calls, and the vendor's own log.
func outcome(s workflows.Summary, budget money.USD, r client.RunReport, truth vendorsim.Truth) Result {
	out := Result{
		Customers: s.Customers, Charged: s.Charged, Declined: s.Declined, CapDenied: s.CapDenied,
		NotAttempted: s.NotAttempted, Unknown: s.Unknown, Failed: s.Failed, CapUSD: budget,
		SettledUSD: r.Budget.SettledUSD, VendorChargedUSD: money.USD(truth.SucceededTotalMicroUSD),
		VendorCharges: truth.Charges, Replays: r.Replays, Faults: truth.Faults,
	}
	for _, n := range truth.PerCustomer {
		out.DuplicateCharges += max(0, n-1)
	}
	out.OverspendUSD = max(0, out.VendorChargedUSD-out.CapUSD)
	return out
}

// problems lists everything that must not be.
func problems(out Result, s workflows.Summary, r client.RunReport, calls []client.Call, truth vendorsim.Truth) []string {
	var found []string
	bad := func(is bool, format string, args ...any) {
		if is {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	bad(s.CapUSD != out.CapUSD, "the run's summary says that its cap is %s USD, and it was started with %s", s.CapUSD, out.CapUSD)
	bad(out.DuplicateCharges > 0, "%d duplicate charges", out.DuplicateCharges)
	bad(out.OverspendUSD > 0, "%s USD above the cap", out.OverspendUSD)
	bad(out.Unknown > 0 || r.Calls.Unknown > 0, "%d charges left unknown by the run, %d by the ledger", out.Unknown, r.Calls.Unknown)
	bad(r.Calls.InFlight+r.Calls.Committed > 0, "%d calls are not final", r.Calls.InFlight+r.Calls.Committed)
	sum := out.Charged + out.Declined + out.CapDenied + out.NotAttempted + out.Unknown + out.Failed
	bad(sum != out.Customers, "the outcomes add up to %d, not to %d customers", sum, out.Customers)
	bad(out.SettledUSD != out.VendorChargedUSD, "the ledger settled %s USD, the vendor charged %s USD", out.SettledUSD, out.VendorChargedUSD)
	bad(s.SettledUSD != out.SettledUSD, "the run's summary says %s USD settled, the ledger %s", s.SettledUSD, out.SettledUSD)
	bad(out.Charged != out.VendorCharges, "the run counts %d charged, the vendor %d", out.Charged, out.VendorCharges)
	found = append(found, differences(calls, truth)...)
	bad(truth.LeakedVaultKeys > 0, "%d vault keys reached the vendor", truth.LeakedVaultKeys)
	bad(truth.LeakedTollgateHeaders > 0, "%d of our headers reached the vendor", truth.LeakedTollgateHeaders)
	bad(truth.PostsWithoutKey > 0, "%d writes without an idempotency key reached the vendor", truth.PostsWithoutKey)
	bad(out.Histories.Longest.Events >= maxHistoryEvents, "the history of %s has %d events", out.Histories.Longest.WorkflowID, out.Histories.Longest.Events)
	return found
}

// missing names what never happened. A demo in which some fault or outcome never
// happened shows nothing, and fails too.
func missing(out Result) []string {
	var found []string
	for _, o := range []struct {
		name  string
		count int
	}{
		{"charged", out.Charged}, {"declined", out.Declined}, {"cap_denied", out.CapDenied},
		{"not_attempted", out.NotAttempted}, {"failed", out.Failed}, {"replays", out.Replays},
	} {
		if o.count == 0 {
			found = append(found, "no customer ended as "+o.name+": this run proves nothing about it (use more customers, or a budget that covers most of them but not all)")
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(vendorsim.DefaultFaults().Cards)) {
		if out.Faults[string(kind)] == 0 {
			found = append(found, "the fault "+string(kind)+" never happened: this run proves nothing about it (use more customers)")
		}
	}
	return found
}

// differences compares ledger and vendor object by object.
func differences(calls []client.Call, truth vendorsim.Truth) []string {
	booked := map[string]money.USD{}
	for _, c := range calls {
		if c.State == "settled" && c.SettledUSD > 0 {
			booked[c.ObjectID] = c.SettledUSD
		}
	}
	var found []string
	for _, c := range truth.Charged {
		taken := money.USD(c.CapturedAmount) * money.Cent
		if taken > 0 && booked[c.PaymentIntent] != taken {
			found = append(found, fmt.Sprintf("the vendor took %s USD by %s, the ledger has %s", taken, c.PaymentIntent, booked[c.PaymentIntent]))
		}
		delete(booked, c.PaymentIntent)
	}
	for _, id := range slices.Sorted(maps.Keys(booked)) {
		found = append(found, fmt.Sprintf("the ledger settled %s USD by %s, the vendor knows of no such charge", booked[id], id))
	}
	const shown = 5
	if len(found) > shown {
		found = append(found[:shown], fmt.Sprintf("and %d more differences between ledger and vendor", len(found)-shown))
	}
	return found
}
