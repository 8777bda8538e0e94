package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
)

const (
	// noticePage is how many items one activity writes to.
	noticePage = 200
	// noticeBatch is how many items one NotifyBatch has: 25 pages, which cost it at
	// most 6 events each, while the run sees 200 batches for the longest list.
	noticeBatch = 5000
	// pageTimeout bounds all attempts at one page. A page whose proxy is away for
	// that long ends the phase.
	pageTimeout = 30 * time.Minute
	// noticePatience bounds the attempts at one notice within one attempt at its page.
	noticePatience = time.Minute
	// pageHeartbeat is how soon a page is given to another worker if its own died.
	pageHeartbeat = 20 * time.Second
)

// NotifyInput is a range of the list whose charged customers are written to.
// Exactly one of Receipts and Texts is set.
type NotifyInput struct {
	From           int                 `json:"from"` // item index
	To             int                 `json:"to"`   // item index, not included
	RootWorkflowID string              `json:"root_workflow_id"`
	RunLabel       string              `json:"run_label"`     // of the charges
	ChargeKeyID    string              `json:"charge_key_id"` // by which their ledger is known
	VaultKey       string              `json:"vault_key"`     // of the phase
	Customers      customerlist.Source `json:"customers"`
	Pinned         customerlist.Pinned `json:"pinned"`
	Plan           string              `json:"plan"`
	Period         string              `json:"period"`
	Receipts       *ReceiptsInput      `json:"receipts,omitempty"`
	Texts          *TextsInput         `json:"texts,omitempty"`
}

// NotifyResult counts what became of a range. What a page could not tell is in
// InDoubt and in no count.
type NotifyResult struct {
	Sent       int    `json:"sent"`
	Failed     int    `json:"failed"`
	Skipped    int    `json:"skipped"`
	FailedAt   Ranges `json:"failed_at,omitempty"`
	InDoubt    Ranges `json:"in_doubt,omitempty"`
	StopReason string `json:"stop_reason,omitempty"`
}

// NotifyBatch writes to the charged customers of a range, one page after the
// other; within a page, calls are made at once. It returns its counts even if it
// was stopped or cancelled.
func NotifyBatch(ctx workflow.Context, in NotifyInput) (NotifyResult, error) {
	if in.From < 0 || in.From > in.To || in.To > in.Pinned.Count || (in.Receipts == nil) == (in.Texts == nil) {
		return NotifyResult{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("items [%d, %d) of %d are no batch of notices", in.From, in.To, in.Pinned.Count), TypeInvalidInput, nil)
	}
	var out NotifyResult
	for from := in.From; from < in.To && out.StopReason == ""; from += noticePage {
		if ctx.Err() != nil {
			out.StopReason = StopCanceled
			break
		}
		to := min(from+noticePage, in.To)
		result, err := in.sendPage(ctx, from, to)
		switch {
		case err != nil:
			// An attempt may have sent some of it before it was given up.
			out.InDoubt.Add(from, to)
			out.StopReason = stopOf(err)
		case !out.count(result.Outcomes, from, to):
			out.InDoubt.Add(from, to)
			out.StopReason = activities.TypeUnexpected
		default:
			out.StopReason = result.Stop
		}
	}
	return out, nil
}

func (in NotifyInput) sendPage(ctx workflow.Context, from, to int) (activities.NoticeResult, error) {
	var a *activities.Activities
	var result activities.NoticeResult
	page := in.page(from, to)
	ctx = pageOptions(ctx)
	if in.Receipts != nil {
		full := in.Receipts.withDefaults()
		page.Concurrency = full.Concurrency
		err := workflow.ExecuteActivity(ctx, a.SendReceipts, activities.ReceiptsInput{
			Page: page, Sender: full.From, Subject: full.Subject,
		}).Get(ctx, &result)
		return result, err
	}
	full := in.Texts.withDefaults()
	page.Concurrency = full.Concurrency
	err := workflow.ExecuteActivity(ctx, a.SendTexts, activities.TextsInput{
		Page: page, Sender: full.From, MessagingServiceSID: full.MessagingServiceSID, Body: full.Body,
	}).Get(ctx, &result)
	return result, err
}

func (in NotifyInput) page(from, to int) activities.NoticePage {
	return activities.NoticePage{
		VaultKey:       in.VaultKey,
		RootWorkflowID: in.RootWorkflowID,
		RunLabel:       in.RunLabel,
		ChargeKeyID:    in.ChargeKeyID,
		Customers:      in.Customers,
		Pinned:         in.Pinned,
		From:           from,
		To:             to,
		Plan:           in.Plan,
		Period:         in.Period,
		Concurrency:    defaultNoticeConcurrency,
		Patience:       noticePatience,
	}
}

// count adds a page's letters. It reports whether they were those of the page.
func (r *NotifyResult) count(letters string, from, to int) bool {
	if len(letters) != to-from {
		return false
	}
	for i := range len(letters) {
		item := from + i
		switch letters[i] {
		case activities.NoticeSent:
			r.Sent++
		case activities.NoticeFailed:
			r.Failed++
			r.FailedAt.Add(item, item+1)
		case activities.NoticeSkipped:
			r.Skipped++
		case activities.NoticeNone, activities.NoticeNotTried:
		default:
			r.InDoubt.Add(item, item+1)
		}
	}
	return true
}

func (r *NotifyResult) merge(other NotifyResult) {
	r.Sent += other.Sent
	r.Failed += other.Failed
	r.Skipped += other.Skipped
	r.FailedAt.Merge(other.FailedAt)
	r.InDoubt.Merge(other.InDoubt)
	if r.StopReason == "" {
		r.StopReason = other.StopReason
	}
}

// stopOf names what ended a phase whose page failed for good.
func stopOf(err error) string {
	if temporal.IsCanceledError(err) {
		return StopCanceled
	}
	if kind := activities.ErrorType(err); kind != "" {
		return kind
	}
	return activities.TypeUnexpected
}

func pageOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    pageTimeout,
		ScheduleToCloseTimeout: pageTimeout,
		HeartbeatTimeout:       pageHeartbeat,
		// What is being sent ends one way or the other, and has to be counted.
		WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    500 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    30 * time.Second,
		},
	})
}
