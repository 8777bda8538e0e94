package stripe_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	stripego "github.com/stripe/stripe-go/v76"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// mockCall is one operation as stripe-go makes it.
type mockCall struct {
	show map[string]map[string]any // what objects are shown as
	call func(*mockBundle, stripego.Params) error
	cost money.USD
}

func drop[T any](_ T, err error) error { return err }

var (
	amount5  = stripego.Int64(500)
	inUSD    = stripego.String("usd")
	some     = stripego.String("x")
	customer = stripego.String("cus_1")
	method   = stripego.String("pm_card_visa")
)

func mockPayments() map[string]mockCall {
	const pi, ch = "/v1/payment_intents/pi_1", "/v1/charges/ch_1"
	unpaid := map[string]any{"status": "requires_confirmation", "amount": 300, "last_payment_error": nil}
	held := map[string]any{"id": "pi_1", "status": "requires_capture", "amount": 500, "amount_capturable": 500, "last_payment_error": nil}
	paid := map[string]any{"status": "succeeded", "amount": 500, "amount_received": 500, "last_payment_error": nil}
	return map[string]mockCall{
		"payment_intents.create": {cost: 5 * money.Dollar, show: map[string]map[string]any{"POST /v1/payment_intents": open},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.PaymentIntents.New(&stripego.PaymentIntentParams{Params: p, Amount: amount5, Currency: inUSD}))
			}},
		"payment_intents.update": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + pi: unpaid, "POST " + pi: {"status": "requires_confirmation", "amount": 500, "last_payment_error": nil}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.PaymentIntents.Update("pi_1", &stripego.PaymentIntentParams{Params: p, Amount: amount5, Description: some}))
			}},
		"payment_intents.confirm": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + pi: unpaid, "POST " + pi + "/confirm": paid},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.PaymentIntents.Confirm("pi_1", &stripego.PaymentIntentConfirmParams{Params: p, PaymentMethod: method}))
			}},
		"payment_intents.capture": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + pi: held, "POST " + pi + "/capture": paid},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.PaymentIntents.Capture("pi_1", &stripego.PaymentIntentCaptureParams{Params: p, AmountToCapture: amount5}))
			}},
		"payment_intents.increment_authorization": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + pi: held, "POST " + pi + "/increment_authorization": held},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.PaymentIntents.IncrementAuthorization("pi_1", &stripego.PaymentIntentIncrementAuthorizationParams{Params: p, Amount: amount5, Description: some}))
			}},
		"payment_intents.cancel": {show: map[string]map[string]any{"POST " + pi + "/cancel": {"status": "canceled"}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.PaymentIntents.Cancel("pi_1", &stripego.PaymentIntentCancelParams{Params: p, CancellationReason: stripego.String("abandoned")}))
			}},
		"charges.create": {cost: 5 * money.Dollar, show: map[string]map[string]any{"POST /v1/charges": {"captured": true, "amount_captured": 500}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Charges.New(&stripego.ChargeParams{Params: p, Amount: amount5, Currency: inUSD, Customer: customer}))
			}},
		"charges.update": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Charges.Update("ch_1", &stripego.ChargeParams{Params: p, Description: some, FraudDetails: &stripego.ChargeFraudDetailsParams{UserReport: stripego.String("safe")}}))
		}},
		"charges.capture": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + ch: {"amount": 500}, "POST " + ch + "/capture": {"captured": true, "amount": 500, "amount_captured": 500}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Charges.Capture("ch_1", &stripego.ChargeCaptureParams{Params: p}))
			}},
		"refunds.create": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + ch: {"amount": 500, "captured": true, "amount_captured": 500}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Refunds.New(&stripego.RefundParams{Params: p, Charge: stripego.String("ch_1")}))
			}},
		"refunds.update": {call: func(b *mockBundle, p stripego.Params) error {
			p.AddMetadata("a", "b")
			return drop(b.sdk.Refunds.Update("re_1", &stripego.RefundParams{Params: p}))
		}},
		"refunds.cancel": {show: map[string]map[string]any{"POST /v1/refunds/re_1/cancel": {"status": "canceled"}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Refunds.Cancel("re_1", &stripego.RefundCancelParams{Params: p}))
			}},
	}
}

func mockBalance() map[string]mockCall {
	return map[string]mockCall{
		"payouts.create": {cost: 5 * money.Dollar, call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Payouts.New(&stripego.PayoutParams{Params: p, Amount: amount5, Currency: inUSD, Description: some, Destination: stripego.String("ba_1"),
				Method: stripego.String("standard"), SourceType: stripego.String("card"), StatementDescriptor: some}))
		}},
		"payouts.update": {call: func(b *mockBundle, p stripego.Params) error {
			p.AddMetadata("a", "b")
			return drop(b.sdk.Payouts.Update("po_1", &stripego.PayoutParams{Params: p}))
		}},
		"payouts.cancel": {show: map[string]map[string]any{"POST /v1/payouts/po_1/cancel": {"status": "canceled"}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Payouts.Cancel("po_1", &stripego.PayoutParams{Params: p}))
			}},
		"transfers.create": {cost: 5 * money.Dollar, call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Transfers.New(&stripego.TransferParams{Params: p, Amount: amount5, Currency: inUSD, Destination: stripego.String("acct_1"), Description: some}))
		}},
		"transfers.update": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Transfers.Update("tr_1", &stripego.TransferParams{Params: p, Description: some}))
		}},
		"transfers.reverse": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET /v1/transfers/tr_1": {"amount": 500, "amount_reversed": 0, "destination": "acct_1"}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.TransferReversals.New(&stripego.TransferReversalParams{Params: p, ID: stripego.String("tr_1"), Description: some}))
			}},
		"topups.create": {cost: 5 * money.Dollar, call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Topups.New(&stripego.TopupParams{Params: p, Amount: amount5, Currency: inUSD, Description: some, StatementDescriptor: some}))
		}},
		"topups.update": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Topups.Update("tu_1", &stripego.TopupParams{Params: p, Description: some}))
		}},
		"topups.cancel": {show: map[string]map[string]any{"POST /v1/topups/tu_1/cancel": {"status": "canceled"}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Topups.Cancel("tu_1", &stripego.TopupParams{Params: p}))
			}},
	}
}

func mockInvoices() map[string]mockCall {
	const in = "/v1/invoices/in_1"
	draft := map[string]any{"status": "draft", "amount_due": 500, "total": 500}
	unpaid := map[string]any{"status": "open", "amount_due": 500, "amount_remaining": 500}
	return map[string]mockCall{
		"invoices.create": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Invoices.New(&stripego.InvoiceParams{Params: p, Customer: customer, CollectionMethod: stripego.String("send_invoice"),
				DaysUntilDue: stripego.Int64(7), Description: some, Footer: some, AutoAdvance: stripego.Bool(false)}))
		}},
		"invoices.finalize": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + in: draft, "POST " + in + "/finalize": unpaid},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Invoices.FinalizeInvoice("in_1", &stripego.InvoiceFinalizeInvoiceParams{Params: p}))
			}},
		"invoices.pay": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + in: unpaid, "POST " + in + "/pay": {"status": "paid", "amount_paid": 500}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Invoices.Pay("in_1", &stripego.InvoicePayParams{Params: p, PaymentMethod: method, OffSession: stripego.Bool(true)}))
			}},
		"invoices.void": {show: map[string]map[string]any{"POST " + in + "/void": {"status": "void"}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.Invoices.VoidInvoice("in_1", &stripego.InvoiceVoidInvoiceParams{Params: p}))
			}},
		"invoiceitems.create": {cost: 5 * money.Dollar, show: map[string]map[string]any{"GET " + in: {"status": "draft", "amount_due": 0, "total": 0}, "POST /v1/invoiceitems": {"invoice": "in_1"}},
			call: func(b *mockBundle, p stripego.Params) error {
				return drop(b.sdk.InvoiceItems.New(&stripego.InvoiceItemParams{Params: p, Customer: customer, Invoice: stripego.String("in_1"), Amount: amount5, Currency: inUSD, Description: some}))
			}},
	}
}

func mockRecords() map[string]mockCall {
	return map[string]mockCall{
		"setup_intents.create": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.SetupIntents.New(&stripego.SetupIntentParams{Params: p, Customer: customer, PaymentMethod: method, Confirm: stripego.Bool(true),
				Usage: stripego.String("off_session"), PaymentMethodTypes: stripego.StringSlice([]string{"card"})}))
		}},
		"setup_intents.update": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.SetupIntents.Update("seti_1", &stripego.SetupIntentParams{Params: p, Description: some}))
		}},
		"setup_intents.confirm": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.SetupIntents.Confirm("seti_1", &stripego.SetupIntentConfirmParams{Params: p, PaymentMethod: method}))
		}},
		"setup_intents.cancel": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.SetupIntents.Cancel("seti_1", &stripego.SetupIntentCancelParams{Params: p}))
		}},
		"customers.create": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Customers.New(&stripego.CustomerParams{Params: p, Name: some, Email: stripego.String("a@example.com"), Phone: some,
				Address: &stripego.AddressParams{Line1: some}, PreferredLocales: stripego.StringSlice([]string{"en"}), TaxExempt: stripego.String("none"),
				InvoiceSettings: &stripego.CustomerInvoiceSettingsParams{Footer: some}}))
		}},
		"customers.update": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Customers.Update("cus_1", &stripego.CustomerParams{Params: p, Description: some}))
		}},
		"products.create": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Products.New(&stripego.ProductParams{Params: p, Name: some, DefaultPriceData: &stripego.ProductDefaultPriceDataParams{Currency: inUSD, UnitAmount: amount5}}))
		}},
		"products.update": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Products.Update("prod_1", &stripego.ProductParams{Params: p, Active: stripego.Bool(false)}))
		}},
		"prices.create": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Prices.New(&stripego.PriceParams{Params: p, Product: stripego.String("prod_1"), Currency: inUSD, UnitAmount: amount5,
				Recurring: &stripego.PriceRecurringParams{Interval: stripego.String("month")}}))
		}},
		"prices.update": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.Prices.Update("price_1", &stripego.PriceParams{Params: p, Nickname: some}))
		}},
		"payment_methods.attach": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.PaymentMethods.Attach("pm_1", &stripego.PaymentMethodAttachParams{Params: p, Customer: customer}))
		}},
		"payment_methods.detach": {call: func(b *mockBundle, p stripego.Params) error {
			return drop(b.sdk.PaymentMethods.Detach("pm_1", &stripego.PaymentMethodDetachParams{Params: p}))
		}},
	}
}

func TestStripeMock_TakesEveryOperationAsStripeGoSendsIt(t *testing.T) {
	t.Parallel()
	calls := mockPayments()
	for _, more := range []map[string]mockCall{mockBalance(), mockInvoices(), mockRecords()} {
		maps.Copy(calls, more)
	}
	require.Equal(t, slices.Sorted(maps.Keys(stripe.Operations())), slices.Sorted(maps.Keys(calls)))
	mock := stripeMock(t)
	for name, test := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupMock(t, mock)
			for call, fields := range test.show {
				b.show(call, fields)
			}
			require.NoError(t, test.call(b, params(t, "key")))
			b.requireAccepted(t)
			budget := b.budget(t)
			require.Equal(t, test.cost, budget.CommittedUSD+budget.SettledUSD)
			page, err := b.control.Calls(t.Context(), client.CallQuery{Run: b.run, IdempotencyKey: "key"})
			require.NoError(t, err)
			require.Len(t, page.Calls, 1)
			require.Equal(t, name, page.Calls[0].Operation)
			require.Contains(t, []string{"settled", "committed"}, page.Calls[0].State)
		})
	}
}
