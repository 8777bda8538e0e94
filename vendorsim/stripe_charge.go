package vendorsim

import "net/http"

// Statuses of a charge (docs.stripe.com/api/charges/object).
const (
	chargeSucceeded = "succeeded"
	chargePending   = "pending"
	chargeFailed    = "failed"
)

// charge is a Charge. Its maps are replaced, never changed.
type charge struct {
	identity
	amount, amountCaptured, amountRefunded int64
	currency, customer, intent             string
	metadata                               map[string]string
	method                                 string
	texts                                  intentTexts
	status                                 string
	paid, captured, refunded               bool
	failure                                *cardFailure
}

func (ch *charge) field(name string) string {
	switch name {
	case "customer":
		return ch.customer
	case "payment_intent":
		return ch.intent
	}
	return ""
}

// chargeOutcome is what the card's network said.
type chargeOutcome struct {
	NetworkStatus string  `json:"network_status"`
	Reason        *string `json:"reason"`
	Type          string  `json:"type"`
}

// chargeView is a Charge as Stripe shows it.
type chargeView struct {
	ID                  string            `json:"id"`
	Object              string            `json:"object"`
	Amount              int64             `json:"amount"`
	AmountCaptured      int64             `json:"amount_captured"`
	AmountRefunded      int64             `json:"amount_refunded"`
	BalanceTransaction  *string           `json:"balance_transaction"`
	BillingDetails      struct{}          `json:"billing_details"`
	Captured            bool              `json:"captured"`
	Created             int64             `json:"created"`
	Currency            string            `json:"currency"`
	Customer            *string           `json:"customer"`
	Description         *string           `json:"description"`
	Disputed            bool              `json:"disputed"`
	FailureCode         *string           `json:"failure_code"`
	FailureMessage      *string           `json:"failure_message"`
	Livemode            bool              `json:"livemode"`
	Metadata            map[string]string `json:"metadata"`
	Outcome             chargeOutcome     `json:"outcome"`
	Paid                bool              `json:"paid"`
	PaymentIntent       *string           `json:"payment_intent"`
	PaymentMethod       *string           `json:"payment_method"`
	ReceiptEmail        *string           `json:"receipt_email"`
	Refunded            bool              `json:"refunded"`
	StatementDescriptor *string           `json:"statement_descriptor"`
	Status              string            `json:"status"`
	TransferGroup       *string           `json:"transfer_group"`
}

func (ch *charge) view() *chargeView {
	v := &chargeView{
		ID: ch.id, Object: "charge", Amount: ch.amount, AmountCaptured: ch.amountCaptured,
		AmountRefunded: ch.amountRefunded, Captured: ch.captured,
		Created: ch.created, Currency: ch.currency, Customer: orNull(ch.customer),
		Description: orNull(ch.texts.description), Metadata: ch.metadata, Paid: ch.paid,
		PaymentIntent: orNull(ch.intent), PaymentMethod: orNull(ch.method),
		ReceiptEmail: orNull(ch.texts.receiptEmail), Refunded: ch.refunded,
		StatementDescriptor: orNull(ch.texts.statementDescriptor), Status: ch.status,
		TransferGroup: orNull(ch.texts.transferGroup),
		Outcome:       chargeOutcome{NetworkStatus: "approved_by_network", Type: "authorized"},
	}
	if ch.failure != nil {
		v.FailureCode, v.FailureMessage = orNull(ch.failure.code), orNull(ch.failure.message)
		v.Outcome = chargeOutcome{NetworkStatus: "declined_by_network", Type: "issuer_declined", Reason: orNull(ch.failure.decline)}
	}
	return v
}

// take books money as captured.
func (ch *charge) take(amount int64) {
	ch.paid, ch.captured, ch.amountCaptured = true, true, amount
}

// newCharge adds a charge, failed if there is a failure. Needs the store's lock.
func (s *stripe) newCharge(c *call, ch charge, failure *cardFailure) *charge {
	ch.id, ch.created, ch.status = s.ids.id("ch_"), c.now.Unix(), chargeSucceeded
	if failure != nil {
		ch.status, ch.failure = chargeFailed, failure
	}
	var indexes []string
	if ch.customer != "" {
		indexes = append(indexes, "customer="+ch.customer)
	}
	if ch.intent != "" {
		indexes = append(indexes, "payment_intent="+ch.intent)
	}
	s.store.charges.add(&ch, indexes...)
	return &ch
}

// open journals the start of a charge.
func (s *stripe) open(kind eventKind, c *call, ch *charge) {
	s.sim.journal.append(event{kind: kind, charge: ch.id, amount: ch.amount, opened: &ChargeTruth{
		PaymentIntent: ch.intent, Charge: ch.id, Customer: ch.customer, Amount: ch.amount,
		Currency: ch.currency, Metadata: ch.metadata, IdempotencyKey: c.key, Created: ch.created,
	}})
}

// capture takes held money. Needs the store's lock.
func (s *stripe) capture(ch *charge, amount int64) {
	ch.take(amount)
	s.sim.journal.append(event{kind: eventCaptured, charge: ch.id, amount: amount})
}

// createCharge prepares POST /v1/charges.
func (s *stripe) createCharge(c *call) (plan, *stripeError) {
	var ch charge
	var e *stripeError
	if ch.amount, ch.currency, e = s.price(c.params); e != nil {
		return nil, e
	}
	if ch.customer, e = s.customerParam(c.params); e != nil {
		return nil, e
	}
	if ch.method, e = c.params.text("source"); e != nil {
		return nil, e
	}
	if ch.method == "" && ch.customer == "" {
		return nil, invalid("parameter_missing", "source", "a source or a customer is required")
	}
	// A customer without a source is charged on a default card that pays.
	var behaviour methodBehaviour
	if ch.method != "" {
		if behaviour, e = s.method(ch.method, "source", "tok_", "card_", "src_"); e != nil {
			return nil, e
		}
	}
	capture, e := c.params.flag("capture", true)
	if e != nil {
		return nil, e
	}
	if ch.metadata, e = c.params.metadata(); e != nil {
		return nil, e
	}
	if ch.texts, e = readTexts(c.params); e != nil {
		return nil, e
	}
	if _, e = c.params.expands(""); e != nil {
		return nil, e
	}
	failure := behaviour.failure
	if behaviour.authenticate {
		failure = authenticationRequired()
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		made := s.newCharge(c, ch, failure)
		switch {
		case failure != nil:
			s.sim.journal.declined.Add(1)
			return (&stripeError{status: http.StatusPaymentRequired, details: errorView{
				Type: "card_error", Code: failure.code, DeclineCode: failure.decline,
				Message: failure.message, Charge: made.id,
			}}).outcome()
		case capture:
			made.take(made.amount)
			s.open(eventCharged, c, made)
		default:
			made.paid = true
			s.open(eventAuthorized, c, made)
		}
		return outcome{status: http.StatusOK, view: made.view()}
	}, nil
}

// updateCharge prepares POST /v1/charges/{id}.
func (s *stripe) updateCharge(c *call) (plan, *stripeError) {
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	ch, ok := s.store.charges.byID[c.id]
	if !ok {
		return nil, noSuch(http.StatusNotFound, "charge", "charge", c.id)
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		ch.metadata = mergeMetadata(ch.metadata, metadata)
		if c.params.has("description") {
			ch.texts.description = c.params.scalars["description"]
		}
		return outcome{status: http.StatusOK, view: ch.view()}
	}, nil
}

// captureCharge prepares POST /v1/charges/{id}/capture.
func (s *stripe) captureCharge(c *call) (plan, *stripeError) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	ch, ok := s.store.charges.byID[c.id]
	if !ok {
		return nil, noSuch(http.StatusNotFound, "charge", "charge", c.id)
	}
	amount, sent, e := c.params.whole("amount")
	if e != nil {
		return nil, e
	}
	if sent && amount < 1 {
		return nil, invalid("parameter_invalid_integer", "amount", "amount must be positive")
	}
	if _, e = c.params.expands(""); e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		switch {
		case ch.intent != "":
			return invalid("", "charge", "this charge belongs to a PaymentIntent; capture that").outcome()
		case ch.captured || ch.refunded || ch.status != chargeSucceeded:
			return invalid("charge_already_captured", "", "this charge has been captured, given back or has failed").outcome()
		}
		taken := ch.amount
		if sent {
			taken = amount
		}
		if taken > ch.amount {
			return invalid("amount_too_large", "amount", "at most %d can be captured", ch.amount).outcome()
		}
		s.capture(ch, taken)
		return outcome{status: http.StatusOK, view: ch.view()}
	}, nil
}

// getCharge prepares GET /v1/charges/{id}.
func (s *stripe) getCharge(c *call) (plan, *stripeError) {
	if _, e := c.params.expands(""); e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	ch, ok := s.store.charges.byID[c.id]
	if !ok {
		return nil, noSuch(http.StatusNotFound, "charge", "charge", c.id)
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		return outcome{status: http.StatusOK, view: ch.view()}
	}, nil
}
