package stripe_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	stripego "github.com/stripe/stripe-go/v76"

	"github.com/tollgate/tollgate/vaultproxy/money"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// open is a payment as Stripe shows it before it was ever confirmed: the
// fixture of stripe-mock shows an error.
var open = map[string]any{"status": "requires_payment_method", "last_payment_error": nil}

func TestStripeMock_TakesALifeOfAPaymentAsStripeGoSendsIt(t *testing.T) {
	t.Parallel()
	b := setupMock(t, stripeMock(t))
	b.show("POST /v1/payment_intents", open)
	create := &stripego.PaymentIntentParams{
		Params: params(t, "item-1"), Amount: stripego.Int64(1000), Currency: stripego.String("usd"), Customer: stripego.String("cus_1"),
		CaptureMethod: stripego.String("manual"), Description: stripego.String("Pro, November & more; 100%"),
		PaymentMethod: stripego.String("pm_card_visa"), PaymentMethodTypes: stripego.StringSlice([]string{"card"}),
		ReceiptEmail: stripego.String("a+b@example.com"), StatementDescriptorSuffix: stripego.String("PRO"),
		SetupFutureUsage: stripego.String("off_session"),
		Shipping: &stripego.ShippingDetailsParams{
			Name: stripego.String("Zoë"), Address: &stripego.AddressParams{Line1: stripego.String("1 High St"), Country: stripego.String("GB")},
		},
		PaymentMethodOptions: &stripego.PaymentIntentPaymentMethodOptionsParams{
			Card: &stripego.PaymentIntentPaymentMethodOptionsCardParams{RequestThreeDSecure: stripego.String("any")},
		},
	}
	create.AddMetadata("order", "7")
	create.AddExpand("latest_charge")
	created, err := b.sdk.PaymentIntents.New(create)
	require.NoError(t, err)
	require.EqualValues(t, 1000, created.Amount)
	require.Equal(t, stripego.PaymentIntentStatusRequiresPaymentMethod, created.Status)
	form := b.last(t, "POST /v1/payment_intents").form
	require.Equal(t, "7", form.Get("metadata[order]"))
	require.Equal(t, "Pro, November & more; 100%", form.Get("description"))
	require.Equal(t, "a+b@example.com", form.Get("receipt_email"))
	require.Equal(t, b.run, form.Get("metadata[tollgate_run]"))
	require.True(t, strings.HasPrefix(form.Get("metadata[tollgate_call]"), "call_"))
	require.Equal(t, 10*money.Dollar, b.budget(t).CommittedUSD)

	path := "/v1/payment_intents/" + created.ID
	b.show("GET "+path, map[string]any{"status": "requires_payment_method", "amount": 1000})
	b.show("POST "+path+"/confirm", map[string]any{"status": "requires_capture", "amount": 1000, "amount_capturable": 1000, "last_payment_error": nil})
	confirmed, err := b.sdk.PaymentIntents.Confirm(created.ID, &stripego.PaymentIntentConfirmParams{
		Params: params(t, "item-1-confirm"), PaymentMethod: stripego.String("pm_card_visa"), OffSession: stripego.Bool(true),
		ReturnURL: stripego.String("https://example.com/back?order=7&x=y"),
	})
	require.NoError(t, err)
	require.Equal(t, stripego.PaymentIntentStatusRequiresCapture, confirmed.Status)
	require.Equal(t, "https://example.com/back?order=7&x=y", b.last(t, "POST "+path+"/confirm").form.Get("return_url"))
	require.Equal(t, 10*money.Dollar, b.budget(t).CommittedUSD, "the same money is not held twice")

	b.show("GET "+path, map[string]any{"status": "requires_capture", "amount": 1000, "amount_capturable": 1000, "last_payment_error": nil})
	b.show("POST "+path+"/capture", map[string]any{"status": "succeeded", "amount": 1000, "amount_received": 1000, "last_payment_error": nil})
	captured, err := b.sdk.PaymentIntents.Capture(created.ID, &stripego.PaymentIntentCaptureParams{Params: params(t, "item-1-capture")})
	require.NoError(t, err)
	require.EqualValues(t, 1000, captured.AmountReceived)
	require.Equal(t, "1000", b.last(t, "POST "+path+"/capture").form.Get("amount_to_capture"), "pinned")
	require.Equal(t, 10*money.Dollar, b.budget(t).SettledUSD)
	require.Zero(t, b.budget(t).CommittedUSD)

	read, err := b.sdk.PaymentIntents.Get(created.ID, &stripego.PaymentIntentParams{Params: params(t, "")})
	require.NoError(t, err)
	require.Equal(t, created.ID, read.ID)
	b.requireAccepted(t)
}

func TestStripeMock_TakesABodylessCancel(t *testing.T) {
	t.Parallel()
	b := setupMock(t, stripeMock(t))
	b.show("POST /v1/payment_intents", open)
	created, err := b.sdk.PaymentIntents.New(&stripego.PaymentIntentParams{
		Params: params(t, "item-1"), Amount: stripego.Int64(1000), Currency: stripego.String("usd"),
		AutomaticPaymentMethods: &stripego.PaymentIntentAutomaticPaymentMethodsParams{
			Enabled: stripego.Bool(true), AllowRedirects: stripego.String("never"),
		},
	})
	require.NoError(t, err)
	require.Equal(t, 10*money.Dollar, b.budget(t).CommittedUSD)

	b.show("POST /v1/payment_intents/"+created.ID+"/cancel", map[string]any{"status": "canceled", "last_payment_error": nil})
	cancelled, err := b.sdk.PaymentIntents.Cancel(created.ID, &stripego.PaymentIntentCancelParams{Params: params(t, "item-1-cancel")})
	require.NoError(t, err)
	require.Equal(t, stripego.PaymentIntentStatusCanceled, cancelled.Status)
	require.Zero(t, b.budget(t).CommittedUSD, "a cancel gives the hold back")
	require.Zero(t, b.budget(t).SettledUSD)
	b.requireAccepted(t)
}

func TestStripeMock_TakesChargesAndRefunds(t *testing.T) {
	t.Parallel()
	b := setupMock(t, stripeMock(t))
	create := &stripego.ChargeParams{
		Params: params(t, "charge"), Amount: stripego.Int64(2500), Currency: stripego.String("usd"), Capture: stripego.Bool(false),
		Description: stripego.String("x"), Source: &stripego.PaymentSourceSourceParams{Token: stripego.String("tok_visa")},
	}
	created, err := b.sdk.Charges.New(create)
	require.NoError(t, err)
	require.EqualValues(t, 2500, created.Amount)
	require.False(t, created.Captured)
	require.Equal(t, 25*money.Dollar, b.budget(t).CommittedUSD)

	path := "/v1/charges/" + created.ID
	taken := map[string]any{"amount": 2500, "captured": true, "amount_captured": 2500, "amount_refunded": 0}
	b.show("GET "+path, map[string]any{"amount": 2500})
	b.show("POST "+path+"/capture", taken)
	captured, err := b.sdk.Charges.Capture(created.ID, &stripego.ChargeCaptureParams{Params: params(t, "capture")})
	require.NoError(t, err)
	require.True(t, captured.Captured)
	require.Equal(t, "2500", b.last(t, "POST "+path+"/capture").form.Get("amount"), "pinned")
	require.Equal(t, 25*money.Dollar, b.budget(t).SettledUSD)

	b.show("GET "+path, taken)
	partial, err := b.sdk.Refunds.New(&stripego.RefundParams{
		Params: params(t, "refund-1"), Charge: stripego.String(created.ID), Amount: stripego.Int64(500), Reason: stripego.String("requested_by_customer"),
	})
	require.NoError(t, err)
	require.EqualValues(t, 500, partial.Amount)
	require.Equal(t, 30*money.Dollar, b.budget(t).SettledUSD, "a refund costs, and gives no budget back")

	taken["amount_refunded"] = 500
	whole, err := b.sdk.Refunds.New(&stripego.RefundParams{Params: params(t, "refund-2"), Charge: stripego.String(created.ID)})
	require.NoError(t, err)
	require.EqualValues(t, 2000, whole.Amount)
	form := b.last(t, "POST /v1/refunds").form
	require.Equal(t, "2000", form.Get("amount"), "pinned to what is left")
	require.NotEmpty(t, form.Get("metadata[tollgate_call]"))

	charge, err := b.sdk.Charges.Get(created.ID, &stripego.ChargeParams{Params: params(t, "")})
	require.NoError(t, err)
	require.Equal(t, created.ID, charge.ID)
	_, err = b.sdk.Refunds.Get(whole.ID, &stripego.RefundParams{Params: params(t, "")})
	require.NoError(t, err)
	b.requireAccepted(t)
}

func TestStripeMock_TakesARefundOfAPayment(t *testing.T) {
	t.Parallel()
	b := setupMock(t, stripeMock(t))
	b.show("GET /v1/payment_intents/pi_1", map[string]any{
		"latest_charge": map[string]any{"id": "ch_1", "object": "charge", "currency": "usd", "amount": 700, "captured": true, "amount_captured": 700},
	})
	refund, err := b.sdk.Refunds.New(&stripego.RefundParams{Params: params(t, "refund"), PaymentIntent: stripego.String("pi_1")})
	require.NoError(t, err)
	require.EqualValues(t, 700, refund.Amount)
	require.Equal(t, 7*money.Dollar, b.budget(t).SettledUSD)
	b.requireAccepted(t)
}

func TestStripeMock_TakesReadsThatTheLookUpsMake(t *testing.T) {
	t.Parallel()
	b := setupMock(t, stripeMock(t))
	list := &stripego.PaymentIntentListParams{ListParams: stripego.ListParams{Context: t.Context(), Limit: stripego.Int64(3), Single: true}}
	list.Filters.AddFilter("created", "gte", "1795434600")
	list.AddExpand("data.customer")
	found := b.sdk.PaymentIntents.List(list)
	require.True(t, found.Next(), "%v", found.Err())
	require.NotEmpty(t, found.PaymentIntent().ID)

	customer, err := b.sdk.Customers.Get("cus_1", &stripego.CustomerParams{Params: params(t, "")})
	require.NoError(t, err)
	require.Equal(t, "cus_1", customer.ID)
	require.Zero(t, b.budget(t).SettledUSD)
	b.requireAccepted(t)
}

func TestStripeMock_LooksUpWithParametersThatStripeKnows(t *testing.T) {
	t.Parallel()
	mock := stripeMock(t)
	p := newProfile(t)
	for operation, body := range map[string]string{
		create: "amount=1&currency=usd&customer=cus_1", chargeCreate: "amount=1&currency=usd&customer=cus_1", refundCreate: "amount=1&charge=ch_1",
	} {
		got, err := p.Lookup(t.Context(), sent(operation, "", body+stamp), mockGetter{mock})
		require.NoError(t, err, operation)
		require.True(t, got.Absent, "its fixtures bear no stamp of ours")
	}
	for _, id := range []string{"pi_1", "ch_1", "re_1"} {
		_, err := p.Follow(t.Context(), vendors.Sent{}, id, mockGetter{mock})
		require.NoError(t, err, id)
	}
}

func TestStripeMock_RefusalsReachStripeGoAsItsOwnErrors(t *testing.T) {
	t.Parallel()
	b := setupMock(t, stripeMock(t))
	refusal := func(err error) *stripego.Error {
		var e *stripego.Error
		require.ErrorAs(t, err, &e)
		return e
	}
	_, err := b.sdk.PaymentIntents.New(&stripego.PaymentIntentParams{
		Params: params(t, "big"), Amount: stripego.Int64(100_001), Currency: stripego.String("usd"),
	})
	e := refusal(err)
	require.Equal(t, http.StatusTooManyRequests, e.HTTPStatusCode)
	require.EqualValues(t, "cap_exhausted", e.Code)

	_, err = b.sdk.PaymentIntents.New(&stripego.PaymentIntentParams{
		Params: params(t, "yen"), Amount: stripego.Int64(1), Currency: stripego.String("jpy"),
	})
	e = refusal(err)
	require.Equal(t, http.StatusUnprocessableEntity, e.HTTPStatusCode)
	require.EqualValues(t, "currency_unsupported", e.Code)
	require.Equal(t, "currency", e.Param)

	_, err = b.sdk.Subscriptions.New(&stripego.SubscriptionParams{Params: params(t, "subscription"), Customer: stripego.String("cus_1")})
	require.EqualValues(t, "unmetered_operation", refusal(err).Code)
	require.Empty(t, b.seen, "nothing of it left")

	// What Stripe itself refuses arrives as it said it.
	_, err = b.sdk.PaymentIntents.New(&stripego.PaymentIntentParams{
		Params: params(t, "wrong"), Amount: stripego.Int64(1), Currency: stripego.String("usd"), CaptureMethod: stripego.String("never"),
	})
	e = refusal(err)
	require.Equal(t, http.StatusBadRequest, e.HTTPStatusCode)
	require.Equal(t, stripego.ErrorTypeInvalidRequest, e.Type)
	require.Zero(t, b.budget(t).ReservedUSD)
}
