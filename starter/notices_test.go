package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

func TestRun_AsksForNoticesUnderBudgetsOfTheirOwn(t *testing.T) {
	t.Parallel()
	n := notices{
		receiptsFrom: "Acme <billing@example.com>", receiptsSubject: "{amount}", receiptsBudget: "2.50", perReceiptCap: "0.01",
		textsService: "MG1", textsBody: "{plan}", textsBudget: "10", perTextCap: "0.05",
	}
	var in workflows.BillingInput
	require.NoError(t, n.into(&in))
	require.Equal(t, &workflows.ReceiptsInput{
		From: "Acme <billing@example.com>", Subject: "{amount}", BudgetUSD: 2*money.Dollar + 50*money.Cent, PerEmailCapUSD: money.Cent,
	}, in.Receipts)
	require.Equal(t, &workflows.TextsInput{
		MessagingServiceSID: "MG1", Body: "{plan}", BudgetUSD: 10 * money.Dollar, PerTextCapUSD: 5 * money.Cent,
	}, in.Texts)

	in = workflows.BillingInput{}
	require.NoError(t, (&notices{}).into(&in))
	require.Nil(t, in.Receipts)
	require.Nil(t, in.Texts)
}

func notified() workflows.Summary {
	s := exampleSummary()
	s.Emails = &workflows.NoticeSummary{
		KeyID: "key_8", KeyRevoked: true, Sent: 940, Skipped: 24, CapUSD: 5 * money.Dollar, CostUSD: 84 * money.Cent, LedgerRead: true,
	}
	s.Texts = &workflows.NoticeSummary{
		KeyID: "key_9", KeyRevoked: true, Sent: 700, Failed: 2, Skipped: 90, NotAttempted: 169, Unknown: 3, CapUSD: 6 * money.Dollar,
		CostUSD: 5 * money.Dollar, UnknownUSD: 2 * money.Cent, LedgerRead: true, StopReason: activities.TypeCapExhausted,
	}
	return s
}

func TestWriteSummary_ShowsWhatWasWrittenToCustomers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, writeNotices(&out, notified()))
	require.Equal(t, `
RECEIPTS       COUNT  MEANING
--------------------------------------------------------
sent             940  the vendor took it
failed             0  refused; the charge stays as it is
skipped           24  the list has no address
not attempted      0  the sending had stopped before
unknown            0  may have been sent; not sent again
--------------------------------------------------------
cost           $0.84  of $5.00

TEXTS          COUNT  MEANING
--------------------------------------------------------------------
sent             700  the vendor took it
failed             2  refused; the charge stays as it is
skipped           90  the list has no address
not attempted    169  stopped by CapExhausted
unknown            3  may have been sent; not sent again
--------------------------------------------------------------------
cost           $5.00  of $6.00, $0.02 more held until there is proof
`, out.String())
}

func TestAttention_IsNeededWhenNoticesDidNotAllGoOut(t *testing.T) {
	t.Parallel()
	s := notified()
	s.Texts.KeyRevoked, s.Texts.RunLabel = false, "temporal/default/billing-pro-2026-11/texts"
	_, line := exitCode(attention(s))
	require.Equal(t, "billing-pro-2026-11 ended and needs a look: 2 of its texts failed, 3 of its texts are of unknown outcome, "+
		"the vault key key_9 of its texts could not be revoked; see 'starter audit --run-label temporal/default/billing-pro-2026-11/texts --limit 0'", line)

	s = notified()
	s.Texts = nil
	require.NoError(t, attention(s))
	s.Emails.StopReason = activities.TypeInvalidRequest
	require.ErrorContains(t, attention(s), "its receipts were stopped by InvalidRequest")
}

func TestReport_ShowsThePhasesOfARunToo(t *testing.T) {
	t.Parallel()
	reports := map[string]any{"GET /vault/reports/runs": client.RunReportList{Runs: []client.RunReport{{AgentRunLabel: "some label"}}}}
	b, plane, flags := proxied(t, reports)
	require.Equal(t, exitOK, b.run(t.Context(), append([]string{"report", "billing-pro-2026-11"}, flags...)), b.stderr.String())
	require.Equal(t, []string{
		"GET /vault/reports/runs?agent_run_label=temporal/default/billing-pro-2026-11",
		"GET /vault/reports/runs?agent_run_label=temporal/default/billing-pro-2026-11/receipts",
		"GET /vault/reports/runs?agent_run_label=temporal/default/billing-pro-2026-11/texts",
	}, plane.asked)
}
