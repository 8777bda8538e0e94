package stripe

import (
	"fmt"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

var _ vendors.Checker = (*Profile)(nil)

// Check tells a person where in Stripe's dashboard the outcome of a call shows.
func (*Profile) Check(s vendors.Sent, object string) string {
	at := s.FirstSentAt.UTC().Format(time.RFC3339)
	if object != "" {
		return fmt.Sprintf("look at %s in the Stripe dashboard: its status says what it came to", object)
	}
	switch s.Operation {
	case intentCreate, chargeCreate, refundCreate:
		kind := map[string]string{intentCreate: "payment_intents", chargeCreate: "charges", refundCreate: "refunds"}[s.Operation]
		return fmt.Sprintf("look in the Stripe dashboard for %s with metadata tollgate_call=%s, created around %s", kind, s.CallID, at)
	case intentConfirm, intentCapture, intentCancel, chargeCapture:
		verb := map[string]string{
			intentConfirm: "confirmed", intentCapture: "captured", intentCancel: "canceled", chargeCapture: "captured",
		}[s.Operation]
		return fmt.Sprintf("look at %s in the Stripe dashboard: was it %s around %s?", s.Target, verb, at)
	}
	return fmt.Sprintf("look in the Stripe dashboard for what was done around %s", at)
}
