package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

var _ vendors.Scoper = (*Profile)(nil)

// maxScope bounds each list of a scope: it is stored with the key and gone through
// on each call.
const maxScope = 2000

// CheckScope says what is wrong with a scope.
func (*Profile) CheckScope(scope ledger.Scope) error {
	for _, list := range []struct {
		name, prefix string
		ids          []string
	}{{"customers", "cus_", scope.Customers}, {"connected_accounts", "acct_", scope.Accounts}} {
		if len(list.ids) > maxScope {
			return fmt.Errorf("scope.%s takes up to %d IDs", list.name, maxScope)
		}
		for i, id := range list.ids {
			if !isID(id, list.prefix) || len(id) > 255 {
				return fmt.Errorf("scope.%s: %.40q is not an ID that begins with %s", list.name, id, list.prefix)
			}
			if slices.Contains(list.ids[:i], id) {
				return fmt.Errorf("scope.%s names %s twice", list.name, id)
			}
		}
	}
	if scope.ApplicationFees && len(scope.Accounts) == 0 {
		return errors.New("scope.application_fees needs connected_accounts that a fee is taken from")
	}
	return nil
}

func outOfScope(message string) *vendors.Refusal {
	return &vendors.Refusal{Code: vendors.ScopeDenied, Param: "customer", Message: message}
}

const (
	otherCustomer = "this customer is not among scope.customers of this vault key"
	noCustomer    = "this vault key's scope names customers, and the request does not say which of them it is about"
)

// checkScope holds a write to the key's scope, before it is priced.
func (m *metering) checkScope(ctx context.Context, op operation) error {
	if err := m.checkConnect(ctx, op); err != nil {
		return err
	}
	customers := m.view.Scope().Customers
	if len(customers) == 0 {
		return nil
	}
	named, err := namesCustomer(m.Request.Body, customers)
	if err != nil {
		return err
	}
	owned, err := m.ownsAll(ctx, customers)
	if err != nil {
		return err
	}
	if !owned && !named {
		return outOfScope(noCustomer)
	}
	return nil
}

// namesCustomer reports whether parameters name a customer. Each that they name,
// at whatever depth, must be of the scope.
func namesCustomer(params vendors.Params, customers []string) (named bool, _ error) {
	for _, p := range params {
		if strings.HasPrefix(p.Name, "metadata[") || (p.Name != "customer" && !strings.HasSuffix(p.Name, "[customer]")) {
			continue
		}
		if !slices.Contains(customers, p.Value) {
			return false, outOfScope(otherCustomer)
		}
		named = named || p.Name == "customer"
	}
	return named, nil
}

// ownsAll reports whether the objects that a write acts on are customers' of the
// scope. One that is not is a refusal; none at all is neither.
func (m *metering) ownsAll(ctx context.Context, customers []string) (owned bool, _ error) {
	check := func(obj object, err error) error {
		if err == nil && obj.Customer == "" && m.Operation == "payment_methods.attach" {
			return nil // nobody's yet; whose it shall be is checked by the parameter
		}
		if err == nil && !slices.Contains(customers, string(obj.Customer)) {
			err = outOfScope("this object is not of a customer among scope.customers of this vault key")
		}
		owned = owned || err == nil
		return err
	}
	switch {
	case strings.HasPrefix(m.Target, "cus_"):
		if !slices.Contains(customers, m.Target) {
			return false, outOfScope(otherCustomer)
		}
		owned = true
	case m.Target != "":
		if err := check(m.inPath(ctx)); err != nil {
			return false, err
		}
	}
	for _, ref := range []struct{ param, path string }{
		{"charge", "/v1/charges/"}, {"source_transaction", "/v1/charges/"},
		{"payment_intent", "/v1/payment_intents/"}, {"invoice", "/v1/invoices/"},
	} {
		id, ok := m.Request.Body.Get(ref.param)
		if !ok {
			continue
		}
		if !isID(id, "") {
			return false, refuse(vendors.Invalid, ref.param+" is not an object ID")
		}
		if err := check(fetch(ctx, m.view, ref.path, id, nil)); err != nil {
			return false, err
		}
	}
	return owned, nil
}

// checkReadRequest refuses a read that can be told from its request to reach
// beyond the customers of the scope: lists are narrowed to one customer.
func checkReadRequest(r vendors.Request, scope ledger.Scope) error {
	if len(scope.Customers) == 0 {
		return nil
	}
	named, err := namesCustomer(r.Query, scope.Customers)
	if err != nil {
		return err
	}
	segments := strings.Split(strings.TrimPrefix(r.Path, "/v1/"), "/")
	switch {
	case slices.Contains(segments, "search"):
		return outOfScope("a search goes over all customers, and this vault key's scope names some; list by customer instead")
	case segments[0] == "customers" && len(segments) == 1:
		return outOfScope("a list of all customers reaches beyond scope.customers of this vault key; read them one by one")
	case segments[0] == "customers" && !slices.Contains(scope.Customers, segments[1]):
		return outOfScope(otherCustomer)
	case len(segments) == 1 && !named:
		return outOfScope(noCustomer)
	}
	return nil
}

// CheckRead refuses an answer that tells of a customer who is not of the scope, or
// of something that is no customer's.
func (*Profile) CheckRead(_ vendors.Request, a vendors.Answer, scope ledger.Scope) error {
	if len(scope.Customers) == 0 || a.Status < 200 || a.Status > 299 {
		return nil
	}
	var answer map[string]any
	if json.Unmarshal(a.Body, &answer) != nil {
		return outOfScope("the answer is none that could be held to scope.customers of this vault key")
	}
	if !allOf(answer, scope.Customers) {
		return outOfScope("the answer tells of a customer who is not among scope.customers of this vault key")
	}
	list := []any{answer}
	if answer["object"] == "list" {
		list, _ = answer["data"].([]any)
	}
	for _, one := range list {
		if customerOf(one) == "" {
			return outOfScope("the answer is about something that is no customer's, and this vault key's scope names customers")
		}
	}
	return nil
}

// allOf reports whether each customer that is told of, at whatever depth, is of the scope.
func allOf(value any, customers []string) bool {
	switch v := value.(type) {
	case []any:
		return !slices.ContainsFunc(v, func(one any) bool { return !allOf(one, customers) })
	case map[string]any:
		if id := customerOf(v); id != "" && !slices.Contains(customers, id) {
			return false
		}
		for name, member := range v {
			if name != "metadata" && !allOf(member, customers) {
				return false
			}
		}
	}
	return true
}

// customerOf is the customer that an object is, or that it belongs to.
func customerOf(value any) string {
	obj, ok := value.(map[string]any)
	if !ok {
		return ""
	}
	id, _ := obj["id"].(string)
	if obj["object"] == "customer" {
		return id
	}
	switch customer := obj["customer"].(type) {
	case string:
		return customer
	case map[string]any:
		id, _ := customer["id"].(string)
		return id
	}
	return ""
}
