package stripe

import (
	"bytes"
	"encoding/json"
)

// object is what the profile reads of Stripe's objects. Amounts are in the
// currency's minor unit.
type object struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"`
	Status           string            `json:"status"`
	Currency         string            `json:"currency"`
	Amount           int64             `json:"amount"`
	AmountReceived   *int64            `json:"amount_received"`
	AmountCapturable int64             `json:"amount_capturable"`
	AmountCaptured   *int64            `json:"amount_captured"`
	AmountRefunded   int64             `json:"amount_refunded"`
	AmountReversed   int64             `json:"amount_reversed"`
	Captured         bool              `json:"captured"`
	LastPaymentError json.RawMessage   `json:"last_payment_error"`
	LatestCharge     json.RawMessage   `json:"latest_charge"`
	FailureCode      string            `json:"failure_code"`
	FailureMessage   string            `json:"failure_message"`
	Metadata         map[string]string `json:"metadata"`
	Customer         reference         `json:"customer"`
	OnBehalfOf       reference         `json:"on_behalf_of"`
	TransferData     *transferData     `json:"transfer_data"`
	Destination      reference         `json:"destination"` // of a transfer

	// Of an invoice.
	AmountDue       *int64          `json:"amount_due"`
	AmountPaid      *int64          `json:"amount_paid"`
	AmountRemaining *int64          `json:"amount_remaining"`
	Total           int64           `json:"total"`
	StartingBalance int64           `json:"starting_balance"`
	Attempted       bool            `json:"attempted"`
	AutoAdvance     bool            `json:"auto_advance"`
	Subscription    json.RawMessage `json:"subscription"`
	Parent          struct {
		Type string `json:"type"`
	} `json:"parent"` // names the subscription since 2025-03-31
	AutomaticTax struct {
		Enabled bool `json:"enabled"`
	} `json:"automatic_tax"`

	// Of an invoice item: the invoice that it is on.
	Invoice json.RawMessage `json:"invoice"`

	// Of a price.
	Type              string          `json:"type"`
	BillingScheme     string          `json:"billing_scheme"`
	UnitAmount        *int64          `json:"unit_amount"`
	TransformQuantity json.RawMessage `json:"transform_quantity"`
	CustomUnitAmount  json.RawMessage `json:"custom_unit_amount"`
}

// capturable is what a capture without an amount would take.
func (o object) capturable() int64 {
	if o.Object == "charge" {
		return o.Amount
	}
	if o.AmountCapturable > 0 {
		return o.AmountCapturable
	}
	return o.Amount
}

// refundable is what a refund without an amount would give back. In the version
// that requests are sent with, amount_refunded counts the part of an
// authorisation that was never captured; a charge that was captured under a
// version from 2025-03-31 on does not show it so.
// https://docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow
func (o object) refundable() int64 {
	if o.Object == "charge" {
		if !o.Captured || o.AmountCaptured == nil {
			return 0
		}
		if o.AmountRefunded >= o.Amount-*o.AmountCaptured {
			return o.Amount - o.AmountRefunded
		}
		return *o.AmountCaptured - o.AmountRefunded
	}
	var charge object
	if json.Unmarshal(o.LatestCharge, &charge) == nil && charge.Object == "charge" {
		return charge.refundable()
	}
	return 0
}

// due is what an invoice comes to: of a draft, with what its customer owes from
// before, in case that is added only when it is finalised.
func (o object) due() int64 {
	switch {
	case o.Status == "draft" && o.AmountDue != nil:
		return max(*o.AmountDue, o.Total+max(0, o.StartingBalance))
	case o.Status != "draft" && o.AmountRemaining != nil:
		return *o.AmountRemaining
	}
	return -1
}

func (o object) failed() bool { return !isNull(o.LastPaymentError) }

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || bytes.Equal(raw, []byte("null")) }

// isRef reports whether a member names an object, by its ID or expanded.
func isRef(raw json.RawMessage, id string) bool {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text == id
	}
	var expanded object
	return json.Unmarshal(raw, &expanded) == nil && expanded.ID == id
}
