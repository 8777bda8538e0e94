package vendorsim_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/tollgate/tollgate/vendorsim"
)

func TestPayout_IsPendingUntilItIsReadOrOldEnough(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	create := func(account string) string {
		po, err := b.stripe.Payouts.New(&stripe.PayoutParams{Amount: stripe.Int64(1000), Currency: stripe.String("usd"), Destination: stripe.String(account)})
		require.NoError(t, err)
		require.Equal(t, stripe.PayoutStatusPending, po.Status)
		return po.ID
	}
	status := func(id string) stripe.PayoutStatus {
		po, err := b.stripe.Payouts.Get(id, nil)
		require.NoError(t, err)
		return po.Status
	}
	good, bad, cancelled := create("ba_1"), create("ba_failing"), create("ba_1")
	require.EqualValues(t, 3000, b.sim.Truth().MovedMinor["payout/usd"])
	_, err := b.stripe.Payouts.Cancel(cancelled, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.PayoutStatusPending, status(good))
	require.Equal(t, stripe.PayoutStatusPaid, status(good), "read often enough")
	b.clock.advance(time.Minute)
	require.Equal(t, stripe.PayoutStatusFailed, status(bad))
	require.Equal(t, stripe.PayoutStatusCanceled, status(cancelled))
	_, err = b.stripe.Payouts.Cancel(good, nil)
	require.Error(t, err, "what is paid is not cancelled")
	require.EqualValues(t, 1000, b.sim.Truth().MovedMinor["payout/usd"], "what failed or was cancelled came back")
}

func TestTransfer_IsReversedUpToItsAmount(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	_, err := b.stripe.Transfers.New(&stripe.TransferParams{Amount: stripe.Int64(1000), Currency: stripe.String("usd"), Destination: stripe.String("ba_1")})
	require.Error(t, err, "transfers go to accounts")
	tr, err := b.stripe.Transfers.New(&stripe.TransferParams{Amount: stripe.Int64(1000), Currency: stripe.String("usd"), Destination: stripe.String("acct_1")})
	require.NoError(t, err)
	reverse := func(amount *int64) (*stripe.TransferReversal, error) {
		return b.stripe.TransferReversals.New(&stripe.TransferReversalParams{ID: stripe.String(tr.ID), Amount: amount})
	}
	_, err = reverse(stripe.Int64(400))
	require.NoError(t, err)
	_, err = reverse(stripe.Int64(601))
	require.Error(t, err)
	rest, err := reverse(nil)
	require.NoError(t, err)
	require.EqualValues(t, 600, rest.Amount)
	_, err = reverse(nil)
	require.Error(t, err, "nothing is left")
	tr, err = b.stripe.Transfers.Get(tr.ID, nil)
	require.NoError(t, err)
	require.True(t, tr.Reversed)
	listed := b.get(t, "/v1/transfers/"+tr.ID+"/reversals").object(t)["data"]
	require.Len(t, listed, 2)
	require.Equal(t, map[string]int64{"transfer/usd": 1000, "transfer_reversal/usd": 1000}, b.sim.Truth().MovedMinor)
}

func TestInvoice_WalksFromDraftToPaidOrVoid(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	in, err := b.stripe.Invoices.New(&stripe.InvoiceParams{Customer: stripe.String("cus_a")})
	require.NoError(t, err)
	require.Equal(t, stripe.InvoiceStatusDraft, in.Status)
	item := func(id string, changes ...string) reply {
		return b.post(t, "/v1/invoiceitems", "", changed(url.Values{"customer": {"cus_a"}, "invoice": {id}, "currency": {"usd"}}, changes...))
	}
	require.Equal(t, http.StatusOK, item(in.ID, "amount", "300").status)
	require.Equal(t, http.StatusOK, item(in.ID, "unit_amount", "200", "quantity", "2").status)
	require.Equal(t, http.StatusBadRequest, item(in.ID, "amount", "300", "quantity", "2").status)
	require.Equal(t, http.StatusBadRequest, item("in_none", "amount", "300").status)
	require.Equal(t, http.StatusBadRequest, item(in.ID, "amount", "300", "customer", "cus_b").status)
	_, err = b.stripe.Invoices.Pay(in.ID, nil)
	require.Error(t, err, "a draft is not paid")
	in, err = b.stripe.Invoices.FinalizeInvoice(in.ID, &stripe.InvoiceFinalizeInvoiceParams{AutoAdvance: stripe.Bool(false)})
	require.NoError(t, err)
	require.Equal(t, stripe.InvoiceStatusOpen, in.Status)
	require.EqualValues(t, 700, in.AmountRemaining)
	require.Equal(t, http.StatusBadRequest, item(in.ID, "amount", "1").status, "an open invoice does not grow")
	_, err = b.stripe.Invoices.Pay(in.ID, &stripe.InvoicePayParams{PaymentMethod: stripe.String("pm_card_chargeDeclined")})
	require.Error(t, err)
	require.Zero(t, b.sim.Truth().Charges)
	in, err = b.stripe.Invoices.Pay(in.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.InvoiceStatusPaid, in.Status)
	require.EqualValues(t, 7_000_000, b.sim.Truth().SucceededTotalMicroUSD)
	_, err = b.stripe.Invoices.VoidInvoice(in.ID, nil)
	require.Error(t, err, "what is paid is not void")
}

func TestPaymentIntent_ChangesItsAmountOnlyAsLongAsItsStatusAllows(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	pi := b.post(t, "/v1/payment_intents", "", payment("cus_a", "confirm", "-", "off_session", "-")).object(t)
	path := "/v1/payment_intents/" + pi["id"].(string)
	updated := b.post(t, path, "", url.Values{"amount": {"1500"}, "metadata[a]": {"b"}}).object(t)
	require.EqualValues(t, 1500, updated["amount"])
	require.Equal(t, http.StatusBadRequest, b.post(t, path+"/increment_authorization", "", url.Values{"amount": {"2000"}}).status)
	require.Equal(t, http.StatusOK, b.post(t, path+"/confirm", "", url.Values{"capture_method": {"manual"}, "off_session": {"true"}}).status)
	require.Equal(t, http.StatusBadRequest, b.post(t, path, "", url.Values{"amount": {"1600"}}).status)
	require.Equal(t, http.StatusBadRequest, b.post(t, path+"/increment_authorization", "", url.Values{"amount": {"1500"}}).status)
	require.Equal(t, http.StatusOK, b.post(t, path+"/increment_authorization", "", url.Values{"amount": {"2000"}}).status)
	require.EqualValues(t, 20_000_000, b.sim.Truth().HeldTotalMicroUSD)

	b.clock.advance(8 * 24 * time.Hour)
	require.Equal(t, "canceled", b.get(t, path).object(t)["status"], "nobody captured it in time")
	require.Zero(t, b.sim.Truth().HeldTotalMicroUSD)
}
