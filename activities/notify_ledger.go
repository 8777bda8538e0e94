package activities

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/tollgate/tollgate/vaultproxy/client"
)

// ReadNoticesInput asks what the ledger knows of the notices of a page. The page
// needs no vault key.
type ReadNoticesInput struct {
	Page        NoticePage `json:"page"`
	Phase       string     `json:"phase"`
	NoticeLabel string     `json:"notice_label"`
	NoticeKeyID string     `json:"notice_key_id"`
}

// ReadNotices tells from the ledger alone how the notices of a page ended, where
// the activity that sent them could not. Nothing is sent.
func (a *Activities) ReadNotices(ctx context.Context, in ReadNoticesInput) (NoticeResult, error) {
	if err := in.Page.check(); err != nil {
		return NoticeResult{}, err
	}
	contacts, err := a.lists.Contacts(ctx, in.Page.Customers, in.Page.Pinned, in.Page.From, in.Page.To)
	if err != nil {
		return NoticeResult{}, listError(err)
	}
	charged, err := a.chargedItems(ctx, in.Page)
	if err != nil {
		return NoticeResult{}, err
	}
	letters := make([]byte, len(contacts))
	err = a.fromLedgerOf(ctx, in.NoticeKeyID, func() error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(in.Page.Concurrency)
		for i, contact := range contacts {
			if letters[i] = undue(charged[i], addressFor(in.Phase, contact)); letters[i] != NoticeNotTried {
				continue
			}
			group.Go(func() error {
				page, err := a.control.Calls(ctx, client.CallQuery{
					Run: in.NoticeLabel, IdempotencyKey: NoticeKey(in.Page.RootWorkflowID, in.Page.From+i, in.Phase),
				})
				letters[i] = noticeOutcome(page.Calls)
				return err
			})
		}
		return group.Wait()
	})
	if err != nil {
		return NoticeResult{}, err
	}
	return NoticeResult{Outcomes: string(letters)}, nil
}

// undue says why no notice goes to a customer; NoticeNotTried if one does.
func undue(charged bool, address string) byte {
	switch {
	case !charged:
		return NoticeNone
	case address == "":
		return NoticeSkipped
	}
	return NoticeNotTried
}

func noticeOutcome(calls []client.Call) byte {
	if len(calls) == 0 {
		return NoticeNotTried
	}
	switch calls[len(calls)-1].State {
	case "settled", "committed":
		return NoticeSent
	case "released":
		return NoticeFailed
	}
	return NoticeInDoubt
}
