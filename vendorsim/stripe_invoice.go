package vendorsim

import (
	"net/http"
	"strings"
)

// Statuses of an invoice (docs.stripe.com/invoicing/overview).
const (
	invoiceDraft         = "draft"
	invoiceOpen          = "open"
	invoicePaid          = "paid"
	invoiceVoid          = "void"
	invoiceUncollectible = "uncollectible"
)

func invoiceOperations() map[string]operation {
	return map[string]operation{
		"POST /v1/invoices": {money: true, prepare: (*stripe).createInvoice, params: paramSpec{
			"customer": scalar, "currency": scalar, "auto_advance": scalar, "collection_method": scalar, "days_until_due": scalar,
			"due_date": scalar, "description": scalar, "footer": scalar, "metadata": hash, "expand": list,
			"pending_invoice_items_behavior": scalar, "default_payment_method": scalar, "custom_fields": ignored,
			"statement_descriptor": scalar, "automatic_tax": hash,
		}},
		"POST /v1/invoices/{id}/finalize": {money: true, prepare: (*stripe).finalizeInvoice, params: paramSpec{
			"auto_advance": scalar, "expand": list,
		}},
		"POST /v1/invoices/{id}/pay": {money: true, prepare: (*stripe).payInvoice, params: paramSpec{
			"payment_method": scalar, "off_session": scalar, "expand": list, "mandate": ignored, "source": unmodelled,
			"forgive": unmodelled, "paid_out_of_band": unmodelled,
		}},
		"POST /v1/invoices/{id}/void":               moveRecord("invoice", "voided", invoiceVoid, nil, invoiceOpen, invoiceUncollectible),
		"POST /v1/invoices/{id}/mark_uncollectible": moveRecord("invoice", "marked uncollectible", invoiceUncollectible, nil, invoiceOpen),
		"GET /v1/invoices/{id}":                     getRecord("invoice"),
		"GET /v1/invoices":                          listRecords("invoice", "customer", "status"),

		"POST /v1/invoiceitems": {money: true, prepare: (*stripe).createItem, params: paramSpec{
			"customer": scalar, "invoice": scalar, "amount": scalar, "currency": scalar, "unit_amount": scalar, "quantity": scalar,
			"price": scalar, "description": scalar, "discountable": ignored, "period": ignored, "tax_behavior": ignored,
			"metadata": hash, "expand": list,
		}},
		"GET /v1/invoiceitems": listRecords("invoiceitem", "customer", "invoice"),
	}
}

func (s *stripe) createInvoice(c *call) (plan, *stripeError) {
	customer, e := s.customerParam(c.params)
	if e != nil {
		return nil, e
	}
	if customer == "" {
		return nil, missingParam("customer")
	}
	method, e := c.params.oneOf("collection_method", "charge_automatically", "charge_automatically", "send_invoice")
	if e != nil {
		return nil, e
	}
	if method == "send_invoice" && !c.params.has("days_until_due") && !c.params.has("due_date") {
		return nil, invalid("", "days_until_due", "an invoice that is sent needs days_until_due or due_date")
	}
	advances, e := c.params.flag("auto_advance", false)
	if e != nil {
		return nil, e
	}
	pending, e := c.params.oneOf("pending_invoice_items_behavior", "exclude", "exclude", "include")
	if e != nil {
		return nil, e
	}
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	currency := strings.ToLower(c.params.scalars["currency"])
	if currency == "" {
		currency = "usd"
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r := s.add(c, "invoice", map[string]any{
			"customer": customer, "currency": currency, "status": invoiceDraft, "auto_advance": advances, "collection_method": method,
			"amount_due": int64(0), "amount_paid": int64(0), "amount_remaining": int64(0), "total": int64(0), "starting_balance": int64(0),
			"attempted": false, "attempt_count": int64(0), "paid": false, "subscription": nil, "metadata": metadata,
			"automatic_tax": map[string]any{"enabled": c.params.hashes["automatic_tax"]["enabled"] == "true", "status": nil},
			"charge":        nil, "payment_intent": nil, "description": orNull(c.params.scalars["description"]),
		}, "customer")
		if pending == "include" {
			for _, item := range s.store.records["invoiceitem"].indexes["customer="+customer] {
				if item.field("invoice") == "" && item.field("currency") == currency {
					item.set(map[string]any{"invoice": r.id})
					r.addItem(item.number("amount"))
				}
			}
		}
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}

// addItem adds to a draft's sums.
func (r *record) addItem(amount int64) {
	total := r.number("total") + amount
	due := max(0, total)
	r.set(map[string]any{"total": total, "amount_due": due, "amount_remaining": due})
}

func (s *stripe) createItem(c *call) (plan, *stripeError) {
	customer, e := s.customerParam(c.params)
	if e != nil {
		return nil, e
	}
	if customer == "" {
		return nil, missingParam("customer")
	}
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	amount, currency, e := s.itemAmount(c.params)
	if e != nil {
		return nil, e
	}
	var invoice *record
	if id := c.params.scalars["invoice"]; id != "" {
		invoice = s.store.records["invoice"].byID[id]
		switch {
		case invoice == nil:
			return nil, noSuch(http.StatusBadRequest, "invoice", "invoice", id)
		case invoice.field("customer") != customer:
			return nil, invalid("", "invoice", "this invoice is another customer's")
		case currency != "" && invoice.field("currency") != currency:
			return nil, invalid("", "currency", "this invoice is in another currency")
		}
		currency = invoice.field("currency")
	}
	if currency == "" {
		return nil, missingParam("currency")
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		fields := map[string]any{"customer": customer, "amount": amount, "currency": currency, "invoice": nil, "metadata": metadata, "date": c.now.Unix()}
		if invoice != nil {
			if invoice.field("status") != invoiceDraft {
				return invalid("invoice_not_editable", "invoice", "items are added to drafts only").outcome()
			}
			fields["invoice"] = invoice.id
			invoice.addItem(amount)
		}
		r := s.add(c, "invoiceitem", fields, "customer", "invoice")
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}

// itemAmount reads what an item comes to. Needs the store's lock.
func (s *stripe) itemAmount(p params) (int64, string, *stripeError) {
	currency := strings.ToLower(p.scalars["currency"])
	quantity, several, e := p.whole("quantity")
	if e != nil {
		return 0, "", e
	}
	if !several {
		quantity = 1
	}
	amount, given, e := p.whole("amount")
	if e != nil {
		return 0, "", e
	}
	unit, units, e := p.whole("unit_amount")
	switch {
	case e != nil:
		return 0, "", e
	case given && (units || several || p.has("price")):
		return 0, "", invalid("parameters_exclusive", "amount", "amount goes without unit_amount, price and quantity")
	case given:
		return amount, currency, nil
	case units:
		return unit * quantity, currency, nil
	case p.has("price"):
		price, ok := s.store.records["price"].byID[p.scalars["price"]]
		if !ok {
			return 0, "", noSuch(http.StatusBadRequest, "price", "price", p.scalars["price"])
		}
		return price.number("unit_amount") * quantity, price.field("currency"), nil
	}
	return 0, "", missingParam("amount")
}

func (s *stripe) finalizeInvoice(c *call) (plan, *stripeError) {
	advances, e := c.params.flag("auto_advance", true)
	if e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, e := s.findRecord(c, "invoice")
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		if r.field("status") != invoiceDraft {
			return invalid("invoice_not_editable", "", "this invoice is finalized already").outcome()
		}
		changes := map[string]any{"status": invoiceOpen, "auto_advance": advances}
		if r.number("amount_due") == 0 {
			changes["status"], changes["paid"] = invoicePaid, true
		}
		r.set(changes)
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}

func (s *stripe) payInvoice(c *call) (plan, *stripeError) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, e := s.findRecord(c, "invoice")
	if e != nil {
		return nil, e
	}
	// A customer without a method is charged on a default card that pays.
	method, behaviour := c.params.scalars["payment_method"], methodBehaviour{}
	if method != "" {
		if behaviour, e = s.method(method, "payment_method", "pm_"); e != nil {
			return nil, e
		}
	}
	failure := behaviour.failure
	if behaviour.authenticate {
		failure = authenticationRequired()
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		if status := r.field("status"); status != invoiceOpen && status != invoiceUncollectible {
			return invalid("", "", "this invoice cannot be paid because its status is %s", status).outcome()
		}
		due := r.number("amount_remaining")
		ch := s.newCharge(c, charge{amount: due, currency: r.field("currency"), customer: r.field("customer"), method: method, metadata: map[string]string{}}, failure)
		r.set(map[string]any{"attempted": true, "attempt_count": int64(1), "charge": ch.id})
		if failure != nil {
			s.sim.journal.declined.Add(1)
			return (&stripeError{status: http.StatusPaymentRequired, details: errorView{
				Type: "card_error", Code: failure.code, DeclineCode: failure.decline, Message: failure.message, Charge: ch.id,
			}}).outcome()
		}
		ch.take(due)
		s.open(eventCharged, c, ch)
		r.set(map[string]any{"status": invoicePaid, "paid": true, "amount_paid": due, "amount_remaining": int64(0)})
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}
