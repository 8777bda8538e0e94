package vendorsim

import (
	"maps"
	"time"
)

// Statuses of a PaymentIntent (docs.stripe.com/payments/paymentintents/lifecycle).
const (
	requiresPaymentMethod = "requires_payment_method"
	requiresConfirmation  = "requires_confirmation"
	requiresAction        = "requires_action"
	requiresCapture       = "requires_capture"
	processing            = "processing"
	succeeded             = "succeeded"
	canceled              = "canceled"
)

// intent is a PaymentIntent. Its maps and slices are replaced, never changed, so that a view may
// share them.
type intent struct {
	identity
	clientSecret string

	amount, capturable, received int64
	currency, customer           string
	texts                        intentTexts
	metadata                     map[string]string

	captureMethod, confirmationMethod string
	methodTypes                       []string
	automatic                         bool
	allowRedirects                    string
	setupFutureUsage                  string

	status        string
	paymentMethod string
	latestCharge  string
	lastError     *errorView
	nextAction    map[string]any
	canceledAt    int64
	cancelReason  string

	authorizedAt    time.Time
	processingSince time.Time
	processingReads int
	processingFails bool
}

// intentTexts are kept and returned and mean nothing else.
type intentTexts struct {
	description, receiptEmail, statementDescriptor, statementSuffix, transferGroup string
}

// field serves the filters of lists.
func (in *intent) field(name string) string {
	if name == "customer" {
		return in.customer
	}
	return ""
}

// automaticView is the automatic_payment_methods of a PaymentIntent.
type automaticView struct {
	AllowRedirects string `json:"allow_redirects"`
	Enabled        bool   `json:"enabled"`
}

// amountDetails is the amount_details of a PaymentIntent without a tip.
type amountDetails struct {
	Tip struct{} `json:"tip"`
}

// intentView is a PaymentIntent as Stripe shows it.
type intentView struct {
	ID                      string            `json:"id"`
	Object                  string            `json:"object"`
	Amount                  int64             `json:"amount"`
	AmountCapturable        int64             `json:"amount_capturable"`
	AmountDetails           amountDetails     `json:"amount_details"`
	AmountReceived          int64             `json:"amount_received"`
	Application             *string           `json:"application"`
	ApplicationFeeAmount    *int64            `json:"application_fee_amount"`
	AutomaticPaymentMethods *automaticView    `json:"automatic_payment_methods"`
	CanceledAt              *int64            `json:"canceled_at"`
	CancellationReason      *string           `json:"cancellation_reason"`
	CaptureMethod           string            `json:"capture_method"`
	ClientSecret            string            `json:"client_secret"`
	ConfirmationMethod      string            `json:"confirmation_method"`
	Created                 int64             `json:"created"`
	Currency                string            `json:"currency"`
	Customer                *string           `json:"customer"`
	Description             *string           `json:"description"`
	Invoice                 *string           `json:"invoice"`
	LastPaymentError        *errorView        `json:"last_payment_error"`
	LatestCharge            any               `json:"latest_charge"`
	Livemode                bool              `json:"livemode"`
	Metadata                map[string]string `json:"metadata"`
	NextAction              map[string]any    `json:"next_action"`
	OnBehalfOf              *string           `json:"on_behalf_of"`
	PaymentMethod           *string           `json:"payment_method"`
	PaymentMethodOptions    struct{}          `json:"payment_method_options"`
	PaymentMethodTypes      []string          `json:"payment_method_types"`
	Processing              *struct{}         `json:"processing"`
	ReceiptEmail            *string           `json:"receipt_email"`
	Review                  *string           `json:"review"`
	SetupFutureUsage        *string           `json:"setup_future_usage"`
	Shipping                *struct{}         `json:"shipping"`
	Source                  *string           `json:"source"`
	StatementDescriptor     *string           `json:"statement_descriptor"`
	StatementSuffix         *string           `json:"statement_descriptor_suffix"`
	Status                  string            `json:"status"`
	TransferData            *struct{}         `json:"transfer_data"`
	TransferGroup           *string           `json:"transfer_group"`
}

// orNull turns "" into JSON's null.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (in *intent) view() *intentView {
	v := &intentView{
		ID: in.id, Object: "payment_intent", Amount: in.amount, AmountCapturable: in.capturable,
		AmountReceived:     in.received,
		CancellationReason: orNull(in.cancelReason), CaptureMethod: in.captureMethod,
		ClientSecret: in.clientSecret, ConfirmationMethod: in.confirmationMethod,
		Created: in.created, Currency: in.currency, Customer: orNull(in.customer),
		Description: orNull(in.texts.description), LastPaymentError: in.lastError,
		Metadata: in.metadata, NextAction: in.nextAction, PaymentMethod: orNull(in.paymentMethod),
		PaymentMethodTypes: in.methodTypes,
		ReceiptEmail:       orNull(in.texts.receiptEmail), SetupFutureUsage: orNull(in.setupFutureUsage),
		StatementDescriptor: orNull(in.texts.statementDescriptor), StatementSuffix: orNull(in.texts.statementSuffix),
		Status: in.status, TransferGroup: orNull(in.texts.transferGroup),
	}
	if in.latestCharge != "" {
		v.LatestCharge = in.latestCharge
	}
	if in.canceledAt != 0 {
		at := in.canceledAt
		v.CanceledAt = &at
	}
	if in.automatic {
		v.AutomaticPaymentMethods = &automaticView{AllowRedirects: in.allowRedirects, Enabled: true}
	}
	return v
}

// shownIntent is the view with its latest charge expanded on demand. Needs the store's lock.
func (s *stripe) shownIntent(in *intent, expand bool) *intentView {
	v := in.view()
	if expand && in.latestCharge != "" {
		v.LatestCharge = s.store.charges.byID[in.latestCharge].view()
	}
	return v
}

// showIntent shows a PaymentIntent to a reader, which may be what ends its processing.
func showIntent(s *stripe, c *call, in *intent, expand bool) any {
	s.observe(in)
	return s.shownIntent(in, expand)
}

// observe counts a read of a PaymentIntent in processing and settles it when it has been read
// often enough. Needs the store's lock.
func (s *stripe) observe(in *intent) {
	if in.status != processing {
		return
	}
	in.processingReads++
	if in.processingReads >= s.sim.cfg.ProcessingReads {
		s.settle(in)
	}
}

// settle ends the processing of a PaymentIntent. Needs the store's lock.
func (s *stripe) settle(in *intent) {
	delete(s.store.processing, in.id)
	ch := s.store.charges.byID[in.latestCharge]
	if in.processingFails {
		failure := &cardFailure{"payment_intent_payment_attempt_failed", "", "the payment failed"}
		ch.status, ch.failure = chargeFailed, failure
		in.fail(failure, ch.id, in.paymentMethod)
		s.sim.journal.append(event{kind: eventFailed, charge: ch.id})
		return
	}
	ch.status, ch.paid, ch.captured, ch.amountCaptured = chargeSucceeded, true, true, ch.amount
	in.status, in.received = succeeded, in.amount
	s.sim.journal.append(event{kind: eventSettled, charge: ch.id, amount: ch.amount})
}

// fail sends a PaymentIntent back to where it needs another payment method.
func (in *intent) fail(f *cardFailure, chargeID, method string) {
	in.status, in.paymentMethod, in.nextAction = requiresPaymentMethod, "", nil
	in.lastError = &errorView{
		Type: "card_error", Code: f.code, DeclineCode: f.decline, Message: f.message,
		Charge: chargeID, PaymentMethod: viewMethod(method),
	}
}

// mergeMetadata returns the old metadata with the new laid over it.
func mergeMetadata(old, added map[string]string) map[string]string {
	if len(added) == 0 {
		return old
	}
	merged := maps.Clone(old)
	maps.Copy(merged, added)
	return merged
}
