package vendorsim

import (
	"net/http"
	"strings"
)

// catalogOperations are those that move no money.
func catalogOperations() map[string]operation {
	return map[string]operation{
		"POST /v1/products": {prepare: (*stripe).createProduct, params: paramSpec{
			"name": scalar, "description": scalar, "active": scalar, "id": unmodelled, "default_price_data": unmodelled,
			"metadata": hash, "expand": list, "images": ignored, "shippable": ignored, "url": ignored,
		}},
		"POST /v1/products/{id}": updateRecord("product", "name", "description", "active"),
		"GET /v1/products/{id}":  getRecord("product"),
		"GET /v1/products":       listRecords("product"),

		"POST /v1/prices": {prepare: (*stripe).createPrice, params: paramSpec{
			"currency": scalar, "unit_amount": scalar, "product": scalar, "recurring": hash, "nickname": scalar, "active": scalar,
			"metadata": hash, "expand": list, "product_data": unmodelled, "tiers": unmodelled, "transform_quantity": unmodelled,
			"custom_unit_amount": unmodelled, "currency_options": unmodelled, "unit_amount_decimal": unmodelled,
		}},
		"POST /v1/prices/{id}": updateRecord("price", "nickname", "active"),
		"GET /v1/prices/{id}":  getRecord("price"),
		"GET /v1/prices":       listRecords("price", "product"),

		"POST /v1/setup_intents": {prepare: (*stripe).createSetup, params: paramSpec{
			"customer": scalar, "payment_method": scalar, "payment_method_types": list, "automatic_payment_methods": ignored,
			"confirm": scalar, "usage": scalar, "description": scalar, "return_url": ignored, "metadata": hash, "expand": list,
		}},
		"POST /v1/setup_intents/{id}": updateRecord("setup_intent", "description"),
		"POST /v1/setup_intents/{id}/confirm": {prepare: (*stripe).confirmSetup, params: paramSpec{
			"payment_method": scalar, "return_url": ignored, "expand": list,
		}},
		"POST /v1/setup_intents/{id}/cancel": moveRecord("setup_intent", "canceled", canceled, nil, requiresPaymentMethod, requiresConfirmation),
		"GET /v1/setup_intents/{id}":         getRecord("setup_intent"),
		"GET /v1/setup_intents":              listRecords("setup_intent", "customer"),

		"POST /v1/payment_methods/{id}/attach": {prepare: attachMethod(true), params: paramSpec{"customer": scalar, "expand": list}},
		"POST /v1/payment_methods/{id}/detach": {prepare: attachMethod(false), params: paramSpec{"expand": list}},
	}
}

func (s *stripe) createProduct(c *call) (plan, *stripeError) {
	name, e := c.params.text("name")
	if e != nil {
		return nil, e
	}
	if name == "" {
		return nil, missingParam("name")
	}
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r := s.add(c, "product", map[string]any{"name": name, "description": orNull(c.params.scalars["description"]), "active": true, "metadata": metadata})
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}

func (s *stripe) createPrice(c *call) (plan, *stripeError) {
	amount, sent, e := c.params.whole("unit_amount")
	if e != nil {
		return nil, e
	}
	if !sent {
		return nil, missingParam("unit_amount")
	}
	currency := strings.ToLower(c.params.scalars["currency"])
	if _, known := s.currencies[currency]; !known {
		return nil, invalid("", "currency", "invalid or unsupported currency")
	}
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	product := c.params.scalars["product"]
	if s.store.records["product"].byID[product] == nil {
		return nil, noSuch(http.StatusBadRequest, "product", "product", product)
	}
	kind, recurring := "one_time", any(nil)
	if r := c.params.hashes["recurring"]; r != nil {
		kind, recurring = "recurring", r
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r := s.add(c, "price", map[string]any{
			"unit_amount": amount, "currency": currency, "product": product, "type": kind, "recurring": recurring, "billing_scheme": "per_unit",
			"active": true, "metadata": metadata, "transform_quantity": nil, "custom_unit_amount": nil,
		}, "product")
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}

func (s *stripe) createSetup(c *call) (plan, *stripeError) {
	customer, e := s.customerParam(c.params)
	if e != nil {
		return nil, e
	}
	confirm, e := c.params.flag("confirm", false)
	if e != nil {
		return nil, e
	}
	metadata, e := c.params.metadata()
	if e != nil {
		return nil, e
	}
	failure, e := s.setupMethod(c.params.scalars["payment_method"])
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		r := s.add(c, "setup_intent", map[string]any{
			"customer": customer, "status": requiresPaymentMethod, "usage": "off_session", "metadata": metadata, "last_setup_error": nil,
		}, "customer")
		if method := c.params.scalars["payment_method"]; method != "" {
			r.set(map[string]any{"payment_method": method, "status": requiresConfirmation})
		}
		if confirm {
			return r.setUp(failure)
		}
		return outcome{status: http.StatusOK, view: r.fields}
	}, nil
}

func (s *stripe) confirmSetup(c *call) (plan, *stripeError) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, e := s.findRecord(c, "setup_intent")
	if e != nil {
		return nil, e
	}
	method := c.params.scalars["payment_method"]
	if method == "" {
		method = r.field("payment_method")
	}
	failure, e := s.setupMethod(method)
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		if status := r.field("status"); method == "" || (status != requiresPaymentMethod && status != requiresConfirmation) {
			return invalid("setup_intent_unexpected_state", "", "this SetupIntent cannot be confirmed").outcome()
		}
		r.set(map[string]any{"payment_method": method})
		return r.setUp(failure)
	}, nil
}

func (s *stripe) setupMethod(id string) (*cardFailure, *stripeError) {
	if id == "" {
		return nil, nil
	}
	behaviour, e := s.method(id, "payment_method", "pm_")
	return behaviour.failure, e
}

// setUp ends a try to set a payment method up.
func (r *record) setUp(failure *cardFailure) outcome {
	if failure != nil {
		r.set(map[string]any{"status": requiresPaymentMethod, "payment_method": nil})
		return (&stripeError{status: http.StatusPaymentRequired, details: errorView{
			Type: "card_error", Code: failure.code, DeclineCode: failure.decline, Message: failure.message,
		}}).outcome()
	}
	r.set(map[string]any{"status": succeeded})
	return outcome{status: http.StatusOK, view: r.fields}
}

// attachMethod gives a payment method to a customer or takes it away; nothing depends on it here.
func attachMethod(attach bool) func(*stripe, *call) (plan, *stripeError) {
	return func(s *stripe, c *call) (plan, *stripeError) {
		if _, e := s.method(c.id, "payment_method", "pm_"); e != nil {
			e.status = http.StatusNotFound
			return nil, e
		}
		customer := ""
		if attach {
			var e *stripeError
			if customer, e = s.customerParam(c.params); e != nil {
				return nil, e
			}
			if customer == "" {
				return nil, missingParam("customer")
			}
		}
		return func() outcome {
			v := viewMethod(c.id)
			v.Customer = orNull(customer)
			return outcome{status: http.StatusOK, view: v}
		}, nil
	}
}
