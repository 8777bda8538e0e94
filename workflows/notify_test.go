package workflows_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// post plays the activities of the phases that write to customers.
type post struct {
	mu      sync.Mutex
	letters map[int]byte // of an item in a page; absent: sent
	read    map[int]byte // what the ledger shows later; absent: sent
	stopAt  int          // the first page from this item on ends with stop; negative: none
	stop    string
	fail    map[int]error // page by its first item
	pages   [][2]int
	issued  []activities.IssueNoticeInput
	revoked map[string]int
	reads   [][2]int
}

const (
	receiptsLabel = runLabel + "/receipts"
	textsLabel    = runLabel + "/texts"
)

func receipts() *workflows.ReceiptsInput {
	return &workflows.ReceiptsInput{From: "Acme <billing@example.com>", BudgetUSD: 5 * money.Dollar}
}

func texts() *workflows.TextsInput {
	return &workflows.TextsInput{From: "+12015550100", BudgetUSD: 7 * money.Dollar}
}

// notifyBundle is a run of n customers whose charges all go well, with a post.
func notifyBundle(t *testing.T, n int, phases ...string) (*testBundle, *post) {
	t.Helper()
	b := setup(t)
	b.expectBegin(n)
	b.expectFetches()
	b.expectCharges(t)
	p := &post{letters: map[int]byte{}, read: map[int]byte{}, fail: map[int]error{}, stopAt: -1, revoked: map[string]int{}}
	b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.RevokeInput) (activities.RevokeResult, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.revoked[in.KeyID]++
			return activities.RevokeResult{}, nil
		})
	b.env.OnActivity(b.act.SpendReport, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.ReportInput) (activities.Spend, error) {
			switch in {
			case activities.ReportInput{RunLabel: runLabel, KeyID: "key_1"}:
				return activities.Spend{SettledUSD: 10 * money.Dollar}, nil
			case activities.ReportInput{RunLabel: receiptsLabel, KeyID: "key_receipts"},
				activities.ReportInput{RunLabel: receiptsLabel, KeyID: "key_receipts_2"},
				activities.ReportInput{RunLabel: receiptsLabel, KeyID: "key_receipts_3"}:
				return activities.Spend{SettledUSD: 4 * money.Cent}, nil
			case activities.ReportInput{RunLabel: textsLabel, KeyID: "key_texts"}:
				return activities.Spend{SettledUSD: 3 * money.Cent, CommittedUSD: 2 * money.Cent, UnknownUSD: money.Cent}, nil
			}
			t.Errorf("a report is asked for that belongs to nobody: %+v", in)
			return activities.Spend{}, nil
		})
	if len(phases) > 0 {
		p.expect(t, b, phases)
	}
	return b, p
}

func (p *post) expect(t *testing.T, b *testBundle, phases []string) {
	t.Helper()
	b.env.OnActivity(b.act.IssueNoticeKey, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.IssueNoticeInput) (activities.IssuedKey, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.revoked["key_1"] == 0 {
				t.Error("the phase begins before the charges' key is revoked")
			}
			p.issued = append(p.issued, in)
			return activities.IssuedKey{VaultKey: "vault_key_" + in.Phase, KeyID: "key_" + in.Phase}, nil
		}).Times(len(phases))
	for _, phase := range phases {
		if phase == activities.PhaseReceipts {
			b.env.OnActivity(b.act.SendReceipts, mock.Anything, mock.Anything).
				Return(func(_ context.Context, in activities.ReceiptsInput) (activities.NoticeResult, error) {
					require.Equal(t, "Acme <billing@example.com>", in.Sender)
					return p.page(t, in.Page, phase)
				})
			continue
		}
		b.env.OnActivity(b.act.SendTexts, mock.Anything, mock.Anything).
			Return(func(_ context.Context, in activities.TextsInput) (activities.NoticeResult, error) {
				require.Equal(t, "+12015550100", in.Sender)
				return p.page(t, in.Page, phase)
			})
	}
}

func (p *post) page(t *testing.T, in activities.NoticePage, phase string) (activities.NoticeResult, error) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.VaultKey != "vault_key_"+phase || in.RootWorkflowID != rootID || in.RunLabel != runLabel || in.ChargeKeyID != "key_1" {
		t.Errorf("the page is not the run's: %+v", in)
	}
	p.pages = append(p.pages, [2]int{in.From, in.To})
	if err := p.fail[in.From]; err != nil {
		return activities.NoticeResult{}, err
	}
	result := activities.NoticeResult{Outcomes: lettersOf(p.letters, in.From, in.To)}
	if p.stopAt >= 0 && in.From >= p.stopAt {
		result.Stop = p.stop
	}
	return result, nil
}

func (p *post) expectReads(t *testing.T, b *testBundle) {
	t.Helper()
	b.env.OnActivity(b.act.ReadNotices, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.ReadNoticesInput) (activities.NoticeResult, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.revoked[in.NoticeKeyID] != 1 {
				t.Error("outcomes are read while a late attempt could still come through")
			}
			require.Empty(t, in.Page.VaultKey, "reading takes no vault key")
			p.reads = append(p.reads, [2]int{in.Page.From, in.Page.To})
			return activities.NoticeResult{Outcomes: lettersOf(p.read, in.Page.From, in.Page.To)}, nil
		})
}

func lettersOf(script map[int]byte, from, to int) string {
	var out strings.Builder
	for item := from; item < to; item++ {
		letter, ok := script[item]
		if !ok {
			letter = activities.NoticeSent
		}
		out.WriteByte(letter)
	}
	return out.String()
}

func requireNoticesAddUp(t *testing.T, charged int, s *workflows.NoticeSummary) {
	t.Helper()
	require.NotNil(t, s)
	require.Equal(t, charged, s.Sent+s.Failed+s.Skipped+s.NotAttempted+s.Unknown)
}

func TestNotify_WritesToEveryChargedCustomerUnderKeysAndBudgetsOfItsOwn(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 450, activities.PhaseReceipts, activities.PhaseTexts)
	in := billingInput(450)
	in.Receipts, in.Texts = receipts(), texts()
	in.Receipts.PerEmailCapUSD = money.Cent

	summary := b.run(t, in)

	require.Equal(t, 450, summary.Charged)
	require.Empty(t, summary.StopReason)
	require.Equal(t, &workflows.NoticeSummary{
		RunLabel: receiptsLabel, KeyID: "key_receipts", KeyRevoked: true, Sent: 450,
		CapUSD: 5 * money.Dollar, CostUSD: 4 * money.Cent, LedgerRead: true,
	}, summary.Emails)
	require.Equal(t, &workflows.NoticeSummary{
		RunLabel: textsLabel, KeyID: "key_texts", KeyRevoked: true, Sent: 450,
		CapUSD: 7 * money.Dollar, CostUSD: 5 * money.Cent, CommittedUSD: 2 * money.Cent, UnknownUSD: money.Cent, LedgerRead: true,
	}, summary.Texts)
	require.ElementsMatch(t, []activities.IssueNoticeInput{
		{
			Phase: "receipts", RunLabel: runLabel, ChargeKeyID: "key_1", NoticeLabel: receiptsLabel,
			BudgetUSD: 5 * money.Dollar, PerCallCapUSD: money.Cent, TTL: 2 * time.Hour, ListSHA256: "feed",
		},
		{
			Phase: "texts", RunLabel: runLabel, ChargeKeyID: "key_1", NoticeLabel: textsLabel,
			BudgetUSD: 7 * money.Dollar, TTL: 2 * time.Hour, ListSHA256: "feed",
		},
	}, p.issued)
	require.ElementsMatch(t, [][2]int{{0, 200}, {200, 400}, {400, 450}, {0, 200}, {200, 400}, {400, 450}}, p.pages)
	require.Equal(t, map[string]int{"key_1": 1, "key_receipts": 1, "key_texts": 1}, p.revoked)
	require.Equal(t, 450, b.progress(t).EmailsSent)
}

func TestNotify_IsNotThereUnlessItIsAskedFor(t *testing.T) {
	t.Parallel()
	b, _ := notifyBundle(t, 10)
	summary := b.run(t, billingInput(10))
	require.Nil(t, summary.Emails)
	require.Nil(t, summary.Texts)
}

func TestNotify_ListsWhatFailedAndLeavesTheChargeAsItWas(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 30, activities.PhaseReceipts)
	p.letters = map[int]byte{3: 'f', 4: 'f', 9: 'n', 12: '-'}
	in := billingInput(30)
	in.Receipts = receipts()

	summary := b.run(t, in)

	require.Equal(t, 30, summary.Charged)
	require.Zero(t, summary.Failed)
	require.Equal(t, 26, summary.Emails.Sent)
	require.Equal(t, 2, summary.Emails.Failed)
	require.Equal(t, 1, summary.Emails.Skipped)
	require.Equal(t, ranges(3, 5), summary.Emails.FailedItems)
	require.Empty(t, summary.Emails.StopReason)
	for item, calls := range b.calls {
		require.Equal(t, 1, calls, "item %d is charged once, whatever becomes of its receipt", item)
	}
}

func TestNotify_StopsWhereItsCapIsExhaustedAndTheRunCompletes(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 600, activities.PhaseTexts)
	p.stopAt, p.stop = 200, activities.TypeCapExhausted
	for item := 250; item < 400; item++ {
		p.letters[item] = activities.NoticeNotTried
	}
	in := billingInput(600)
	in.BudgetUSD = 500 * money.Dollar
	in.Texts = texts()

	summary := b.run(t, in)

	require.Empty(t, summary.StopReason, "the charges' stop reason is another one")
	require.Equal(t, 600, summary.Charged)
	require.Equal(t, 250, summary.Texts.Sent)
	require.Equal(t, 350, summary.Texts.NotAttempted)
	require.Equal(t, activities.TypeCapExhausted, summary.Texts.StopReason)
	require.Equal(t, [][2]int{{0, 200}, {200, 400}}, p.pages, "no page comes after the stop")
	require.Equal(t, 1, p.revoked["key_texts"])
}

func TestNotify_GoesToThoseWhoWereChargedBeforeTheRunsOwnBudgetWasFull(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 100, activities.PhaseReceipts)
	for item := 20; item < 100; item++ {
		b.script[item] = terminal(activities.TypeCapExhausted)
		p.letters[item] = activities.NoticeNone
	}
	in := billingInput(100)
	in.Receipts = receipts()

	summary := b.run(t, in)

	require.Equal(t, activities.TypeCapExhausted, summary.StopReason)
	require.Equal(t, summary.Charged, summary.Emails.Sent)
	require.Equal(t, 20, summary.Emails.Sent)
	require.Len(t, p.pages, 1)
	require.Less(t, p.pages[0][1], 100, "what no batch was begun for is not looked at")
}

func TestNotify_WritesToWhoWasChargedBehindItemsThatNeededAnApproval(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 40, activities.PhaseReceipts)
	in := billingInput(40)
	in.Approval = &workflows.ApprovalInput{AboveUSD: 50 * money.Dollar, Timeout: time.Hour}
	b.env.OnActivity(b.act.HeldItems, mock.Anything, mock.Anything).
		Return(activities.HeldResult{Items: ranges(10, 20)}, nil).Once()
	in.Receipts = receipts()
	for item := 10; item < 20; item++ {
		p.letters[item] = activities.NoticeNone
	}

	summary := b.run(t, in)

	require.Equal(t, 30, summary.Charged)
	require.Equal(t, 30, summary.Emails.Sent)
}

func TestNotify_ReplacesAKeyThatExpiresAsOftenAsItMay(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		renewals, sent int
		stop           string
	}{
		"and goes on with it":         {2, 600, ""},
		"and stops after one of them": {1, 250, activities.TypeKeyExpired},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b, p := notifyBundle(t, 600)
			p.expectRenewals(t, b, 2)
			if c.stop != "" {
				p.expectReads(t, b)
			}
			for item := 250; item < 600; item++ {
				p.read[item] = activities.NoticeNotTried
			}
			in := billingInput(600)
			in.Receipts, in.KeyRenewals = receipts(), &c.renewals

			summary := b.run(t, in)

			require.Equal(t, c.stop, summary.Emails.StopReason)
			require.Equal(t, c.sent, summary.Emails.Sent)
			requireNoticesAddUp(t, 600, summary.Emails)
			require.Len(t, p.issued, 1+c.renewals)
			require.Equal(t, 1, p.revoked[fmt.Sprintf("key_receipts_%d", 1+c.renewals)])
		})
	}
}

// The second pass over a batch may end before it comes to what the first one sent.
func TestNotify_LosesNoNoticeThatWasSentBeforeItsKeyExpired(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 600)
	p.expectReads(t, b)
	passes := 0
	b.env.OnActivity(b.act.IssueNoticeKey, mock.Anything, mock.Anything).
		Return(activities.IssuedKey{VaultKey: "vault_key", KeyID: "key_receipts"}, nil).Times(2)
	b.env.OnActivity(b.act.SendReceipts, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.ReceiptsInput) (activities.NoticeResult, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			letters := map[int]byte{}
			result := activities.NoticeResult{}
			if in.Page.From == 0 {
				passes++
			}
			switch {
			case passes == 2:
				for item := 100; item < 600; item++ {
					letters[item] = activities.NoticeNotTried
				}
				result.Stop = activities.TypeKeyRevoked
			case in.Page.From == 400:
				result.Stop = activities.TypeKeyExpired
				for item := 450; item < 600; item++ {
					letters[item] = activities.NoticeNotTried
				}
			}
			result.Outcomes = lettersOf(letters, in.Page.From, in.Page.To)
			return result, nil
		})
	for item := 450; item < 600; item++ {
		p.read[item] = activities.NoticeNotTried
	}
	in := billingInput(600)
	in.Receipts = receipts()

	summary := b.run(t, in)

	require.Equal(t, activities.TypeKeyRevoked, summary.Emails.StopReason)
	requireNoticesAddUp(t, 600, summary.Emails)
	require.Equal(t, 450, summary.Emails.Sent)
	require.Equal(t, 150, summary.Emails.NotAttempted)
}

// expectRenewals mocks receipts of which 250 can be sent before so many keys in a
// row have expired.
func (p *post) expectRenewals(t *testing.T, b *testBundle, expiring int) {
	t.Helper()
	b.env.OnActivity(b.act.IssueNoticeKey, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.IssueNoticeInput) (activities.IssuedKey, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			require.False(t, in.Renew)
			p.issued = append(p.issued, in)
			return activities.IssuedKey{VaultKey: fmt.Sprint("vault_key_", len(p.issued)), KeyID: fmt.Sprint("key_receipts_", len(p.issued))}, nil
		})
	b.env.OnActivity(b.act.SendReceipts, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.ReceiptsInput) (activities.NoticeResult, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if in.Page.VaultKey != fmt.Sprint("vault_key_", len(p.issued)) {
				t.Errorf("a receipt is sent under %s", in.Page.VaultKey)
			}
			letters := map[int]byte{}
			result := activities.NoticeResult{}
			for item := 250; item < 600 && len(p.issued) <= expiring; item++ {
				letters[item] = activities.NoticeNotTried
			}
			if len(letters) > 0 && in.Page.To > 250 {
				result.Stop = activities.TypeKeyExpired
			}
			result.Outcomes = lettersOf(letters, in.Page.From, in.Page.To)
			return result, nil
		})
}

func TestNotify_ReadsFromTheLedgerWhatItsPagesCouldNotTell(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 30, activities.PhaseTexts)
	p.expectReads(t, b)
	p.letters = map[int]byte{5: 'u', 6: 'u', 7: 'u', 20: 'u'}
	p.read = map[int]byte{6: 'f', 7: '.', 20: 'u'}
	in := billingInput(30)
	in.Texts = texts()

	summary := b.run(t, in)

	requireNoticesAddUp(t, 30, summary.Texts)
	require.Equal(t, 27, summary.Texts.Sent)
	require.Equal(t, 1, summary.Texts.Failed)
	require.Equal(t, 1, summary.Texts.NotAttempted)
	require.Equal(t, 1, summary.Texts.Unknown)
	require.Equal(t, ranges(20, 21), summary.Texts.UnknownItems)
	require.Equal(t, [][2]int{{5, 8}, {20, 21}}, p.reads)
}

func TestNotify_DoesNotTakeAbsenceForProofWhereItsKeyStillLives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(10)
	b.expectFetches()
	b.expectCharges(t)
	p := &post{letters: map[int]byte{5: 'u'}, stopAt: -1, revoked: map[string]int{"key_1": 1}}
	b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, activities.RevokeInput{KeyID: "key_1"}).Return(activities.RevokeResult{}, nil)
	b.env.OnActivity(b.act.RevokeVaultKey, mock.Anything, activities.RevokeInput{KeyID: "key_receipts"}).
		Return(activities.RevokeResult{}, terminal(activities.TypeAdminKeyRejected))
	b.env.OnActivity(b.act.SpendReport, mock.Anything, mock.Anything).Return(activities.Spend{}, nil)
	p.expect(t, b, []string{activities.PhaseReceipts})
	b.env.OnActivity(b.act.ReadNotices, mock.Anything, mock.Anything).Return(activities.NoticeResult{Outcomes: "."}, nil)
	in := billingInput(10)
	in.Receipts = receipts()

	summary := b.run(t, in)

	require.False(t, summary.Emails.KeyRevoked)
	require.Equal(t, 1, summary.Emails.Unknown)
	require.Equal(t, 9, summary.Emails.Sent)
}

func TestNotify_EndsWithCountsWhereItsPageFailsForGood(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 450, activities.PhaseReceipts)
	p.expectReads(t, b)
	p.fail[200] = terminal(activities.TypeCustomerListChanged)
	for item := 200; item < 400; item++ {
		p.read[item] = activities.NoticeNotTried
	}
	in := billingInput(450)
	in.Receipts = receipts()

	summary := b.run(t, in)

	require.Equal(t, activities.TypeCustomerListChanged, summary.Emails.StopReason)
	requireNoticesAddUp(t, 450, summary.Emails)
	require.Equal(t, 200, summary.Emails.Sent)
	require.Equal(t, 250, summary.Emails.NotAttempted)
	require.Equal(t, 450, summary.Charged)
}

func TestNotify_LeavesNoticesUnknownThatCannotBeReadBack(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 450, activities.PhaseReceipts)
	p.fail[0] = terminal(activities.TypeUnexpected)
	b.env.OnActivity(b.act.ReadNotices, mock.Anything, mock.Anything).
		Return(activities.NoticeResult{}, terminal(activities.TypeAdminKeyRejected)).Once()
	in := billingInput(450)
	in.Receipts = receipts()

	summary := b.run(t, in)

	requireNoticesAddUp(t, 450, summary.Emails)
	require.Equal(t, 200, summary.Emails.Unknown)
	require.Equal(t, 250, summary.Emails.NotAttempted)
}

func TestNotify_CompletesTheRunWhereThereIsNoKeyForIt(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 20)
	b.env.OnActivity(b.act.IssueNoticeKey, mock.Anything, mock.Anything).
		Return(activities.IssuedKey{}, terminal(activities.TypeInvalidRequest)).Once()
	in := billingInput(20)
	in.Receipts = receipts()

	summary := b.run(t, in)

	require.Equal(t, 20, summary.Charged)
	require.Empty(t, summary.StopReason)
	require.Equal(t, 20, summary.Emails.NotAttempted)
	require.Equal(t, activities.TypeInvalidRequest, summary.Emails.StopReason)
	require.Equal(t, map[string]int{"key_1": 1}, p.revoked)
}

func TestNotify_DoesNotBeginInARunThatWasRevoked(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{activities.TypeKeyRevoked, activities.TypeKeyUnknown} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			b, _ := notifyBundle(t, 40)
			b.env.OnActivity(b.act.ReadOutcomes, mock.Anything, mock.Anything).Maybe().
				Return(activities.OutcomesResult{}, terminal(activities.TypeUnexpected))
			b.script[15] = terminal(reason)
			in := billingInput(40)
			in.Receipts, in.Texts = receipts(), texts()

			summary := b.run(t, in)

			require.Positive(t, summary.Charged)
			for _, notices := range []*workflows.NoticeSummary{summary.Emails, summary.Texts} {
				require.Equal(t, summary.Charged, notices.NotAttempted)
				require.Equal(t, reason, notices.StopReason)
				require.Empty(t, notices.KeyID)
			}
		})
	}
}

func TestNotify_CancelledInTheMiddleRevokesItsKeyAndKeepsItsCounts(t *testing.T) {
	t.Parallel()
	b, p := notifyBundle(t, 600)
	b.env.OnActivity(b.act.IssueNoticeKey, mock.Anything, mock.Anything).
		Return(activities.IssuedKey{VaultKey: "vault_key_receipts", KeyID: "key_receipts"}, nil).Once()
	b.env.OnActivity(b.act.SendReceipts, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in activities.ReceiptsInput) (activities.NoticeResult, error) {
			if in.Page.From == 0 {
				return p.page(t, in.Page, activities.PhaseReceipts)
			}
			// As the activity does: it learns of it, and tells what it did until then.
			b.env.CancelWorkflow()
			return activities.NoticeResult{Outcomes: strings.Repeat("s", 50) + strings.Repeat(".", 150), Stop: activities.StopCanceled}, nil
		}).Times(2)
	in := billingInput(600)
	in.Receipts = receipts()

	b.env.ExecuteWorkflow(workflows.Billing, in)

	var canceled *temporal.CanceledError
	require.ErrorAs(t, b.env.GetWorkflowError(), &canceled)
	var summary workflows.Summary
	require.NoError(t, canceled.Details(&summary))
	require.Equal(t, 600, summary.Charged, "charges that were made stay made")
	require.Equal(t, workflows.StopCanceled, summary.Emails.StopReason)
	require.Equal(t, 250, summary.Emails.Sent)
	require.Equal(t, 350, summary.Emails.NotAttempted)
	require.True(t, summary.Emails.KeyRevoked)
	require.Equal(t, 1, p.revoked["key_receipts"])
}

func TestNotifyBatch_RefusesWhatNoRunMakes(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]workflows.NotifyInput{
		"beyond the list":      {From: 0, To: 11, Pinned: pinned(10), Texts: texts()},
		"backwards":            {From: 5, To: 4, Pinned: pinned(10), Texts: texts()},
		"of no kind":           {From: 0, To: 10, Pinned: pinned(10)},
		"of two kinds at once": {From: 0, To: 10, Pinned: pinned(10), Texts: texts(), Receipts: receipts()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.env.ExecuteWorkflow(workflows.NotifyBatch, in)
			var refused *temporal.ApplicationError
			require.ErrorAs(t, b.env.GetWorkflowError(), &refused)
			require.Equal(t, workflows.TypeInvalidInput, refused.Type())
		})
	}
}

func TestBillingInput_RefusesNoticesThatCannotBeSent(t *testing.T) {
	t.Parallel()
	for problem, change := range map[string]func(*workflows.BillingInput){
		"must be an e-mail address":    func(in *workflows.BillingInput) { in.Receipts.From = "nobody" },
		"budget of receipts":           func(in *workflows.BillingInput) { in.Receipts.BudgetUSD = 0 },
		"no other braces":              func(in *workflows.BillingInput) { in.Receipts.Subject = "Dear {name}" },
		"one line":                     func(in *workflows.BillingInput) { in.Receipts.Subject = "a\r\nBcc: b@example.com" },
		"must not be negative":         func(in *workflows.BillingInput) { in.Receipts.PerEmailCapUSD = -1 },
		"concurrency of receipts":      func(in *workflows.BillingInput) { in.Receipts.Concurrency = 101 },
		"either a sender's number or":  func(in *workflows.BillingInput) { in.Texts.From = "" },
		"and not both":                 func(in *workflows.BillingInput) { in.Texts.MessagingServiceSID = "MG" + strings.Repeat("0", 32) },
		"number in E.164":              func(in *workflows.BillingInput) { in.Texts.From = "0201 555" },
		"MG and 32 hexadecimal digits": func(in *workflows.BillingInput) { in.Texts.From, in.Texts.MessagingServiceSID = "", "MGx" },
		"at most 600 are taken":        func(in *workflows.BillingInput) { in.Texts.Body = strings.Repeat("x", 601) },
		"budget of texts":              func(in *workflows.BillingInput) { in.Texts.BudgetUSD = -1 },
	} {
		t.Run(problem, func(t *testing.T) {
			t.Parallel()
			in := billingInput(10)
			in.Receipts, in.Texts = receipts(), texts()
			require.NoError(t, in.Validate())
			change(&in)
			require.ErrorContains(t, in.Validate(), problem)
		})
	}
}

func TestReceiptsInput_TakesOneAddressAsSender(t *testing.T) {
	t.Parallel()
	for from, ok := range map[string]bool{
		"billing@example.com": true, "Acme <billing@example.com>": true, "Acme Inc. <billing@mail.example.com>": true,
		"": false, "Acme, Inc. <billing@example.com>": false, "billing": false, "billing@localhost": false, "@example.com": false, "a@b@example.com": false,
		"a@example.com, b@example.com": false, "Acme <billing@example.com": false, "Acme <a@example.com> <b@example.com>": false,
		"Acme\r\nBcc: x <billing@example.com>": false, "billing@.com": false,
	} {
		in := workflows.ReceiptsInput{From: from, BudgetUSD: money.Dollar}
		require.Equal(t, ok, in.Validate() == nil, from)
	}
}

func TestNoticeNames_HoldNoRunID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "temporal/ns/billing-pro-2026-11/texts", workflows.NoticeRunLabel(workflows.RunLabel("ns", "billing-pro-2026-11"), "texts"))
	require.Equal(t, "billing-pro-2026-11/receipts/3", workflows.NoticeWorkflowID("billing-pro-2026-11", "receipts", 3))
	require.Equal(t, "billing-pro-2026-11-7-receipt", activities.NoticeKey("billing-pro-2026-11", 7, activities.PhaseReceipts))
	require.Equal(t, "billing-pro-2026-11-7-text", activities.NoticeKey("billing-pro-2026-11", 7, activities.PhaseTexts))
}
