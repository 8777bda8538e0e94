package workflows

import (
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// noticeSettle bounds the wait for proof of notices whose outcome is open. It is
// short: some can never be proved, since Twilio's messages bear nothing that they
// could be told by, and nobody is charged twice over one.
const noticeSettle = 30 * time.Second

// noticePhase is a phase of a run that writes to customers. Whatever happens in
// it, it ends with counts and not with an error: no charge and no outcome of a
// charge depends on it.
type noticePhase struct {
	run      *billing
	name     string
	receipts *ReceiptsInput
	texts    *TextsInput
	budget   money.USD
	perCall  money.USD

	detached workflow.Context // of the phase's own coroutine; is not cancelled with the run

	key     activities.IssuedKey
	revoked bool
	result  NotifyResult
	summary NoticeSummary
}

// notify writes to those who were charged, the phases side by side. It comes
// after the charges' key is revoked and their outcomes are read.
func (b *billing) notify(ctx workflow.Context) {
	var phases []*noticePhase
	if in := b.in.Receipts; in != nil {
		phases = append(phases, &noticePhase{
			run: b, name: activities.PhaseReceipts, receipts: in, budget: in.BudgetUSD, perCall: in.PerEmailCapUSD,
		})
	}
	if in := b.in.Texts; in != nil {
		phases = append(phases, &noticePhase{
			run: b, name: activities.PhaseTexts, texts: in, budget: in.BudgetUSD, perCall: in.PerTextCapUSD,
		})
	}
	if len(phases) == 0 {
		return
	}
	b.phase = StateNotifying
	ended := workflow.NewWaitGroup(b.detached)
	for _, p := range phases {
		ended.Add(1)
		workflow.GoNamed(ctx, p.name, func(ctx workflow.Context) {
			defer ended.Done()
			p.work(ctx)
		})
	}
	ended.Wait(b.detached)
	for _, p := range phases {
		if p.name == activities.PhaseReceipts {
			b.emails = &p.summary
		} else {
			b.texts = &p.summary
		}
	}
}

func (p *noticePhase) label() string { return NoticeRunLabel(p.run.runLabel, p.name) }

func (p *noticePhase) work(ctx workflow.Context) {
	p.detached, _ = workflow.NewDisconnectedContext(ctx)
	p.result.StopReason = p.barred(ctx)
	if p.result.StopReason == "" {
		if err := p.issue(p.run.in.Continue); err != nil {
			workflow.GetLogger(ctx).Error("no vault key for the phase; nobody is written to", "phase", p.name, "error", err)
			p.result.StopReason = stopOf(err)
		}
	}
	if p.key.KeyID != "" {
		p.send(ctx)
		if len(p.result.InDoubt) > 0 {
			p.awaitProof(ctx)
		}
		p.revoke()
		p.resolve()
	}
	p.sumUp()
}

// barred is why the phase does not begin: whoever cancelled or revoked the run
// wants no further spending, and what another ledger says of charges is not to be
// written to customers.
func (p *noticePhase) barred(ctx workflow.Context) string {
	if ctx.Err() != nil {
		return StopCanceled
	}
	switch stop := p.run.stop; stop {
	case StopCanceled, activities.TypeKeyRevoked, activities.TypeRunRevoked, activities.TypeRunClosed,
		activities.TypeKeyUnknown, activities.TypeWrongLedger:
		return stop
	}
	return ""
}

// issue is not cut off by a cancellation once it has begun: a key that is not
// known could not be revoked.
func (p *noticePhase) issue(renew bool) error {
	var a *activities.Activities
	detached := p.detached
	return workflow.ExecuteActivity(controlOptions(detached, cleanUpTimeout), a.IssueNoticeKey, activities.IssueNoticeInput{
		Phase:         p.name,
		RunLabel:      p.run.runLabel,
		ChargeKeyID:   p.run.state.Key.KeyID,
		NoticeLabel:   p.label(),
		BudgetUSD:     p.budget,
		PerCallCapUSD: p.perCall,
		TTL:           p.run.in.KeyTTL,
		Renew:         renew,
		ListSHA256:    p.run.state.Pinned.SHA256,
	}).Get(detached, &p.key)
}

// send works the list off, as far as it was charged at all. A batch whose key
// expires is run again as a whole, with another one: what was sent is answered from
// the ledger. Where that ends early, what came before is read from there.
func (p *noticePhase) send(ctx workflow.Context) {
	end, again := p.end(), false
	for n := 0; n*noticeBatch < end && p.result.StopReason == ""; {
		if ctx.Err() != nil {
			p.result.StopReason = StopCanceled
			return
		}
		in := p.input(n*noticeBatch, min((n+1)*noticeBatch, end))
		result := p.sendBatch(ctx, n, in)
		if result.StopReason == activities.TypeKeyExpired && p.replaceKey(ctx) {
			again = true
			continue
		}
		if again && result.StopReason != "" {
			result = inDoubt(in, result.StopReason)
		}
		p.result.merge(result)
		p.progress()
		n, again = n+1, false
	}
}

// end is behind the last item that may have been charged: where batches are not
// given the list from its beginning on, or an earlier run was, that is anyone.
func (p *noticePhase) end() int {
	if p.run.state.Approvals != nil || p.run.state.Earlier != nil {
		return p.run.state.Pinned.Count
	}
	return min(p.run.state.NextBatch*p.run.in.BatchSize, p.run.state.Pinned.Count)
}

func (p *noticePhase) sendBatch(ctx workflow.Context, n int, in NotifyInput) NotifyResult {
	var result NotifyResult
	err := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:          NoticeWorkflowID(p.run.workflowID, p.name, n),
		ParentClosePolicy:   enums.PARENT_CLOSE_POLICY_TERMINATE,
		WaitForCancellation: true,
	}), NotifyBatch, in).Get(ctx, &result)
	if err != nil {
		workflow.GetLogger(ctx).Warn("a batch of notices failed, its items are read from the ledger", "phase", p.name, "batch", n, "error", err)
		return inDoubt(in, stopOf(err))
	}
	return result
}

// inDoubt is a batch of which nothing is known but why it ended.
func inDoubt(in NotifyInput, stop string) NotifyResult {
	result := NotifyResult{StopReason: stop}
	result.InDoubt.Add(in.From, in.To)
	return result
}

// replaceKey gets another key for one that expired, out of as many as the run may
// have in all.
func (p *noticePhase) replaceKey(ctx workflow.Context) bool {
	if ctx.Err() != nil || p.run.state.Renewals >= *p.run.in.KeyRenewals {
		return false
	}
	p.run.state.Renewals++
	// Never renewed where somebody revoked it meanwhile: that was meant.
	if err := p.issue(false); err != nil {
		workflow.GetLogger(ctx).Error("no vault key for one that expired; the rest is not written to", "phase", p.name, "error", err)
		p.result.StopReason = stopOf(err)
		return false
	}
	return true
}

func (p *noticePhase) input(from, to int) NotifyInput {
	return NotifyInput{
		From:           from,
		To:             to,
		RootWorkflowID: p.run.workflowID,
		RunLabel:       p.run.runLabel,
		ChargeKeyID:    p.run.state.Key.KeyID,
		VaultKey:       p.key.VaultKey,
		Customers:      p.run.in.Customers,
		Pinned:         p.run.state.Pinned,
		Plan:           p.run.in.Plan,
		Period:         p.run.in.Period,
		Receipts:       p.receipts,
		Texts:          p.texts,
	}
}

// progress is what a query shows while the phase goes on.
func (p *noticePhase) progress() {
	if p.name == activities.PhaseReceipts {
		p.run.emailsSent = p.result.Sent
	} else {
		p.run.textsSent = p.result.Sent
	}
}

// awaitProof gives the proxy time to look up what is open, while the key lives.
func (p *noticePhase) awaitProof(ctx workflow.Context) {
	deadline := workflow.Now(ctx).Add(min(noticeSettle, p.run.in.SettleTimeout))
	for pause := time.Second; ; pause = min(2*pause, 10*time.Second) {
		spend, err := p.spend(time.Minute)
		if err == nil && spend.Unknown == 0 && spend.InFlight == 0 {
			return
		}
		left := deadline.Sub(workflow.Now(ctx))
		if left <= 0 || workflow.Sleep(ctx, min(pause, left)) != nil {
			return
		}
	}
}

func (p *noticePhase) revoke() {
	var a *activities.Activities
	detached := p.detached
	err := workflow.ExecuteActivity(controlOptions(detached, cleanUpTimeout), a.RevokeVaultKey,
		activities.RevokeInput{KeyID: p.key.KeyID}).Get(detached, nil)
	if err != nil {
		workflow.GetLogger(detached).Error("the phase's vault key could not be revoked; it lives until it expires",
			"phase", p.name, "key_id", p.key.KeyID, "error", err)
	}
	p.revoked = err == nil
}

// resolve reads from the ledger what the pages could not tell. That the ledger
// has no call of an item counts only once the key is revoked there.
func (p *noticePhase) resolve() {
	var still Ranges
	readable := true
	for _, span := range p.result.InDoubt {
		for from := span.From; from < span.To; from += noticePage {
			to := min(from+noticePage, span.To)
			if readable {
				readable = p.readPage(from, to, &still)
			}
			if !readable {
				still.Add(from, to)
			}
		}
	}
	p.result.InDoubt = still
}

// readPage stops at the first page that cannot be read: as long again for each of
// the others could take days.
func (p *noticePhase) readPage(from, to int, still *Ranges) bool {
	var a *activities.Activities
	var read activities.NoticeResult
	detached := p.detached
	in := p.input(from, to)
	page := in.page(from, to)
	page.VaultKey = ""
	err := workflow.ExecuteActivity(readOptions(detached), a.ReadNotices, activities.ReadNoticesInput{
		Page: page, Phase: p.name, NoticeLabel: p.label(), NoticeKeyID: p.key.KeyID,
	}).Get(detached, &read)
	if err != nil {
		workflow.GetLogger(detached).Error("the ledger could not be read; the notices from this one on stay unknown",
			"phase", p.name, "item", from, "error", err)
		return false
	}
	var found NotifyResult
	if !found.count(read.Outcomes, from, to) {
		return false
	}
	if !p.revoked {
		for i := range len(read.Outcomes) {
			if read.Outcomes[i] == activities.NoticeNotTried {
				found.InDoubt.Add(from+i, from+i+1)
			}
		}
	}
	still.Merge(found.InDoubt)
	found.InDoubt = nil
	p.result.merge(found)
	return true
}

func (p *noticePhase) spend(within time.Duration) (activities.Spend, error) {
	var a *activities.Activities
	var spend activities.Spend
	detached := p.detached
	err := workflow.ExecuteActivity(controlOptions(detached, within), a.SpendReport,
		activities.ReportInput{RunLabel: p.label(), KeyID: p.key.KeyID}).Get(detached, &spend)
	return spend, err
}

func (p *noticePhase) sumUp() {
	p.progress()
	counted := p.result.Sent + p.result.Failed + p.result.Skipped
	unknown := p.result.InDoubt.Len()
	// An item in doubt may be one that was not charged, where nothing could be read.
	unknown = min(unknown, max(0, p.run.state.Tally.Charged-counted))
	p.summary = NoticeSummary{
		RunLabel:     p.label(),
		KeyID:        p.key.KeyID,
		KeyRevoked:   p.revoked,
		Sent:         p.result.Sent,
		Failed:       p.result.Failed,
		Skipped:      p.result.Skipped,
		Unknown:      unknown,
		NotAttempted: max(0, p.run.state.Tally.Charged-counted-unknown),
		CapUSD:       p.budget,
		StopReason:   p.result.StopReason,
	}
	var failed, open bool
	p.summary.FailedItems, failed = p.result.FailedAt.Clip(outcome.MaxRanges)
	p.summary.UnknownItems, open = p.result.InDoubt.Clip(outcome.MaxRanges)
	p.summary.Truncated = failed || open
	if p.key.KeyID == "" {
		p.summary.LedgerRead = true // without a key nothing was spent
		return
	}
	spend, err := p.spend(cleanUpTimeout)
	if err != nil {
		workflow.GetLogger(p.detached).Error("the ledger could not be read; the phase's cost is missing", "phase", p.name, "error", err)
		return
	}
	p.summary.LedgerRead = true
	p.summary.CommittedUSD, p.summary.UnknownUSD = spend.CommittedUSD, spend.UnknownUSD
	p.summary.CostUSD = spend.SettledUSD
	if sum, err := money.Add(spend.SettledUSD, spend.CommittedUSD); err == nil {
		p.summary.CostUSD = sum
	}
}

// readOptions are for reading a page of notices back: as many calls of the
// control plane as it has items, and the list.
func readOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithStartToCloseTimeout(controlOptions(ctx, cleanUpTimeout), 5*time.Minute)
}
