package stripe_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

func TestCheck_TellsAPersonWhereToLook(t *testing.T) {
	t.Parallel()
	p, err := stripe.New(stripe.Config{Secret: "sk_test_1"})
	require.NoError(t, err)
	at := time.Date(2026, 11, 24, 12, 0, 0, 5, time.FixedZone("CET", 3600))
	for operation, want := range map[string]string{
		"payment_intents.create":  "look in the Stripe dashboard for payment_intents with metadata tollgate_call=call_1, created around 2026-11-24T11:00:00Z",
		"charges.create":          "look in the Stripe dashboard for charges with metadata tollgate_call=call_1, created around 2026-11-24T11:00:00Z",
		"refunds.create":          "look in the Stripe dashboard for refunds with metadata tollgate_call=call_1, created around 2026-11-24T11:00:00Z",
		"payment_intents.confirm": "look at pi_1 in the Stripe dashboard: was it confirmed around 2026-11-24T11:00:00Z?",
		"payment_intents.capture": "look at pi_1 in the Stripe dashboard: was it captured around 2026-11-24T11:00:00Z?",
		"payment_intents.cancel":  "look at pi_1 in the Stripe dashboard: was it canceled around 2026-11-24T11:00:00Z?",
		"charges.capture":         "look at pi_1 in the Stripe dashboard: was it captured around 2026-11-24T11:00:00Z?",
	} {
		s := vendors.Sent{CallID: "call_1", Operation: operation, Target: "pi_1", FirstSentAt: at}
		require.Equal(t, want, p.Check(s, ""))
	}
	require.Equal(t, "look at pi_2 in the Stripe dashboard: its status says what it came to",
		p.Check(vendors.Sent{Operation: "payment_intents.create", CallID: "call_1", FirstSentAt: at}, "pi_2"))
}
