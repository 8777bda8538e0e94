package stripe

import (
	"fmt"
	"strings"
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
	op, known := named(s.Operation)
	switch {
	case !known:
		return fmt.Sprintf("look in the Stripe dashboard for what was done around %s", at)
	case op.creates():
		what := op.list[strings.LastIndexByte(op.list, '/')+1:]
		return fmt.Sprintf("look in the Stripe dashboard for %s with metadata tollgate_call=%s, created around %s", what, s.CallID, at)
	}
	return fmt.Sprintf("look at %s in the Stripe dashboard: was it %s around %s?", s.Target, op.past, at)
}
