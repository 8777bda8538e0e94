package activities

import (
	"context"
	"fmt"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/activities/outcome"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// HeldInput asks for the items of a pinned list above an amount.
type HeldInput struct {
	Source    customerlist.Source `json:"source"`
	Pinned    customerlist.Pinned `json:"pinned"`
	AboveUSD  money.USD           `json:"above_usd"`  // micro-USD
	MaxRanges int                 `json:"max_ranges"` // more than these are refused
}

// HeldResult are those items.
type HeldResult struct {
	Items outcome.Ranges `json:"items"`
}

// heldPage is how many customers are looked at together.
const heldPage = 1000

// HeldItems finds the items above an amount. It fails as TooManyApprovals if they
// are so many, and so far apart, that a run could not carry them along.
func (a *Activities) HeldItems(ctx context.Context, in HeldInput) (HeldResult, error) {
	var out HeldResult
	for from := 0; from < in.Pinned.Count; from += heldPage {
		page, err := a.lists.Page(ctx, in.Source, in.Pinned, from, min(from+heldPage, in.Pinned.Count))
		if err != nil {
			return HeldResult{}, listError(err)
		}
		for i, customer := range page {
			if money.USD(customer.AmountCents) > in.AboveUSD/money.Cent {
				out.Items.Add(from+i, from+i+1)
			}
		}
		if len(out.Items) > in.MaxRanges {
			return HeldResult{}, rule{
				errorType: TypeTooManyApprovals,
				text: fmt.Sprintf("more than %d groups of customers are above %s USD: raise that amount, let all charges wait, or sort the list by amount",
					in.MaxRanges, in.AboveUSD),
			}.applicationError("", 0)
		}
	}
	return out, nil
}
