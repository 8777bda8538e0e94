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
