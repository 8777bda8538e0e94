package vendorsim

import (
	"net/http"
	"net/url"
	"slices"
)

// createIntent prepares POST /v1/payment_intents.
func (s *stripe) createIntent(c *call) (plan, *stripeError) {
	in := &intent{status: requiresPaymentMethod}
	var e *stripeError
	if in.amount, in.currency, e = s.price(c.params); e != nil {
		return nil, e
	}
	if in.customer, e = s.customerParam(c.params); e != nil {
		return nil, e
	}
	if e = in.readWays(c.params); e != nil {
		return nil, e
	}
	if in.metadata, e = c.params.metadata(); e != nil {
		return nil, e
	}
	if in.texts, e = readTexts(c.params); e != nil {
		return nil, e
	}
	confirm, e := c.params.flag("confirm", false)
	if e != nil {
		return nil, e
	}
	attempt, e := s.readAttempt(c.params, in)
	if e != nil {
		return nil, e
	}
	if e = attempt.checkUse(c.params, in, confirm); e != nil {
		return nil, e
	}
	expand, e := c.params.expands("latest_charge")
	if e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		in.id, in.created = s.ids.id("pi_"), c.now.Unix()
		in.clientSecret = s.ids.id(in.id + "_secret_")
		in.paymentMethod = attempt.method
		if attempt.method != "" {
			in.status = requiresConfirmation
		}
		var indexes []string
		if in.customer != "" {
			indexes = append(indexes, "customer="+in.customer)
		}
		s.store.intents.add(in, indexes...)
		s.sim.journal.intents.Add(1)
		if confirm {
			return s.attempt(c, in, attempt, expand)
		}
		return outcome{status: http.StatusOK, view: s.shownIntent(in, expand)}
	}, nil
}

// readWays reads how a PaymentIntent may be paid. Since API version 2023-08-16 the methods are
// those of the account's settings unless types are given or the automatic choice is turned off.
func (in *intent) readWays(p params) *stripeError {
	var e *stripeError
	if in.captureMethod, e = p.oneOf("capture_method", "automatic", "automatic", "automatic_async", "manual"); e != nil {
		return e
	}
	if in.confirmationMethod, e = p.oneOf("confirmation_method", "automatic", "automatic", "manual"); e != nil {
		return e
	}
	if in.setupFutureUsage, e = p.oneOf("setup_future_usage", "", "on_session", "off_session"); e != nil {
		return e
	}
	types, e := readMethodTypes(p)
	if e != nil {
		return e
	}
	automatic := p.hashes["automatic_payment_methods"]
	for name := range automatic {
		if name != "enabled" && name != "allow_redirects" {
			return invalid("parameter_unknown", "automatic_payment_methods["+name+"]", "received unknown parameter: automatic_payment_methods[%s]", name)
		}
	}
	if automatic != nil && automatic["enabled"] == "" {
		return missingParam("automatic_payment_methods[enabled]")
	}
	enabled, e := parseFlag("automatic_payment_methods[enabled]", automatic["enabled"], types == nil)
	if e != nil {
		return e
	}
	redirects, sent := automatic["allow_redirects"]
	switch {
	case sent && redirects != "always" && redirects != "never":
		return invalid("", "automatic_payment_methods[allow_redirects]", "invalid allow_redirects: must be one of always, never")
	case enabled && types != nil:
		return invalid("parameters_exclusive", "payment_method_types", "only one of automatic_payment_methods and payment_method_types may be given")
	}
	in.automatic, in.methodTypes, in.allowRedirects = enabled, types, "always"
	if sent {
		in.allowRedirects = redirects
	}
	if in.methodTypes == nil {
		in.methodTypes = []string{"card"}
	}
	return nil
}

// readMethodTypes returns payment_method_types, nil if it was not sent.
func readMethodTypes(p params) ([]string, *stripeError) {
	known := []string{"card", "link", "us_bank_account", "sepa_debit", "acss_debit", "bacs_debit", "ideal", "klarna", "affirm", "afterpay_clearpay", "bancontact", "eps", "giropay", "p24", "sofort", "paypal", "cashapp", "customer_balance"}
	for _, kind := range p.lists["payment_method_types"] {
		if !slices.Contains(known, kind) {
			return nil, invalid("", "payment_method_types", "unknown payment method type")
		}
	}
	return p.lists["payment_method_types"], nil
}

func readTexts(p params) (intentTexts, *stripeError) {
	var t intentTexts
	e := p.textsInto([]textParam{
		{"description", &t.description},
		{"receipt_email", &t.receiptEmail},
		{"statement_descriptor", &t.statementDescriptor},
		{"statement_descriptor_suffix", &t.statementSuffix},
		{"transfer_group", &t.transferGroup},
	})
	return t, e
}

// attempt is how a PaymentIntent is to be paid.
type attempt struct {
	method     string
	behaviour  methodBehaviour
	offSession bool
	returnURL  string
}

// readAttempt reads the parameters that create and confirm share.
func (s *stripe) readAttempt(p params, in *intent) (attempt, *stripeError) {
	var a attempt
	var e *stripeError
	if a.method, e = p.text("payment_method"); e != nil {
		return a, e
	}
	if a.method != "" {
		if a.behaviour, e = s.method(a.method, "payment_method", "pm_"); e != nil {
			return a, e
		}
		if !slices.Contains(in.methodTypes, "card") {
			return a, invalid("payment_intent_incompatible_payment_method", "payment_method", "the payment method is a card, which payment_method_types does not allow")
		}
	}
	// off_session also takes words for who is absent and why.
	switch p.scalars["off_session"] {
	case "one_off", "recurring":
		a.offSession = true
	default:
		if a.offSession, e = p.flag("off_session", false); e != nil {
			return a, e
		}
	}
	if a.returnURL, e = p.text("return_url"); e != nil {
		return a, e
	}
	if a.returnURL != "" {
		if u, err := url.Parse(a.returnURL); err != nil || u.Scheme == "" {
			return a, invalid("url_invalid", "return_url", "not a valid URL")
		}
	}
	return a, nil
}

// checkUse holds the rules about which parameters go with a confirmation and which it needs.
func (a attempt) checkUse(p params, in *intent, confirm bool) *stripeError {
	for _, name := range []string{"off_session", "return_url"} {
		if !confirm && p.has(name) {
			return invalid("payment_intent_invalid_parameter", name, "%s goes only with confirm=true", name)
		}
	}
	if !confirm {
		return nil
	}
	if a.method == "" {
		return invalid("payment_intent_unexpected_state", "payment_method", "a PaymentIntent cannot be confirmed without a payment method")
	}
	if in.automatic && in.allowRedirects != "never" && a.returnURL == "" {
		return invalid("payment_intent_invalid_parameter", "return_url", "this PaymentIntent takes the payment methods of the account's settings, some of which redirect: "+
			"give a return_url, or payment_method_types, or automatic_payment_methods[enabled]=true with [allow_redirects]=never")
	}
	return nil
}
