package vaultproxy_test

import (
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// stripeRow is one operation of docs/stripe.md as a test: the call, and what becomes of
// its amount. It is written in US dollars, and played in other currencies too.
type stripeRow struct {
	// call makes what has to be there before, and returns the path and body.
	call func(*stripeStand) (path, body string)
	// held and settled are what the call costs, beside what was there before.
	held, settled money.USD
	// settle has the amount settled in the end, and release has it given back. They
	// are told the call's path, body and the ID of the object that it answered with.
	settle, release  func(s *stripeStand, path, id string)
	paid             money.USD // settled in the end
	kept             money.USD // settled after the release
	free             bool      // it moves no money
	onlyHoldsNothing bool      // its hold was there before: no cap can refuse it
}

const dollar = money.Dollar

// intent makes a PaymentIntent of $4.00 with more parameters.
func (s *stripeStand) intent(more string) string {
	return s.ok("/v1/payment_intents", unconfirmed+more)
}

// authorized makes one that waits to be captured.
func (s *stripeStand) authorized() string {
	return s.intent("&confirm=true&off_session=true&capture_method=manual")
}

// draft makes an invoice without a line.
func (s *stripeStand) draft() string { return s.ok("/v1/invoices", "customer=cus_1&currency=usd") }

// billed makes a draft of $7.00.
func (s *stripeStand) billed() string {
	id := s.draft()
	s.ok("/v1/invoiceitems", "customer=cus_1&currency=usd&amount=700&invoice="+id)
	return id
}

// opened makes an open invoice of $7.00.
func (s *stripeStand) opened() string {
	id := s.billed()
	s.ok("/v1/invoices/"+id+"/finalize", "")
	return id
}

// elsewhere does something at the vendor without the proxy, and has the
// reconciler find out.
func elsewhere(path, body string) func(*stripeStand, string, string) {
	return func(s *stripeStand, _, id string) {
		s.behindItsBack(withID(path, id), body)
		s.reconcile()
	}
}

// through does something through the proxy.
func through(path, body string) func(*stripeStand, string, string) {
	return func(s *stripeStand, _, id string) { s.ok(withID(path, id), body) }
}

// waits until the vendor has made up its mind.
func waits(s *stripeStand, _, _ string) {
	s.reconcile()
	s.reconcile()
}

// stays: there is nothing more to come.
func stays(*stripeStand, string, string) {}

// refuses has the same call refused by the vendor, and so released.
func refuses(body string) func(*stripeStand, string, string) {
	return func(s *stripeStand, path, _ string) { s.fails(path, body, 400) }
}

func paymentRows() map[string]stripeRow {
	cancelIntent := through("/v1/payment_intents/{id}/cancel", "")
	confirmIntent := through("/v1/payment_intents/{id}/confirm", "off_session=true")
	return map[string]stripeRow{
		"payment_intents.create": {
			call: func(*stripeStand) (string, string) { return "/v1/payment_intents", unconfirmed },
			held: 4 * dollar, settle: elsewhere("/v1/payment_intents/{id}/confirm", "off_session=true"), paid: 4 * dollar, release: cancelIntent,
		},
		"payment_intents.update": {
			call: func(s *stripeStand) (string, string) { return "/v1/payment_intents/" + s.intent(""), "amount=650" },
			held: 650 * money.Cent, settle: confirmIntent, paid: 650 * money.Cent, release: cancelIntent,
		},
		"payment_intents.confirm": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/payment_intents/" + s.intent("") + "/confirm", "off_session=true"
			},
			settled: 4 * dollar, settle: stays, paid: 4 * dollar, onlyHoldsNothing: true,
			release: func(s *stripeStand, _, _ string) { // declined, it can still be paid until it is cancelled
				id := s.intent("")
				s.fails("/v1/payment_intents/"+id+"/confirm", "off_session=true&"+declinedCard, 402)
				s.requireBudget(4*dollar, 4*dollar)
				s.ok("/v1/payment_intents/"+id+"/cancel", "")
			},
			kept: 4 * dollar,
		},
		"payment_intents.capture": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/payment_intents/" + s.authorized() + "/capture", "amount_to_capture=150"
			},
			settled: 150 * money.Cent, settle: stays, paid: 150 * money.Cent, onlyHoldsNothing: true,
			release: func(s *stripeStand, _, _ string) { // nobody captures it in time
				s.authorized()
				s.clock.advance(8 * 24 * hour)
				s.reconcile()
			},
			kept: 150 * money.Cent,
		},
		"payment_intents.increment_authorization": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/payment_intents/" + s.authorized() + "/increment_authorization", "amount=900"
			},
			held: 9 * dollar, settle: through("/v1/payment_intents/{id}/capture", ""), paid: 9 * dollar,
			release: func(s *stripeStand, _, _ string) {
				s.clock.advance(8 * 24 * hour)
				s.reconcile()
			},
		},
		"payment_intents.cancel": {
			call:   func(s *stripeStand) (string, string) { return "/v1/payment_intents/" + s.authorized() + "/cancel", "" },
			settle: stays, release: stays, free: true,
		},
		"charges.create": {
			call: func(*stripeStand) (string, string) {
				return "/v1/charges", "amount=500&currency=usd&source=tok_visa&capture=false"
			},
			held: 5 * dollar, settle: through("/v1/charges/{id}/capture", ""), paid: 5 * dollar,
			release: func(s *stripeStand, path, id string) {
				s.ok("/v1/charges/"+id+"/capture", "amount=100")
				s.fails(path, "amount=200&currency=usd&source=tok_chargeDeclined", 402)
			},
			kept: dollar,
		},
		"charges.update": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/charges/" + s.behindItsBack("/v1/charges", "amount=500&currency=usd&source=tok_visa"), "description=x"
			},
			settle: stays, release: refuses("metadata[" + strings.Repeat("a", 41) + "]=x"), free: true,
		},
		"charges.capture": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/charges/" + s.behindItsBack("/v1/charges", "amount=500&currency=usd&source=tok_visa&capture=false") + "/capture", ""
			},
			settled: 5 * dollar, settle: stays, paid: 5 * dollar, release: refuses(""), kept: 5 * dollar,
		},
		"refunds.create": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/refunds", "payment_intent=" + s.paidBy("pm_slowrefund")
			},
			held:   4 * dollar,
			settle: waits,
			paid:   4 * dollar,
			release: func(s *stripeStand, path, _ string) {
				waits(s, "", "")
				s.ok(path, "payment_intent="+s.paidBy("pm_failingrefund"))
				waits(s, "", "")
			},
			kept: 4 * dollar,
		},
		"refunds.update": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/refunds/" + s.behindItsBack("/v1/refunds", "payment_intent="+s.paidBy("pm_card_visa")), "metadata[a]=b"
			},
			settle: stays, release: refuses("metadata[" + strings.Repeat("a", 41) + "]=x"), free: true,
		},
		"refunds.cancel": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/refunds/" + s.ok("/v1/refunds", "payment_intent="+s.paidBy("pm_actionrefund")) + "/cancel", ""
			},
			settle: stays, release: stays, free: true,
		},
	}
}

// paidBy makes a payment of $4.00 that the proxy knows nothing of.
func (s *stripeStand) paidBy(method string) string {
	return s.behindItsBack("/v1/payment_intents", strings.Replace(unconfirmed, "pm_card_visa", method, 1)+"&confirm=true&off_session=true")
}

func balanceRows() map[string]stripeRow {
	const payout, topup, transfer = "amount=500&currency=usd", "amount=500&currency=usd", "amount=500&currency=usd&destination=acct_1"
	again := func(failing string) func(s *stripeStand, path, id string) {
		return func(s *stripeStand, path, id string) {
			s.ok(path+"/"+id+"/cancel", "")
			s.requireBudget(0, 0)
			s.ok(path, failing)
			s.requireBudget(5*dollar, 0)
			waits(s, "", "")
		}
	}
	return map[string]stripeRow{
		"payouts.create": {
			call: func(*stripeStand) (string, string) { return "/v1/payouts", payout },
			held: 5 * dollar, settle: waits, paid: 5 * dollar, release: again(payout + "&destination=ba_failing"),
		},
		"payouts.update": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/payouts/" + s.behindItsBack("/v1/payouts", payout), "metadata[a]=b"
			},
			settle: stays, release: refuses("metadata[" + strings.Repeat("a", 41) + "]=x"), free: true,
		},
		"payouts.cancel": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/payouts/" + s.ok("/v1/payouts", payout) + "/cancel", ""
			},
			settle: stays, release: refuses(""), free: true,
		},
		"transfers.create": {
			call:    func(*stripeStand) (string, string) { return "/v1/transfers", transfer },
			settled: 5 * dollar, settle: stays, paid: 5 * dollar, release: refuses("amount=1&currency=usd&destination=acct_1"), kept: 5 * dollar,
		},
		"transfers.update": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/transfers/" + s.behindItsBack("/v1/transfers", transfer), "description=x"
			},
			settle: stays, release: refuses("metadata[" + strings.Repeat("a", 41) + "]=x"), free: true,
		},
		"transfers.reverse": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/transfers/" + s.behindItsBack("/v1/transfers", transfer) + "/reversals", "amount=300"
			},
			settled: 3 * dollar, settle: stays, paid: 3 * dollar, release: refuses("amount=201"), kept: 3 * dollar,
		},
		"topups.create": {
			call: func(*stripeStand) (string, string) { return "/v1/topups", topup },
			held: 5 * dollar, settle: waits, paid: 5 * dollar, release: again(topup + "&source=src_failing"),
		},
		"topups.update": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/topups/" + s.behindItsBack("/v1/topups", topup), "description=x"
			},
			settle: stays, release: refuses("metadata[" + strings.Repeat("a", 41) + "]=x"), free: true,
		},
		"topups.cancel": {
			call: func(s *stripeStand) (string, string) {
				return "/v1/topups/" + s.ok("/v1/topups", topup) + "/cancel", ""
			},
			settle: stays, release: refuses(""), free: true,
		},
	}
}
