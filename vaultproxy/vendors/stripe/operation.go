package stripe

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Names of operations that something besides the table speaks of.
const (
	intentCreate  = "payment_intents.create"
	intentConfirm = "payment_intents.confirm"
	read          = "read"
)

// operation is one write that the profile understands.
type operation struct {
	name   string
	path   string // a template; "{id}" stands for an object
	prefix string // of the ID in the path
	params map[string]shape
	// only are parameters that may have one value, since with another one the
	// call cannot be bounded.
	only map[string]rule
	// denied are parameters whose cost cannot be bounded, with the reason.
	denied map[string]string
	// price works out what the call may cost; nil: it moves no money.
	price pricing
	// If moneyParams are given, the call moves money only with one of them.
	moneyParams []string

	effect effect
	object string // what a success answers with, as Stripe's objects call themselves
	end    string // the status that an effect of ends comes to
	// list is where what was made is listed, empty if nothing is made. It is a
	// path in which "{id}" stands for the target.
	list    string
	filters []string // parameters of the call that its list can be narrowed by
	undated bool     // the list cannot be narrowed by time
	// untouched and unclear read an object that a call whose answer is lost was to
	// move: untouched proves that it was not, unclear that the object does not tell.
	untouched func(object) bool
	unclear   func(object, vendors.Sent) bool
	past      string // what the object was, if it was done: "captured"
}

// effect is what a call does about money once it has succeeded.
type effect int

const (
	records effect = iota // nothing
	makes                 // makes an object, whose state says what it comes to
	moves                 // moves the object in the path, whose state says what it comes to
	ends                  // ends the object in the path: what was held for it is free
	adds                  // adds to a draft invoice, on which the amount is held
)

// shape is how a parameter must be written.
type shape int

const (
	scalar shape = iota // name=value
	nested              // name[member]=value
)

// shapes are parameters by their names: those with a value, and those with members.
func shapes(scalars, nesteds string) map[string]shape {
	all := map[string]shape{}
	for name := range strings.FieldsSeq(scalars) {
		all[name] = scalar
	}
	for name := range strings.FieldsSeq(nesteds) {
		all[name] = nested
	}
	return all
}

// rule is the one value that a parameter may have.
type rule struct {
	value  string
	pinned bool // sent also if the caller left it out
	reason string
}

// operations are all writes that are passed on.
func operations() []operation {
	return slices.Concat(intentOperations(), chargeOperations(), balanceOperations(), invoiceOperations(), recordOperations())
}

// table is operations, made once.
var table = operations()

// named returns an operation by its name.
func named(name string) (operation, bool) {
	for _, op := range table {
		if op.name == name {
			return op, true
		}
	}
	return operation{}, false
}

// find returns the operation of a write, and the object in its path.
func find(r vendors.Request) (operation, string, error) {
	if r.Method == http.MethodPost {
		for _, op := range table {
			if object, ok := matches(op.path, op.prefix, r.Path); ok {
				return op, object, nil
			}
		}
	}
	return operation{}, "", &vendors.Refusal{Code: vendors.Unmetered, Message: whyDenied(r)}
}

// matches compares a path with a template.
func matches(template, prefix, path string) (object string, ok bool) {
	wants, segments := strings.Split(template, "/"), strings.Split(path, "/")
	if len(segments) != len(wants) {
		return "", false
	}
	for i, want := range wants {
		switch {
		case want == "{id}" && strings.HasPrefix(segments[i], prefix) && !strings.ContainsAny(segments[i], ".-"):
			object = segments[i]
		case want != segments[i]:
			return "", false
		}
	}
	return object, true
}

// creates reports whether the operation makes an object, which can carry a stamp.
func (op operation) creates() bool { return op.list != "" }

// checkParams refuses a parameter that the profile does not know, or that has
// another shape than Stripe gives it.
func (op operation) checkParams(params vendors.Params) error {
	for _, p := range params {
		root := vendors.Root(p.Name)
		form, known := op.params[root]
		if share, yes := connect[root]; yes && !known {
			if !share.on[op.name] {
				return beyondScope(root)
			}
			form, known = share.shape, true
		}
		if reason := op.denied[root]; reason != "" {
			return &vendors.Refusal{Code: vendors.Unmetered, Param: root, Message: root + " is not metered: " + reason}
		}
		if !known {
			return &vendors.Refusal{
				Code: vendors.Invalid, Param: root,
				Message: root + " is not a parameter of " + op.name + " that Tollgate knows; remove it",
			}
		}
		if bare := root == p.Name; (form == scalar && !bare) || (form == nested && bare) {
			return &vendors.Refusal{
				Code: vendors.Ambiguous, Param: root,
				Message: root + " has not the shape that Stripe gives it",
			}
		}
		if only, ok := op.only[root]; ok && p.Value != only.value {
			return &vendors.Refusal{Code: vendors.Unmetered, Param: root, Message: root + " must be " + only.value + ": " + only.reason}
		}
		if root == "metadata" && strings.HasPrefix(strings.ToLower(p.Name), "metadata[tollgate") {
			return &vendors.Refusal{
				Code: vendors.Invalid, Param: root,
				Message: "metadata names that start with tollgate are Tollgate's own; choose another",
			}
		}
		if err := checkValue(p); err != nil {
			return err
		}
	}
	return nil
}

// pin sets what has to be said and was left out.
func (op operation) pin(params vendors.Params) vendors.Params {
	for name, only := range op.only {
		if only.pinned {
			params = params.With(name, only.value)
		}
	}
	return params
}

// movesMoney reports whether a call with these parameters does.
func (op operation) movesMoney(params vendors.Params) bool {
	if len(op.moneyParams) == 0 {
		return op.effect != records
	}
	return slices.ContainsFunc(op.moneyParams, func(name string) bool {
		_, sent := params.Get(name)
		return sent
	})
}
