package stripe

import (
	"net/http"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Names of the metered operations.
const (
	intentCreate  = "payment_intents.create"
	intentConfirm = "payment_intents.confirm"
	intentCapture = "payment_intents.capture"
	intentCancel  = "payment_intents.cancel"
	chargeCreate  = "charges.create"
	chargeCapture = "charges.capture"
	refundCreate  = "refunds.create"
	read          = "read"
)

// operation is one write that the profile understands.
type operation struct {
	name     string
	segments []string // below /v1; "{id}" stands for an object
	prefix   string   // of the object's ID
	params   map[string]kind
}

// kind is the shape that a parameter must have.
type kind int

const (
	scalar kind = iota // name=value
	nested             // name[member]=value
)

var operations = []operation{
	{name: intentCreate, segments: []string{"payment_intents"}, params: map[string]kind{
		"amount": scalar, "currency": scalar, "automatic_payment_methods": nested, "capture_method": scalar,
		"confirm": scalar, "confirmation_method": scalar, "customer": scalar, "description": scalar,
		"error_on_requires_action": scalar, "expand": nested, "mandate": scalar, "mandate_data": nested,
		"metadata": nested, "off_session": scalar, "payment_method": scalar,
		"payment_method_configuration": scalar, "payment_method_data": nested, "payment_method_options": nested,
		"payment_method_types": nested, "radar_options": nested, "receipt_email": scalar, "return_url": scalar,
		"setup_future_usage": scalar, "shipping": nested, "statement_descriptor": scalar,
		"statement_descriptor_suffix": scalar, "use_stripe_sdk": scalar,
	}},
	{name: intentConfirm, segments: []string{"payment_intents", "{id}", "confirm"}, prefix: "pi_", params: map[string]kind{
		"capture_method": scalar, "error_on_requires_action": scalar, "expand": nested, "mandate": scalar,
		"mandate_data": nested, "off_session": scalar, "payment_method": scalar, "payment_method_data": nested,
		"payment_method_options": nested, "payment_method_types": nested, "radar_options": nested,
		"receipt_email": scalar, "return_url": scalar, "setup_future_usage": scalar, "shipping": nested,
		"use_stripe_sdk": scalar,
	}},
	{name: intentCapture, segments: []string{"payment_intents", "{id}", "capture"}, prefix: "pi_", params: map[string]kind{
		"amount_to_capture": scalar, "expand": nested, "final_capture": scalar, "metadata": nested,
		"statement_descriptor": scalar, "statement_descriptor_suffix": scalar,
	}},
	{name: intentCancel, segments: []string{"payment_intents", "{id}", "cancel"}, prefix: "pi_", params: map[string]kind{
		"cancellation_reason": scalar, "expand": nested,
	}},
	{name: chargeCreate, segments: []string{"charges"}, params: map[string]kind{
		"amount": scalar, "currency": scalar, "capture": scalar, "customer": scalar, "description": scalar,
		"expand": nested, "metadata": nested, "radar_options": nested, "receipt_email": scalar, "shipping": nested,
		"source": scalar, "statement_descriptor": scalar, "statement_descriptor_suffix": scalar,
	}},
	{name: chargeCapture, segments: []string{"charges", "{id}", "capture"}, prefix: "ch_", params: map[string]kind{
		"amount": scalar, "expand": nested, "receipt_email": scalar, "statement_descriptor": scalar,
		"statement_descriptor_suffix": scalar,
	}},
	{name: refundCreate, segments: []string{"refunds"}, params: map[string]kind{
		"amount": scalar, "charge": scalar, "currency": scalar, "expand": nested, "metadata": nested,
		"payment_intent": scalar, "reason": scalar,
	}},
}

// connect are parameters that move money on to another account.
var connect = map[string]bool{
	"application_fee": true, "application_fee_amount": true, "destination": true, "on_behalf_of": true,
	"reverse_transfer": true, "refund_application_fee": true, "transfer_data": true, "transfer_group": true,
}

// find returns the operation of a write, and the object in its path.
func find(r vendors.Request) (operation, string, error) {
	segments := strings.Split(strings.TrimPrefix(r.Path, "/v1/"), "/")
	if r.Method == http.MethodPost && strings.HasPrefix(r.Path, "/v1/") {
		for _, op := range operations {
			if object, ok := op.matches(segments); ok {
				return op, object, nil
			}
		}
	}
	return operation{}, "", &vendors.Refusal{
		Code:    vendors.Unmetered,
		Message: "Tollgate does not meter this Stripe operation, so it is not passed on; metered are payment_intents, charges and refunds",
	}
}

func (op operation) matches(segments []string) (object string, ok bool) {
	if len(segments) != len(op.segments) {
		return "", false
	}
	for i, want := range op.segments {
		switch {
		case want == "{id}" && strings.HasPrefix(segments[i], op.prefix) && !strings.ContainsAny(segments[i], ".-"):
			object = segments[i]
		case want != segments[i]:
			return "", false
		}
	}
	return object, true
}

func (op operation) template() string { return "/v1/" + strings.Join(op.segments, "/") }

// creates reports whether the operation makes an object that can carry a stamp.
func creates(name string) bool {
	return name == intentCreate || name == chargeCreate || name == refundCreate
}

// checkParams refuses a parameter that the profile does not know, or that has
// another shape than Stripe gives it.
func (op operation) checkParams(params vendors.Params) error {
	for _, p := range params {
		root := vendors.Root(p.Name)
		if connect[root] {
			return &vendors.Refusal{
				Code: vendors.ScopeDenied, Param: root,
				Message: root + " would move money to another account, which this vault key's scope does not allow",
			}
		}
		shape, known := op.params[root]
		if !known {
			return &vendors.Refusal{
				Code: vendors.Invalid, Param: root,
				Message: root + " is not a parameter of " + op.name + " that Tollgate knows; remove it",
			}
		}
		if bare := root == p.Name; (shape == scalar && !bare) || (shape == nested && bare) {
			return &vendors.Refusal{
				Code: vendors.Ambiguous, Param: root,
				Message: root + " has not the shape that Stripe gives it",
			}
		}
		if root == "final_capture" && p.Value != "true" {
			// After a lost answer nothing would show whether this capture was made:
			// the payment stays requires_capture either way.
			return &vendors.Refusal{
				Code: vendors.Unmetered, Param: root,
				Message: "a capture that leaves the rest open for further captures is not metered; capture once",
			}
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
