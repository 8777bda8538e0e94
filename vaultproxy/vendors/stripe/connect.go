package stripe

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// share is a parameter that gives a part of a payment to another account, or acts
// for one. https://docs.stripe.com/connect/charges
type share struct {
	shape shape
	on    map[string]bool // operations on which a key's scope may allow it
}

// connect are these parameters, with the operations that know them besides their
// own. On another one they are refused, whatever the scope: they would move money
// by rules that no price here covers.
var connect = map[string]share{
	"application_fee_amount": {shape: scalar, on: on(intentCreate, "payment_intents.update", "payment_intents.capture", "charges.create", "charges.capture")},
	"on_behalf_of":           {shape: scalar, on: on(intentCreate, "charges.create")},
	"transfer_data":          {shape: nested, on: on(intentCreate, "payment_intents.update", "payment_intents.capture", "charges.create", "charges.capture")},
	"transfer_group":         {shape: scalar, on: on(intentCreate, "charges.create")},
	"application_fee":        {},
	"destination":            {},
	"reverse_transfer":       {},
	"refund_application_fee": {},
}

func on(operations ...string) map[string]bool {
	set := make(map[string]bool, len(operations))
	for _, name := range operations {
		set[name] = true
	}
	return set
}

func beyondScope(param string) *vendors.Refusal {
	return &vendors.Refusal{
		Code: vendors.ScopeDenied, Param: param,
		Message: param + " would act for another account or move money to it, which this vault key's scope does not allow",
	}
}

// checkAccount holds Stripe-Account to the accounts of the scope.
func checkAccount(r vendors.Request, scope ledger.Scope) error {
	if account := r.Header[accountHeader]; account != "" && !slices.Contains(scope.Accounts, account) {
		return refuse(vendors.ScopeDenied, "Stripe-Account names an account that is not among connected_accounts of this vault key's scope")
	}
	return nil
}

// shares reports whether a parameter gives something to another account. The
// destination of a payout is a bank account of one's own.
func (op operation) shares(root string) bool {
	_, yes := connect[root]
	_, own := op.params[root]
	return yes && (!own || op.object == "transfer")
}

// checkConnect holds the shares that a write gives away to the scope, and those
// that the object gives away on which it acts.
func (m *metering) checkConnect(ctx context.Context, op operation) error {
	scope, shares := m.view.Scope(), false
	for _, p := range m.Request.Body {
		root := vendors.Root(p.Name)
		if !op.shares(root) {
			continue
		}
		shares = true
		allowed := false
		switch p.Name {
		case "application_fee_amount":
			allowed = scope.ApplicationFees
		case "on_behalf_of", "transfer_data[destination]", "destination":
			allowed = slices.Contains(scope.Accounts, p.Value)
		case "transfer_data[amount]", "transfer_group":
			allowed = len(scope.Accounts) > 0
		}
		if !allowed {
			return beyondScope(root)
		}
	}
	if !shares || m.Target == "" {
		return nil
	}
	obj, err := m.inPath(ctx)
	if err != nil {
		return err
	}
	return obj.checkAccounts(scope)
}

// checkAccounts: what an object shares, it shares with accounts of the scope.
func (o object) checkAccounts(scope ledger.Scope) error {
	if o.OnBehalfOf != "" && !slices.Contains(scope.Accounts, string(o.OnBehalfOf)) {
		return beyondScope("on_behalf_of")
	}
	if o.TransferData != nil && !slices.Contains(scope.Accounts, string(o.TransferData.Destination)) {
		return beyondScope("transfer_data")
	}
	return nil
}

// checkShares bounds what a call gives away by what it takes. It comes after
// metering, which pins amounts that were left out.
func (m *metering) checkShares(ctx context.Context) error {
	for _, name := range []string{"application_fee_amount", "transfer_data[amount]"} {
		text, ok := m.Request.Body.Get(name)
		if !ok {
			continue
		}
		part, err := parseAmount(name, text)
		if err != nil {
			return err
		}
		whole, err := m.payment(ctx)
		if err != nil {
			return err
		}
		if part > whole {
			return &vendors.Refusal{
				Code: vendors.AmountInvalid, Param: vendors.Root(name), Message: fmt.Sprintf("%s is more than the payment itself", name),
			}
		}
	}
	return nil
}

// payment is the amount of what a write makes or moves, in minor units.
func (m *metering) payment(ctx context.Context) (int64, error) {
	for _, name := range []string{"amount_to_capture", "amount"} {
		if text, ok := m.Request.Body.Get(name); ok {
			return strconv.ParseInt(text, 10, 64) // metered already
		}
	}
	if m.Target == "" {
		return 0, refuse(vendors.AmountInvalid, "the payment that this is a part of has no amount")
	}
	obj, err := m.inPath(ctx)
	return obj.Amount, err
}

// inPath reads the object in the path, of whatever sort it is.
func (m *metering) inPath(ctx context.Context) (object, error) {
	collection, _, _ := strings.Cut(strings.TrimPrefix(m.Request.Path, "/v1/"), "/")
	return fetch(ctx, m.view, "/v1/"+collection+"/", m.Target, nil)
}

// reference is the ID of another object, which may be given in full in its place.
type reference string

// UnmarshalJSON reads an ID, null, or an object with an ID.
func (r *reference) UnmarshalJSON(b []byte) error {
	var full struct {
		ID string `json:"id"`
	}
	switch {
	case string(b) == "null":
		return nil
	case len(b) > 0 && b[0] == '{':
		if err := json.Unmarshal(b, &full); err != nil {
			return err
		}
		*r = reference(full.ID)
		return nil
	}
	return json.Unmarshal(b, (*string)(r))
}

type transferData struct {
	Destination reference `json:"destination"`
}
