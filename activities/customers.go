package activities

import (
	"context"
	"errors"
	"io/fs"

	"github.com/tollgate/tollgate/activities/customerlist"
)

// PinInput names a list, and what its starter saw of it.
type PinInput struct {
	Source   customerlist.Source `json:"source"`
	Expected customerlist.Pinned `json:"expected"` // an empty SHA256: whatever is there now
}

// PinCustomers validates the whole list and fixes its content for the run. It
// fails as CustomerListChanged if that is not what was expected.
func (a *Activities) PinCustomers(ctx context.Context, in PinInput) (customerlist.Pinned, error) {
	pinned, err := customerlist.Pin(ctx, in.Source)
	if err != nil {
		return customerlist.Pinned{}, listError(err)
	}
	if in.Expected.SHA256 != "" && in.Expected != pinned {
		return customerlist.Pinned{}, listError(&customerlist.ChangedError{Source: in.Source.String()})
	}
	return pinned, nil
}

// FetchInput asks for the items [From, To) of a pinned list.
type FetchInput struct {
	Source customerlist.Source `json:"source"`
	Pinned customerlist.Pinned `json:"pinned"`
	From   int                 `json:"from"`
	To     int                 `json:"to"`
}

// FetchResult is a page of the list.
type FetchResult struct {
	Customers []customerlist.Customer `json:"customers"`
}

// FetchCustomers reads one page. It fails as CustomerListChanged if the page is
// not from the bytes that were pinned.
func (a *Activities) FetchCustomers(ctx context.Context, in FetchInput) (FetchResult, error) {
	page, err := a.lists.Page(ctx, in.Source, in.Pinned, in.From, in.To)
	if err != nil {
		return FetchResult{}, listError(err)
	}
	return FetchResult{Customers: page}, nil
}

func listError(err error) error {
	var changed *customerlist.ChangedError
	var unusable *customerlist.Error
	switch {
	case errors.As(err, &changed):
		return rule{errorType: TypeCustomerListChanged, text: changed.Error()}.applicationError("", 0)
	case errors.As(err, &unusable):
		return rule{errorType: TypeInvalidCustomerList, text: unusable.Discreet()}.applicationError("", 0)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		return rule{errorType: TypeInvalidCustomerList, text: err.Error() + "; the list must be readable where the worker runs"}.applicationError("", 0)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return rule{errorType: TypeCustomerListUnread, retry: true, text: "reading the customer list was interrupted"}.applicationError("", 0)
	}
	return rule{errorType: TypeCustomerListUnread, retry: true, text: err.Error()}.applicationError("", 0)
}
