package vaultproxy_test

import "strings"

func invoiceRows() map[string]stripeRow {
	voids := through("/v1/invoices/{id}/void", "")
	ofItem := func(s *stripeStand, _, id string) string { return s.fieldOf("/v1/invoiceitems", id, "invoice") }
	return map[string]stripeRow{
		"invoices.create": {
			call: func(*stripeStand) (string, string) {
				return "/v1/invoices", "customer=cus_1&collection_method=send_invoice&days_until_due=7"
			},
			settle: stays, release: refuses("customer=cus_1&collection_method=send_invoice"), free: true,
		},
		"invoices.finalize": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/invoices/" + s.behindItsBackBilled() + "/finalize", ""
			},
			held: 7 * dollar, settle: elsewhere("/v1/invoices/{id}/pay", ""), paid: 7 * dollar, release: voids,
		},
		"invoices.pay": {
			call:    func(s *stripeStand) (string, string) { return "/v1/invoices/" + s.opened() + "/pay", "" },
			settled: 7 * dollar, settle: stays, paid: 7 * dollar, onlyHoldsNothing: true,
			release: func(s *stripeStand, _, _ string) { // declined, it can still be paid until it is void
				id := s.opened()
				s.fails("/v1/invoices/"+id+"/pay", declinedCard, 402)
				s.requireBudget(7*dollar, 7*dollar)
				s.behindItsBack("/v1/invoices/"+id+"/mark_uncollectible", "")
				s.reconcile()
				s.requireBudget(7*dollar, 7*dollar)
				s.ok("/v1/invoices/"+id+"/void", "")
			},
			kept: 7 * dollar,
		},
		"invoices.void": {
			call:   func(s *stripeStand) (string, string) { return "/v1/invoices/" + s.opened() + "/void", "" },
			settle: stays, release: refuses(""), free: true,
		},
		"invoiceitems.create": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/invoiceitems", "customer=cus_1&unit_amount=250&quantity=2&invoice=" + s.billed()
			},
			held: 12 * dollar,
			settle: func(s *stripeStand, path, id string) {
				invoice := ofItem(s, path, id)
				s.ok("/v1/invoices/"+invoice+"/finalize", "")
				s.ok("/v1/invoices/"+invoice+"/pay", "")
			},
			paid: 12 * dollar,
			release: func(s *stripeStand, path, id string) {
				invoice := ofItem(s, path, id)
				s.ok("/v1/invoices/"+invoice+"/finalize", "")
				s.ok("/v1/invoices/"+invoice+"/void", "")
			},
		},
	}
}

// behindItsBackBilled makes a draft of $7.00 that the proxy knows nothing of.
func (s *stripeStand) behindItsBackBilled() string {
	id := s.behindItsBack("/v1/invoices", "customer=cus_1&currency=usd")
	s.behindItsBack("/v1/invoiceitems", "customer=cus_1&currency=usd&amount=700&invoice="+id)
	return id
}

func recordRows() map[string]stripeRow {
	refused := refuses("metadata[" + strings.Repeat("a", 41) + "]=x")
	rows := map[string]stripeRow{}
	for name, call := range map[string]func(*stripeStand) (string, string){
		"setup_intents.create": func(*stripeStand) (string, string) {
			return "/v1/setup_intents", "customer=cus_1&" + goodCard + "&confirm=true"
		},
		"setup_intents.update": func(s *stripeStand) (string, string) {
			return "/v1/setup_intents/" + s.ok("/v1/setup_intents", "customer=cus_1"), "description=x"
		},
		"customers.create": func(*stripeStand) (string, string) { return "/v1/customers", "name=A" },
		"customers.update": func(*stripeStand) (string, string) { return "/v1/customers/cus_1", "name=B" },
		"products.create":  func(*stripeStand) (string, string) { return "/v1/products", "name=A" },
		"products.update": func(s *stripeStand) (string, string) {
			return "/v1/products/" + s.ok("/v1/products", "name=A"), "name=B"
		},
		"prices.create": func(s *stripeStand) (string, string) {
			return "/v1/prices", "unit_amount=500&currency=usd&product=" + s.ok("/v1/products", "name=A")
		},
		"prices.update": func(s *stripeStand) (string, string) {
			return "/v1/prices/" + s.ok("/v1/prices", "unit_amount=500&currency=usd&product="+s.ok("/v1/products", "name=A")), "nickname=x"
		},
	} {
		rows[name] = stripeRow{call: call, settle: stays, release: refused, free: true}
	}
	rows["setup_intents.confirm"] = stripeRow{
		call: func(s *stripeStand) (string, string) {
			return "/v1/setup_intents/" + s.ok("/v1/setup_intents", "customer=cus_1") + "/confirm", goodCard
		},
		settle: stays, free: true,
		release: func(s *stripeStand, _, _ string) {
			s.fails("/v1/setup_intents/"+s.ok("/v1/setup_intents", "customer=cus_1")+"/confirm", declinedCard, 402)
		},
	}
	rows["setup_intents.cancel"] = stripeRow{
		call: func(s *stripeStand) (string, string) {
			return "/v1/setup_intents/" + s.ok("/v1/setup_intents", "customer=cus_1") + "/cancel", ""
		},
		settle: stays, release: refuses(""), free: true,
	}
	rows["payment_methods.attach"] = stripeRow{
		call:   func(*stripeStand) (string, string) { return "/v1/payment_methods/pm_1/attach", "customer=cus_1" },
		settle: stays, release: refuses("customer=cus_missing"), free: true,
	}
	rows["payment_methods.detach"] = stripeRow{
		call:   func(*stripeStand) (string, string) { return "/v1/payment_methods/pm_1/detach", "" },
		settle: stays, free: true,
		release: func(s *stripeStand, _, _ string) { s.fails("/v1/payment_methods/pm_missing/detach", "", 404) },
	}
	return rows
}
