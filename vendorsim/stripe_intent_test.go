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

// intentParams is a confirmed card payment as stripe-go sends it.
func intentParams(customer, method string) *stripe.PaymentIntentParams {
	return &stripe.PaymentIntentParams{
		Amount: stripe.Int64(1000), Currency: stripe.String("usd"), Customer: stripe.String(customer),
		PaymentMethod: stripe.String(method), PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
		Confirm: stripe.Bool(true), OffSession: stripe.Bool(true),
	}
}

func TestPaymentIntent_StartsInTheStatusItsParametersCallFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*stripe.PaymentIntentParams)
		want   stripe.PaymentIntentStatus
	}{
		"without a payment method it needs one": {
			func(p *stripe.PaymentIntentParams) { p.Confirm, p.OffSession, p.PaymentMethod = nil, nil, nil },
			stripe.PaymentIntentStatusRequiresPaymentMethod,
		},
		"with a payment method it needs confirmation": {
			func(p *stripe.PaymentIntentParams) { p.Confirm, p.OffSession = nil, nil },
			stripe.PaymentIntentStatusRequiresConfirmation,
		},
		"confirmed it succeeds": {
			func(*stripe.PaymentIntentParams) {}, stripe.PaymentIntentStatusSucceeded,
		},
		"confirmed with manual capture it needs capture": {
			func(p *stripe.PaymentIntentParams) { p.CaptureMethod = stripe.String("manual") },
			stripe.PaymentIntentStatusRequiresCapture,
		},
		"on session it may ask the customer to authenticate": {
			func(p *stripe.PaymentIntentParams) {
				p.OffSession, p.PaymentMethod = nil, stripe.String("pm_card_authenticationRequired")
			},
			stripe.PaymentIntentStatusRequiresAction,
		},
		"a slow bank leaves it processing": {
			func(p *stripe.PaymentIntentParams) { p.PaymentMethod = stripe.String("pm_sim_processing") },
			stripe.PaymentIntentStatusProcessing,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			params := intentParams("cus_a", "pm_card_visa")
			tc.change(params)
			pi, err := b.stripe.PaymentIntents.New(params)
			require.NoError(t, err)
			require.Equal(t, tc.want, pi.Status)
			require.Equal(t, "cus_a", pi.Customer.ID)
		})
	}
}

func TestPaymentIntent_ConfirmTakesTheMoneyOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	params := intentParams("cus_a", "pm_card_visa")
	params.Confirm, params.OffSession = nil, nil
	params.AddMetadata("tollgate_call", "c1")
	pi, err := b.stripe.PaymentIntents.New(params)
	require.NoError(t, err)
	require.Zero(t, b.sim.Truth().Charges)
	require.Equal(t, 1, b.sim.Truth().PaymentIntents)

	confirm := &stripe.PaymentIntentConfirmParams{}
	confirm.AddExpand("latest_charge")
	pi, err = b.stripe.PaymentIntents.Confirm(pi.ID, confirm)
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusSucceeded, pi.Status)
	require.EqualValues(t, 1000, pi.AmountReceived)
	require.EqualValues(t, 1000, pi.LatestCharge.AmountCaptured)
	require.Equal(t, "c1", pi.Metadata["tollgate_call"])

	_, err = b.stripe.PaymentIntents.Confirm(pi.ID, nil)
	var refusal *stripe.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, stripe.ErrorCodePaymentIntentUnexpectedState, refusal.Code)
	require.Equal(t, pi.ID, refusal.PaymentIntent.ID)

	truth := b.sim.Truth()
	require.Equal(t, 1, truth.Charges)
	require.EqualValues(t, 10_000_000, truth.SucceededTotalMicroUSD)
	require.Equal(t, map[string]string{"tollgate_call": "c1"}, truth.Charged[0].Metadata)
	require.Equal(t, pi.ID, truth.Charged[0].PaymentIntent)
}

func TestPaymentIntent_CaptureTakesAllOrPartOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		amount *int64
		want   int64
		code   stripe.ErrorCode
	}{
		"without an amount all of it":        {nil, 1000, ""},
		"with an amount that much":           {stripe.Int64(400), 400, ""},
		"with more than is held it refuses":  {stripe.Int64(1001), 0, stripe.ErrorCodeAmountTooLarge},
		"with nothing at all it refuses too": {stripe.Int64(0), 0, stripe.ErrorCodeParameterInvalidInteger},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			params := intentParams("cus_a", "pm_card_visa")
			params.CaptureMethod = stripe.String("manual")
			pi, err := b.stripe.PaymentIntents.New(params)
			require.NoError(t, err)
			require.EqualValues(t, 1000, pi.AmountCapturable)
			require.EqualValues(t, 10_000_000, b.sim.Truth().HeldTotalMicroUSD)

			pi, err = b.stripe.PaymentIntents.Capture(pi.ID, &stripe.PaymentIntentCaptureParams{AmountToCapture: tc.amount})
			truth := b.sim.Truth()
			require.Equal(t, tc.want*10_000, truth.SucceededTotalMicroUSD)
			if tc.code != "" {
				var refusal *stripe.Error
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, tc.code, refusal.Code)
				require.Equal(t, vendorsim.TruthRequiresCapture, truth.Charged[0].Status)
				return
			}
			require.NoError(t, err)
			require.Equal(t, stripe.PaymentIntentStatusSucceeded, pi.Status)
			require.Equal(t, tc.want, pi.AmountReceived)
			require.Zero(t, pi.AmountCapturable)
			require.Zero(t, truth.HeldTotalMicroUSD)
		})
	}
}

func TestPaymentIntent_CancelGivesHeldMoneyBack(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	params := intentParams("cus_a", "pm_card_visa")
	params.CaptureMethod = stripe.String("manual")
	pi, err := b.stripe.PaymentIntents.New(params)
	require.NoError(t, err)

	pi, err = b.stripe.PaymentIntents.Cancel(pi.ID, &stripe.PaymentIntentCancelParams{CancellationReason: stripe.String("abandoned")})
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusCanceled, pi.Status)
	require.Equal(t, stripe.PaymentIntentCancellationReasonAbandoned, pi.CancellationReason)
	require.NotZero(t, pi.CanceledAt)
	truth := b.sim.Truth()
	require.Zero(t, truth.Charges)
	require.Zero(t, truth.HeldTotalMicroUSD)
	require.Equal(t, vendorsim.TruthCanceled, truth.Charged[0].Status)
}

func TestPaymentIntent_RefusesMovesItsStatusDoesNotAllow(t *testing.T) {
	t.Parallel()
	// Where a PaymentIntent is brought, and the moves that are refused there.
	for status, tc := range map[string]struct {
		form    url.Values
		refused []string
	}{
		"requires_payment_method": {payment("cus_a", "confirm", "-", "off_session", "-", "payment_method", "-"), []string{"confirm", "capture"}},
		"requires_confirmation":   {payment("cus_a", "confirm", "-", "off_session", "-"), []string{"capture"}},
		"requires_action":         {payment("cus_a", "off_session", "-", "payment_method", "pm_card_authenticationRequired"), []string{"capture"}},
		"requires_capture":        {payment("cus_a", "capture_method", "manual"), []string{"confirm"}},
		"processing":              {payment("cus_a", "payment_method", "pm_sim_processing"), []string{"confirm", "capture", "cancel"}},
		"succeeded":               {payment("cus_a"), []string{"confirm", "capture", "cancel"}},
	} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			created := b.post(t, "/v1/payment_intents", "k", tc.form).object(t)
			require.Equal(t, status, created["status"])
			before := b.sim.Truth().Charged
			for _, move := range tc.refused {
				r := b.post(t, "/v1/payment_intents/"+created["id"].(string)+"/"+move, "", url.Values{})
				require.Equal(t, http.StatusBadRequest, r.status, move)
				require.Equal(t, "payment_intent_unexpected_state", r.failure(t)["code"], move)
			}
			require.Equal(t, before, b.sim.Truth().Charged)
		})
	}
}

func TestPaymentIntent_DeclineSaysWhyAndAllowsAnotherMethod(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]struct {
		code    stripe.ErrorCode
		decline stripe.DeclineCode
	}{
		"pm_card_chargeDeclined":                       {"card_declined", "generic_decline"},
		"pm_card_chargeDeclinedInsufficientFunds":      {"card_declined", "insufficient_funds"},
		"pm_card_visa_chargeDeclinedInsufficientFunds": {"card_declined", "insufficient_funds"},
		"pm_card_chargeDeclinedExpiredCard":            {"expired_card", ""},
		"pm_card_authenticationRequired":               {"authentication_required", "authentication_required"},
		"pm_0017_declined":                             {"card_declined", "generic_decline"},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			_, err := b.stripe.PaymentIntents.New(intentParams("cus_a", method))
			var refusal *stripe.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, http.StatusPaymentRequired, refusal.HTTPStatusCode)
			require.Equal(t, stripe.ErrorTypeCard, refusal.Type)
			require.Equal(t, want.code, refusal.Code)
			require.Equal(t, want.decline, refusal.DeclineCode)
			require.NotNil(t, refusal.PaymentIntent)
			require.Equal(t, refusal.ChargeID, refusal.PaymentIntent.LatestCharge.ID)

			pi, err := b.stripe.PaymentIntents.Get(refusal.PaymentIntent.ID, nil)
			require.NoError(t, err)
			require.Equal(t, stripe.PaymentIntentStatusRequiresPaymentMethod, pi.Status)
			require.Equal(t, want.code, pi.LastPaymentError.Code)
			require.Nil(t, pi.PaymentMethod)
			truth := b.sim.Truth()
			require.Zero(t, truth.Charges)
			require.Empty(t, truth.Charged)
			require.Equal(t, 1, truth.Declined)

			pi, err = b.stripe.PaymentIntents.Confirm(pi.ID, &stripe.PaymentIntentConfirmParams{
				PaymentMethod: stripe.String("pm_card_visa"), OffSession: stripe.Bool(true),
			})
			require.NoError(t, err)
			require.Equal(t, stripe.PaymentIntentStatusSucceeded, pi.Status)
			require.Nil(t, pi.LastPaymentError)
			require.Equal(t, 1, b.sim.Truth().Charges)
		})
	}
}

func TestPaymentIntent_ProcessingEndsAfterReadsOrTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method string
		reads  int
		pass   time.Duration
		want   stripe.PaymentIntentStatus
		truth  string
	}{
		"read too seldom it goes on":     {"pm_sim_processing", 1, 0, "processing", vendorsim.TruthProcessing},
		"read often enough it succeeds":  {"pm_sim_processing", 2, 0, "succeeded", vendorsim.TruthSucceeded},
		"old enough it succeeds":         {"pm_sim_processing", 1, 5 * time.Second, "succeeded", vendorsim.TruthSucceeded},
		"the bank may say no in the end": {"pm_sim_processing_fails", 2, 0, "requires_payment_method", vendorsim.TruthFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, vendorsim.Config{})
			pi, err := b.stripe.PaymentIntents.New(intentParams("cus_a", tc.method))
			require.NoError(t, err)
			require.Zero(t, pi.AmountReceived)
			require.EqualValues(t, 10_000_000, b.sim.Truth().HeldTotalMicroUSD)
			b.clock.advance(tc.pass)
			for range tc.reads {
				pi, err = b.stripe.PaymentIntents.Get(pi.ID, nil)
				require.NoError(t, err)
			}
			require.Equal(t, tc.want, pi.Status)
			require.Equal(t, tc.truth, b.sim.Truth().Charged[0].Status)
		})
	}
}

func TestTruth_SettlesWhatIsOldEnoughWithoutAnyRead(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{ProcessingDelay: time.Minute})
	_, err := b.stripe.PaymentIntents.New(intentParams("cus_a", "pm_sim_processing"))
	require.NoError(t, err)
	b.clock.advance(time.Minute - 1)
	require.Zero(t, b.sim.Truth().Charges)
	b.clock.advance(1)
	require.Equal(t, 1, b.sim.Truth().Charges)
}
