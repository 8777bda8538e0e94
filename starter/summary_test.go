package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// exampleSummary is a run that its budget stopped, and that needs nobody.
func exampleSummary() workflows.Summary {
	return workflows.Summary{
		Plan: "pro", Period: "2026-11", WorkflowID: "billing-pro-2026-11", RunLabel: "temporal/default/billing-pro-2026-11",
		KeyID: "key_7", KeyRevoked: true,
		Customers: 3000, Charged: 964, Declined: 39, CapDenied: 88, NotAttempted: 1909,
		CapUSD: 20_000 * money.Dollar, SettledUSD: 19_998*money.Dollar + 12*money.Cent, LedgerRead: true,
		StopReason: activities.TypeCapExhausted,
	}
}

func TestWriteSummary_ShowsEveryOutcomeAndTheBudget(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, writeSummary(&out, exampleSummary()))
	require.Equal(t, `
billing-pro-2026-11

OUTCOME        CUSTOMERS  MEANING
----------------------------------------------------------------
charged              964  the vendor took the payment
declined              39  the vendor refused the payment
cap denied            88  the proxy refused: no room under a cap
not attempted      1,909  the run had stopped before
unknown                0  no proof of what the vendor did
failed                 0  without effect, and not a decline
----------------------------------------------------------------
customers          3,000

BUDGET          USD  MEANING
----------------------------------------------
cap      $20,000.00  the run never spends more
settled  $19,998.12  what the ledger booked
----------------------------------------------
left          $1.88

Stopped by CapExhausted: the budget had no room for the next charge.
Its vault key key_7 is revoked.
`, out.String())
}

func TestWriteSummary_ShowsWhatIsStillHeldAndWhatCouldNotBeDone(t *testing.T) {
	t.Parallel()
	s := exampleSummary()
	s.StopReason = ""
	s.CommittedUSD, s.UnknownUSD = money.Dollar, 50*money.Cent
	s.LedgerRead, s.KeyRevoked = false, false
	var out bytes.Buffer
	require.NoError(t, writeSummary(&out, s))
	_, budget, found := strings.Cut(out.String(), "BUDGET")
	require.True(t, found)
	require.Equal(t, `            USD  MEANING
---------------------------------------------------------------
cap        $20,000.00  the run never spends more
settled    $19,998.12  the run's own sum; the ledger was silent
committed       $1.00  certain, final amount still open
unknown         $0.50  held until there is proof
---------------------------------------------------------------
left            $0.38

Every customer was attempted.
Its vault key key_7 could not be revoked and lives until it expires.
`, budget)
}

func TestWriteSummary_OfARunWithoutAKeyNamesNone(t *testing.T) {
	t.Parallel()
	s := exampleSummary()
	s.KeyID, s.StopReason = "", ""
	var out bytes.Buffer
	require.NoError(t, writeSummary(&out, s))
	require.Contains(t, out.String(), "Every customer was attempted.\nIt had no vault key.\n")
}

func TestWriteSummary_SaysThatTheRejectedWereNotAttempted(t *testing.T) {
	t.Parallel()
	s := exampleSummary()
	s.StopReason, s.Rejected = "", 3
	var out bytes.Buffer
	require.NoError(t, writeSummary(&out, s))
	require.Contains(t, out.String(), "\nEvery customer was attempted, but for those who were rejected.\n")
}

func TestWriteSummary_FitsAStandardTerminal(t *testing.T) {
	t.Parallel()
	s := exampleSummary()
	s.Customers, s.CapUSD = 1_000_000, money.Max
	s.LedgerRead = false
	var out bytes.Buffer
	require.NoError(t, writeSummary(&out, s))
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), 80, line)
	}
}

func TestAttention_IsNeededWhenARunDidNotEndAsBoundedRunsDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*workflows.Summary)
		want   string // empty: nobody is needed
	}{
		"the budget stopped it": {func(*workflows.Summary) {}, ""},
		"nothing stopped it":    {func(s *workflows.Summary) { s.StopReason = "" }, ""},
		"cards were declined":   {func(s *workflows.Summary) { s.Declined = 500 }, ""},
		"a charge is unknown":   {func(s *workflows.Summary) { s.Unknown = 1 }, "1 charge of unknown outcome; see 'starter audit billing-pro-2026-11 --limit 0 --verdict unknown'"},
		"charges failed":        {func(s *workflows.Summary) { s.Failed = 1200 }, "1,200 charges failed; see 'starter audit billing-pro-2026-11 --limit 0 --verdict released' and 'starter audit billing-pro-2026-11 --limit 0 --verdict denied'"},
		"somebody stopped it":   {func(s *workflows.Summary) { s.StopReason = activities.TypeKeyRevoked }, "it was stopped by KeyRevoked; see 'starter report billing-pro-2026-11'"},
		"its key lives on":      {func(s *workflows.Summary) { s.KeyRevoked = false }, "its vault key key_7 could not be revoked ('starter revoke billing-pro-2026-11'); see 'starter report billing-pro-2026-11'"},
		"the ledger was silent": {func(s *workflows.Summary) { s.LedgerRead = false }, "the ledger could not be read at the end; see 'starter report billing-pro-2026-11'"},
		"two things went amiss": {func(s *workflows.Summary) { s.Failed, s.Unknown = 2, 3 }, "3 charges of unknown outcome, 2 charges failed; see 'starter audit billing-pro-2026-11 --limit 0 --verdict unknown'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := exampleSummary()
			test.change(&s)
			code, line := exitCode(attention(s))
			if test.want == "" {
				require.Equal(t, exitOK, code)
				require.Empty(t, line)
				return
			}
			require.Equal(t, exitAttention, code)
			require.Equal(t, "billing-pro-2026-11 ended and needs a look: "+test.want, line)
		})
	}
}
