package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/e2e/stack"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// startStack runs everything, and a worker, for one test.
func startStack(t *testing.T, latency time.Duration) *stack.Stack {
	t.Helper()
	cfg := demoConfig(t, 1).Stack
	cfg.Faults, cfg.Latency = "none", latency
	s, err := stack.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.StartWorker(t.Context()))
	return s
}

// writeList writes customers who are to pay so many dollars each.
func writeList(t *testing.T, dollars ...int) string {
	t.Helper()
	lines := []string{"customer,payment_method,amount_cents,currency"}
	for i, amount := range dollars {
		lines = append(lines, fmt.Sprintf("cus_%d,pm_card_visa,%d,usd", i, amount*100))
	}
	path := filepath.Join(t.TempDir(), "list.csv")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

func dollarsEach(n, dollars int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = dollars
	}
	return all
}

// told runs the starter, which must succeed.
func told(t *testing.T, s *stack.Stack, args ...string) string {
	t.Helper()
	code, said := starterExit(t.Context(), s, args...)
	require.Zero(t, code, said)
	return said
}

// awaitTold runs the starter until it says so: a status is told without the run's
// progress where that takes too long to answer.
func awaitTold(t *testing.T, s *stack.Stack, says string, args ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, said := starterExit(t.Context(), s, args...)
		return strings.Contains(said, says)
	}, 10*time.Minute, 100*time.Millisecond)
}

// refused runs the starter, which must fail with code 1 and change nothing.
func refused(t *testing.T, s *stack.Stack, says string, args ...string) {
	t.Helper()
	code, said := starterExit(t.Context(), s, args...)
	require.Equal(t, 1, code, said)
	require.Contains(t, said, says)
}

type runStatus struct {
	Status   string              `json:"status"`
	Progress *workflows.Progress `json:"progress"`
	Summary  *workflows.Summary  `json:"summary"`
}

// awaitRun polls a run until its status satisfies.
func awaitRun(t *testing.T, s *stack.Stack, id string, satisfies func(runStatus) bool) runStatus {
	t.Helper()
	deadline := time.After(10 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var found runStatus
		raw, err := s.Starter(t.Context(), "status", id, "--json").Output()
		if err == nil && json.Unmarshal(raw, &found) == nil && satisfies(found) {
			return found
		}
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(t, "the run did not come to that", string(raw))
		}
	}
}

// standStill waits until a second has passed without a charge.
func standStill(t *testing.T, s *stack.Stack) {
	t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := -1; ; {
		truth, err := s.Truth(t.Context())
		require.NoError(t, err)
		if truth.Charges == last {
			return
		}
		last = truth.Charges
		<-tick.C
	}
}

func awaitSummary(t *testing.T, s *stack.Stack, id string) workflows.Summary {
	t.Helper()
	return *awaitRun(t, s, id, func(r runStatus) bool { return r.Summary != nil }).Summary
}

func startRun(t *testing.T, s *stack.Stack, plan, list, budget string, more ...string) string {
	t.Helper()
	told(t, s, append([]string{"run", "--plan", plan, "--period", "2026-11", "--customers", list, "--budget-usd", budget}, more...)...)
	id, err := workflows.BillingWorkflowID(plan, "2026-11")
	require.NoError(t, err)
	return id
}

// ask is who intervenes in the tests, and why.
func ask(verb, id string, more ...string) []string {
	return append([]string{verb, id, "--by", "Ada Lovelace", "--reason", "checked against the contract"}, more...)
}

func TestApproval_OnARealServer(t *testing.T) {
	s := startStack(t, 0)
	amounts := append(dollarsEach(20, 5), dollarsEach(10, 100)...) // items 20 to 29 wait
	id := startRun(t, s, "pro", writeList(t, amounts...), "650", "--approve-above-usd", "50")

	waiting := awaitRun(t, s, id, func(r runStatus) bool {
		return r.Progress != nil && r.Progress.State == workflows.StateAwaiting
	})
	require.Equal(t, 20, waiting.Progress.Charged)
	require.Equal(t, 10, waiting.Progress.Awaiting.Items)
	awaitTold(t, s, "10 charges waiting: items 20-29, until ", "status", id)
	control, err := s.Control()
	require.NoError(t, err)
	keys, err := control.Keys(t.Context(), waiting.Progress.RunLabel)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, "revoked", keys[0].State, "no key is live while somebody thinks it over")

	require.Contains(t, told(t, s, ask("reject", id, "--items", "22,25-26")...), "rejected 3 charges of "+id+"; 7 charges still waiting")
	refused(t, s, "item 22 does not wait for a decision", ask("approve", id, "--items", "21-22")...)
	refused(t, s, "item 0 does not wait for a decision", ask("approve", id, "--items", "0")...)
	require.Contains(t, told(t, s, ask("approve", id)...), "approved 7 charges of "+id+"; 0 charges still waiting")

	summary := awaitSummary(t, s, id)
	require.Equal(t, 3, summary.Rejected)
	require.Equal(t, "CapExhausted", summary.StopReason, "$100 + $550 is all that the one budget holds")
	require.Equal(t, 25, summary.Charged)
	require.Equal(t, 600*money.Dollar, summary.SettledUSD)
	keys, err = control.Keys(t.Context(), summary.RunLabel)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, key := range keys {
		require.Equal(t, "revoked", key.State)
	}
	truth, err := s.Truth(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(600*money.Dollar), truth.SucceededTotalMicroUSD)
	for _, item := range []string{"cus_22", "cus_25", "cus_26"} {
		require.Zero(t, truth.PerCustomer[item], "it was rejected")
	}
	refused(t, s, "no run "+id+" goes on", ask("approve", id)...)
}

func TestApproval_TakesMoreDecisionsThanAServerTakesUpdatesOfOneRun(t *testing.T) {
	cfg := demoConfig(t, 1).Stack
	cfg.Faults, cfg.Latency = "none", 0
	cfg.TemporalArgs = []string{"--dynamic-config-value", "history.maxTotalUpdates=10"}
	s, err := stack.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.StartWorker(t.Context()))
	id := startRun(t, s, "pro", writeList(t, dollarsEach(25, 1)...), "100", "--approve", "all")
	awaitRun(t, s, id, func(r runStatus) bool { return r.Progress != nil && r.Progress.State == workflows.StateAwaiting })
	for item := range 25 {
		verb := "approve"
		if item%5 == 0 {
			verb = "reject"
		}
		told(t, s, ask(verb, id, "--items", strconv.Itoa(item))...)
	}
	summary := awaitSummary(t, s, id)
	require.Equal(t, 20, summary.Charged)
	require.Equal(t, 5, summary.Rejected)
}

func TestApproval_WithoutAPersonEndsByTheClockOrWithTheRun(t *testing.T) {
	s := startStack(t, 0)
	amounts := append(dollarsEach(10, 5), dollarsEach(5, 100)...) // items 10 to 14 wait
	list := writeList(t, amounts...)
	waits := func(r runStatus) bool { return r.Progress != nil && r.Progress.State == workflows.StateAwaiting }
	cases := map[string]struct {
		plan string
		args []string
		want workflows.Summary // its counts, and why it stopped
	}{
		"nobody decides and that means no":  {plan: "late", want: workflows.Summary{Charged: 10, Rejected: 5}},
		"nobody decides and that means yes": {plan: "yes", args: []string{"--on-approval-timeout", "approve"}, want: workflows.Summary{Charged: 15}},
		"it is revoked": {
			plan: "revoked", args: []string{"--on-approval-timeout", "approve", "--approval-timeout", "1h"},
			want: workflows.Summary{Charged: 10, NotAttempted: 5, StopReason: "KeyRevoked"},
		},
	}
	// All of them wait at the same time.
	ids := map[string]string{}
	for _, c := range cases {
		ids[c.plan] = startRun(t, s, c.plan, list, "600", append([]string{"--approve-above-usd", "50", "--approval-timeout", "10s"}, c.args...)...)
	}
	awaitRun(t, s, ids["revoked"], waits)
	told(t, s, "revoke", ids["revoked"])
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			summary := awaitSummary(t, s, ids[c.plan])
			require.Equal(t, c.want, workflows.Summary{
				Charged: summary.Charged, Rejected: summary.Rejected, NotAttempted: summary.NotAttempted, StopReason: summary.StopReason,
			})
			require.Equal(t, money.USD(50+100*(c.want.Charged-10))*money.Dollar, summary.SettledUSD)
		})
	}
}

func TestPauseAndRaise_OnARealServer(t *testing.T) {
	s := startStack(t, 200*time.Millisecond)
	control, err := s.Control()
	require.NoError(t, err)
	limit := 500 * money.Dollar
	_, err = control.SetCap(t.Context(), "tenant", "acme", client.CapChange{TotalUSDCap: &limit, By: "Ada", Reason: "yearly"})
	require.NoError(t, err)
	for width, want := range map[string]struct {
		raised  string
		charged int
		stop    string
	}{
		"1": {"90", 90, "CapExhausted"},
		// The pause interrupts the one activity, whose rest is charged after it.
		"120": {"130", 120, ""},
	} {
		t.Run(width+" charges in an activity", func(t *testing.T) {
			before, err := s.Truth(t.Context())
			require.NoError(t, err)
			id := startRun(t, s, "pro-"+width, writeList(t, dollarsEach(120, 1)...), "60", "--tenant", "acme", "--window", "4",
				"--activity-window", "4", "--charges-per-activity", width)
			// The vendor is held back from then on, or the pause might come after the budget.
			require.NoError(t, waitForCharges(t.Context(), s, before.Charges+4))
			require.NoError(t, whileHeld(s, func() error {
				told(t, s, ask("pause", id)...)
				return nil
			}))
			refused(t, s, "paused already, by Ada Lovelace: checked", ask("pause", id)...)
			awaitTold(t, s, "by Ada Lovelace: checked against the contract", "status", id)
			refused(t, s, "tenant acme may spend 500.00 USD in all", ask("raise-budget", id, "--budget-usd", "501")...)
			refused(t, s, "the budget is 60.00 USD already", ask("raise-budget", id, "--budget-usd", "60")...)
			require.Contains(t, told(t, s, ask("raise-budget", id, "--budget-usd", want.raised)...), "raised the budget of "+id+" to $"+want.raised+".00")
			standStill(t, s)
			told(t, s, ask("resume", id)...)
			refused(t, s, "not paused", ask("resume", id)...)
			summary := awaitSummary(t, s, id)
			require.Equal(t, want.charged, summary.Charged)
			require.Equal(t, want.raised+".00", summary.CapUSD.String())
			require.Equal(t, want.stop, summary.StopReason)
		})
	}
	page, err := control.Audit(t.Context(), client.AuditQuery{Verdict: "cap_set"})
	require.NoError(t, err)
	require.Len(t, page.Rows, 3)
	require.Equal(t, "Ada Lovelace", page.Rows[1].Who)
	require.Equal(t, "checked against the contract", page.Rows[1].Note)
}

func TestTenant_ManyRunsAtOnceEndExactlyAtItsBudget(t *testing.T) {
	s := startStack(t, 0)
	control, err := s.Control()
	require.NoError(t, err)
	limit := 130 * money.Dollar
	_, err = control.SetCap(t.Context(), "tenant", "acme", client.CapChange{TotalUSDCap: &limit, By: "Ada", Reason: "yearly"})
	require.NoError(t, err)
	var ids []string
	for i := range 4 {
		ids = append(ids, startRun(t, s, fmt.Sprintf("plan-%d", i), writeList(t, dollarsEach(60, 1)...), "100", "--tenant", "acme"))
	}
	charged := 0
	for _, id := range ids {
		summary := awaitSummary(t, s, id)
		require.Zero(t, summary.Unknown)
		charged += summary.Charged
	}
	require.Equal(t, 130, charged)
	truth, err := s.Truth(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(limit), truth.SucceededTotalMicroUSD)
}
