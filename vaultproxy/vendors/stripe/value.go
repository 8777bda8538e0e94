package stripe

import (
	"slices"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// choices are the values of parameters that decide what a call does with the
// money, as Stripe's SDKs write them. In another spelling it is Stripe's guess
// what is meant, and judging the answer would be ours.
var choices = map[string][]string{
	"capture":     {"true", "false"},
	"confirm":     {"true", "false"},
	"off_session": {"true", "false", "one_off", "recurring"},
}

// means are members that Stripe shows only to who asks for them, and that pay or
// unlock by themselves: an issued card's number and code, an account's number, a
// stored secret. https://docs.stripe.com/api/issuing/cards/object,
// https://docs.stripe.com/api/treasury/financial_accounts/object,
// https://docs.stripe.com/api/secret_management/object
var means = []string{"number", "cvc", "account_number", "payload"}

// checkExpand refuses to have such members shown: they would be spent past the proxy.
func checkExpand(params vendors.Params) error {
	for _, p := range params {
		if vendors.Root(p.Name) != "expand" {
			continue
		}
		for member := range strings.SplitSeq(strings.ToLower(p.Value), ".") {
			if slices.Contains(means, strings.TrimSpace(member)) {
				return &vendors.Refusal{
					Code: vendors.Unmetered, Param: "expand",
					Message: member + " is not shown through Tollgate: with it, money is spent past the proxy",
				}
			}
		}
	}
	return nil
}

// checkValue holds parameters to values and members that have one reading.
func checkValue(p vendors.Param) error {
	root := vendors.Root(p.Name)
	if allowed, ok := choices[p.Name]; ok && !slices.Contains(allowed, p.Value) {
		return &vendors.Refusal{
			Code: vendors.Ambiguous, Param: root, Message: root + " must be one of " + strings.Join(allowed, ", ") + ", spelt like that",
		}
	}
	// A list, or members of members: with the stamp among them it would have two
	// shapes, and an object that lost its stamp cannot be found again.
	if root == "metadata" && (strings.Count(p.Name, "[") != 1 || strings.HasSuffix(p.Name, "[]")) {
		return &vendors.Refusal{
			Code: vendors.Ambiguous, Param: root, Message: "metadata takes names with one value each: metadata[name]",
		}
	}
	return nil
}
