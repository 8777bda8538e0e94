package stripe_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	invoices = "/v1/invoices"
	items    = "/v1/invoiceitems"
)

// invoice is one of so many cents.
func invoice(status string, due, paid int64, more ...string) string {
	return fmt.Sprintf(`{"id":"in_1","object":"invoice","status":%q,"currency":"usd","amount_due":%d,"amount_paid":%d,"amount_remaining":%d,
		"total":%d,"starting_balance":0,"attempted":false,"auto_advance":false,"subscription":null,"automatic_tax":{"enabled":false}%s}`,
		status, due, paid, due-paid, due, strings.Join(more, ""))
}

func price(more string) string {
	return `{"id":"price_1","object":"price","currency":"usd","unit_amount":250,"type":"one_time","billing_scheme":"per_unit","transform_quantity":null` + more + `}`
}

func TestMeter_PricesInvoicesByWhatTheyComeTo(t *testing.T) {
	t.Parallel()
	held := vendors.Booking{Seq: 17, SameRun: true, Committed: true, Hold: 5 * money.Dollar}
	for name, test := range map[string]struct {
		path, body, invoice string
		booking             vendors.Booking
		price               money.USD
		takeOver            int64
		sends               string
	}{
		"a draft costs nothing and is kept from collecting by itself": {
			path: invoices, body: "customer=cus_1", sends: "auto_advance=false&customer=cus_1&pending_invoice_items_behavior=exclude"},
		"finalising costs what is due": {
			path: invoices + "/in_1/finalize", invoice: invoice("draft", 700, 0), price: 7 * money.Dollar, sends: "auto_advance=false"},
		"finalising takes over what its items hold": {
			path: invoices + "/in_1/finalize", invoice: invoice("draft", 700, 0), booking: held, price: 7 * money.Dollar, takeOver: 17, sends: "auto_advance=false"},
		"finalising less than its items hold keeps the hold": {
			path: invoices + "/in_1/finalize", invoice: invoice("draft", 300, 0), booking: held, price: 5 * money.Dollar, takeOver: 17, sends: "auto_advance=false"},
		"finalising adds what the customer owes": {
			path: invoices + "/in_1/finalize", invoice: strings.Replace(invoice("draft", 700, 0), `"starting_balance":0`, `"starting_balance":250`, 1),
			price: 950 * money.Cent, sends: "auto_advance=false"},
		"finalising does not count on what the customer has": {
			path: invoices + "/in_1/finalize", invoice: strings.Replace(invoice("draft", 700, 0), `"starting_balance":0`, `"starting_balance":-250`, 1),
			price: 7 * money.Dollar, sends: "auto_advance=false"},
		"finalising nothing costs nothing": {
			path: invoices + "/in_1/finalize", invoice: invoice("draft", 0, 0), sends: "auto_advance=false"},
		"paying costs what remains": {
			path: invoices + "/in_1/pay", body: "payment_method=pm_1", invoice: invoice("open", 700, 200), price: 5 * money.Dollar, sends: "payment_method=pm_1"},
		"paying takes over what finalising holds": {
			path: invoices + "/in_1/pay", invoice: invoice("open", 500, 0), booking: held, price: 5 * money.Dollar, takeOver: 17},
		"a void costs nothing": {path: invoices + "/in_1/void"},
		"an item costs its amount and what is there already": {
			path: items, body: "amount=100&currency=usd&customer=cus_1&invoice=in_1", invoice: invoice("draft", 700, 0), price: 8 * money.Dollar,
			sends: "amount=100&currency=usd&customer=cus_1&invoice=in_1"},
		"an item takes over what the invoice holds": {
			path: items, body: "amount=100&customer=cus_1&invoice=in_1", invoice: invoice("draft", 500, 0), booking: held, price: 6 * money.Dollar, takeOver: 17,
			sends: "amount=100&customer=cus_1&invoice=in_1"},
		"an item of several units": {
			path: items, body: "unit_amount=100&quantity=3&customer=cus_1&invoice=in_1", invoice: invoice("draft", 0, 0), price: 3 * money.Dollar,
			sends: "customer=cus_1&invoice=in_1&quantity=3&unit_amount=100"},
		"an item of a price": {
			path: items, body: "price=price_1&quantity=2&customer=cus_1&invoice=in_1", invoice: invoice("draft", 0, 0), price: 5 * money.Dollar,
			sends: "customer=cus_1&invoice=in_1&price=price_1&quantity=2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{bookings: map[string]vendors.Booking{}, answers: map[string]string{invoices + "/in_1": test.invoice, "/v1/prices/price_1": price("")}}
			if test.booking.Seq != 0 {
				a.bookings["in_1"] = test.booking
			}
			q, err := meter(t, a, test.path, test.body)
			require.NoError(t, err)
			require.Equal(t, test.price, q.Price)
			require.Equal(t, test.takeOver, q.TakeOver)
			require.Equal(t, test.sends, q.Request.Body.Encode())
		})
	}
}

func TestMeter_DeniesWhatWouldCollectOrGrowOutsideOfTheProxy(t *testing.T) {
	t.Parallel()
	draft := invoice("draft", 700, 0)
	for name, test := range map[string]struct {
		path, body, invoice, price, code, param string
	}{
		"an item without an invoice":     {path: items, body: "amount=100&currency=usd&customer=cus_1", code: vendors.Unmetered, param: "invoice"},
		"an item of what is no invoice":  {path: items, body: "amount=100&customer=cus_1&invoice=sub_1", code: vendors.Invalid, param: "invoice"},
		"an item of an invoice unknown":  {path: items, body: "amount=100&customer=cus_1&invoice=in_404", code: vendors.Invalid},
		"an item of an open invoice":     {path: items, body: "amount=100&customer=cus_1&invoice=in_1", invoice: invoice("open", 700, 0), code: vendors.Invalid},
		"an item that is collected":      {path: items, body: "amount=100&customer=cus_1&invoice=in_1", invoice: strings.Replace(draft, `"auto_advance":false`, `"auto_advance":true`, 1), code: vendors.Unmetered},
		"an item of a subscription":      {path: items, body: "amount=100&customer=cus_1&invoice=in_1", invoice: strings.Replace(draft, `"subscription":null`, `"subscription":"sub_1"`, 1), code: vendors.Unmetered},
		"an item of a later version's":   {path: items, body: "amount=100&customer=cus_1&invoice=in_1", invoice: invoice("draft", 700, 0, `,"parent":{"type":"subscription_details"}`), code: vendors.Unmetered},
		"an item with tax":               {path: items, body: "amount=100&customer=cus_1&invoice=in_1", invoice: strings.Replace(draft, `"enabled":false`, `"enabled":true`, 1), code: vendors.Unmetered},
		"an item in another currency":    {path: items, body: "amount=100&currency=eur&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.Invalid, param: "currency"},
		"an item of nothing":             {path: items, body: "customer=cus_1&invoice=in_1", invoice: draft, code: vendors.Invalid, param: "amount"},
		"an item of two amounts":         {path: items, body: "amount=1&unit_amount=1&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.Invalid, param: "amount"},
		"an item of an amount, twice":    {path: items, body: "amount=1&quantity=2&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.Invalid, param: "amount"},
		"an item of an amount and price": {path: items, body: "amount=1&price=price_1&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.Invalid, param: "amount"},
		"a credit":                       {path: items, body: "amount=-1&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.AmountInvalid, param: "amount"},
		"no units":                       {path: items, body: "unit_amount=1&quantity=0&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.AmountInvalid, param: "quantity"},
		"more than there is":             {path: items, body: "unit_amount=50000000&quantity=2&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.AmountInvalid, param: "quantity"},
		"units that wrap around":         {path: items, body: "unit_amount=99999999&quantity=99999999&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.AmountInvalid, param: "quantity"},
		"a price of a subscription":      {path: items, body: "price=price_1&customer=cus_1&invoice=in_1", invoice: draft, price: strings.Replace(price(""), "one_time", "recurring", 1), code: vendors.Unmetered, param: "price"},
		"a price in tiers":               {path: items, body: "price=price_1&customer=cus_1&invoice=in_1", invoice: draft, price: strings.Replace(price(""), "per_unit", "tiered", 1), code: vendors.Unmetered, param: "price"},
		"a price in fractions":           {path: items, body: "price=price_1&customer=cus_1&invoice=in_1", invoice: draft, price: strings.Replace(price(""), "250", "null", 1), code: vendors.Unmetered, param: "price"},
		"a price by the dozen":           {path: items, body: "price=price_1&customer=cus_1&invoice=in_1", invoice: draft, price: strings.Replace(price(""), `"transform_quantity":null`, `"transform_quantity":{"divide_by":12}`, 1), code: vendors.Unmetered, param: "price"},
		"a price that the payer sets":    {path: items, body: "price=price_1&customer=cus_1&invoice=in_1", invoice: draft, price: price(`,"custom_unit_amount":{"minimum":1}`), code: vendors.Unmetered, param: "price"},
		"a price in another currency":    {path: items, body: "price=price_1&customer=cus_1&invoice=in_1", invoice: draft, price: strings.Replace(price(""), "usd", "eur", 1), code: vendors.Unmetered, param: "price"},
		"what is no price":               {path: items, body: "price=prod_1&customer=cus_1&invoice=in_1", invoice: draft, code: vendors.Invalid, param: "price"},
		"finalising with tax":            {path: invoices + "/in_1/finalize", invoice: strings.Replace(draft, `"enabled":false`, `"enabled":true`, 1), code: vendors.Unmetered},
		"finalising a subscription's":    {path: invoices + "/in_1/finalize", invoice: strings.Replace(draft, `"subscription":null`, `"subscription":"sub_1"`, 1), code: vendors.Unmetered},
		"finalising twice":               {path: invoices + "/in_1/finalize", invoice: invoice("open", 700, 0), code: vendors.Invalid},
		"finalising what does not tell":  {path: invoices + "/in_1/finalize", invoice: `{"id":"in_1","object":"invoice","status":"draft","currency":"usd"}`, code: vendors.AmountInvalid},
		"paying a draft":                 {path: invoices + "/in_1/pay", invoice: draft, code: vendors.Invalid},
		"paying what was paid":           {path: invoices + "/in_1/pay", invoice: invoice("paid", 700, 700), code: vendors.Invalid},
		"paying what does not tell":      {path: invoices + "/in_1/pay", invoice: `{"id":"in_1","object":"invoice","status":"open","currency":"usd"}`, code: vendors.AmountInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.price == "" {
				test.price = price("")
			}
			a := &account{answers: map[string]string{"/v1/prices/price_1": test.price}}
			if test.invoice != "" {
				a.answers[invoices+"/in_1"] = test.invoice
			}
			_, err := meter(t, a, test.path, test.body)
			requireRefusal(t, err, test.code, test.param)
		})
	}
}

func TestParse_DeniesParametersThatChargeLaterWithTheReason(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ path, body, param, reason string }{
		"an invoice that collects":          {invoices, "customer=cus_1&auto_advance=true", "auto_advance", "by itself"},
		"an invoice that may collect":       {invoices, "customer=cus_1&auto_advance=", "auto_advance", "by itself"},
		"an invoice of what is pending":     {invoices, "customer=cus_1&pending_invoice_items_behavior=include", "pending_invoice_items_behavior", "not metered"},
		"an invoice of a subscription":      {invoices, "subscription=sub_1", "subscription", "charges later"},
		"an invoice with tax":               {invoices, "automatic_tax[enabled]=true", "automatic_tax", "after it was metered"},
		"finalising that collects":          {invoices + "/in_1/finalize", "auto_advance=true", "auto_advance", "by itself"},
		"an item of a subscription":         {items, "subscription=sub_1", "subscription", "charges later"},
		"an item in fractions":              {items, "unit_amount_decimal=0.5", "unit_amount_decimal", "fractions"},
		"an item of a price of its own":     {items, "price_data[unit_amount]=5", "price_data", "fractions"},
		"an instant payout":                 {"/v1/payouts", "method=instant", "method", "fee"},
		"a customer's balance":              {"/v1/customers", "balance=-500", "balance", "later invoices"},
		"a customer's new card":             {"/v1/customers/cus_1", "source=tok_visa", "source", "unpaid subscriptions"},
		"a customer's other card":           {"/v1/customers/cus_1", "default_source=card_1", "default_source", "unpaid subscriptions"},
		"a mandate for one payment":         {"/v1/setup_intents", "single_use[amount]=500", "single_use", "taken later"},
		"a capture that leaves things open": {intents + "/pi_1/capture", "final_capture=false", "final_capture", "capture once"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newProfile(t).Parse(form(test.path, test.body))
			requireRefusal(t, err, vendors.Unmetered, test.param)
			require.ErrorContains(t, err, test.reason)
		})
	}
}

func TestJudge_BooksAnItemOnItsInvoice(t *testing.T) {
	t.Parallel()
	s := sent("invoiceitems.create", "in_1", "amount=100&invoice=in_1")
	s.Hold = 8 * money.Dollar
	added := vendors.Verdict{Outcome: ledger.OutcomeCommitted, Amount: 8 * money.Dollar, Reason: "added", Object: "in_1"}
	for name, test := range map[string]struct {
		body string
		want vendors.Verdict
	}{
		"on its invoice":            {`{"id":"ii_1","object":"invoiceitem","invoice":"in_1","amount":100,"currency":"usd"}`, added},
		"on its invoice, in full":   {`{"id":"ii_1","object":"invoiceitem","invoice":{"id":"in_1","object":"invoice"}}`, added},
		"on another invoice":        {`{"id":"ii_1","object":"invoiceitem","invoice":"in_2"}`, notUnderstood},
		"on none":                   {`{"id":"ii_1","object":"invoiceitem","invoice":null}`, notUnderstood},
		"the invoice instead of it": {invoice("draft", 100, 0), notUnderstood},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, newProfile(t).Judge(s, answer(200, test.body)))
		})
	}
	require.Equal(t, ledger.OutcomeNoEffect, newProfile(t).Judge(s, answer(400,
		`{"error":{"type":"invalid_request_error"}}`, "Idempotent-Replayed", "true")).Outcome, "the invoice's hold stays")
}
