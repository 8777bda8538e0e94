// Package vendorsim is a stand-in for Stripe, Twilio and Resend that keeps state, follows the vendor's
// rules and misbehaves on purpose. Clients are pointed at it in tests, in the demo and in
// benchmarks, and never anywhere else: it charges nobody.
//
// # What it is for
//
// A client of a payment API is easy to get right while every answer arrives. What goes wrong in
// production is the rest: the charge was made and the connection died, a 500 came back after the
// money moved, the retry met the first attempt still running. The stand-in makes these happen,
// on a schedule drawn from a seed, and afterwards tells what it really charged:
//
//	client ──POST──▶ stand-in ──┬─▶ idempotency keys   (what a retry is told)
//	   ▲                        ├─▶ objects            (what a look-up finds)
//	   └── answer, or a fault ──┴─▶ journal            (what really happened: GET /sim/truth)
//
// The journal is written where the money moves and knows nothing of idempotency keys, so that a
// customer charged twice under two keys is seen charged twice.
//
// # Use
//
//	sim, err := vendorsim.New(vendorsim.Config{Seed: 1, Faults: vendorsim.DefaultFaults()})
//	server := httptest.NewServer(sim.Handler())   // Stripe's paths under /v1/, Resend's under /emails
//	...
//	sim.Truth().Charges                           // as GET /sim/truth, without the round trip
//
// Or as a process: go run ./vendorsim/cmd/vendorsim --addr 127.0.0.1:12111 --seed 7.
//
// # Faults
//
// A library user gets no fault unless asked for; the command deals them by default. They strike
// only POSTs that move money or send e-mails, and that are about to be executed. The schedule is a shuffled deck
// (see FaultPlan), so every kind shows up in every block of requests, reproducibly by arrival
// order, and at most two faults from the deck strike one idempotency key: a client that retries
// gets through. Tests script faults one by one with Config.Script or Sim.NextFaults.
//
// # Conventions
//
// Customers and payment methods need not be created first:
//
//   - any cus_… exists, with properties derived from its id, unless the id contains "missing";
//   - any pm_… exists and pays, unless its id contains "missing" (unknown) or "declined" (always
//     declined); Stripe's own test methods such as pm_card_chargeDeclinedInsufficientFunds and
//     pm_card_authenticationRequired behave as they do at Stripe;
//   - pm_sim_processing leaves a PaymentIntent in processing until it has been read a few times
//     or some time has passed; pm_sim_processing_fails ends in a failed payment instead;
//   - tok_visa, tok_chargeDeclined… serve POST /v1/charges.
//
// # Resend
//
// POST /emails, POST /emails/batch (strict) and GET /emails/{id} are modelled; every address
// exists and gets its mail. An idempotency key is remembered for 24 hours once its e-mails were
// sent; a failure is not stored under it, so that a retry is told what came of the first try.
// Keys start with re_sim_, and any other re_… is refused as live. Not modelled: templates,
// scheduling, attachments by URL, permissive batches, lists, domains, webhooks, quotas.
//
// # Guards
//
// Anything that looks like a live Stripe key, wherever in a request, is refused with 401 and
// logged (never the key itself), and New and the command refuse to start with one. A vault key
// that reaches the stand-in is refused and counted: a proxy should have replaced it.
//
// # Limits
//
// It models Stripe's API version 2023-10-16 for PaymentIntents (create, confirm, capture, cancel,
// read), charges, refunds and customers, and no other version. Where Stripe is lenient it is
// strict: repeated scalar parameters, parameters in the query of a POST and unknown ones are
// errors. A parameter that Stripe knows and that would change what is charged or to whom, but
// that is not modelled, is refused with the code vendorsim_not_modelled rather than ignored.
// Not modelled at all: updates of objects, Connect accounts, webhooks, search, invoices,
// subscriptions, disputes, fees, currency conversion, the ownership of a payment method by a
// customer, actual 3-D Secure (a PaymentIntent left in requires_action stays there until it is
// confirmed with another method or cancelled), expiry of uncaptured authorizations, account-wide
// rate limits other than the fault, and currencies outside a short list. Everything is kept in
// memory and is gone when the process ends.
package vendorsim
