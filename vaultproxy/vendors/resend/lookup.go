package resend

import (
	"context"
	"fmt"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

var _ vendors.Checker = (*Profile)(nil)

// Lookup finds nothing and proves nothing: Resend lists e-mails without their
// tags, so nothing in the list tells which call sent one. The proxy then asks
// again under the same idempotency key, for as long as Resend remembers it.
// https://resend.com/docs/api-reference/emails/list-emails
func (*Profile) Lookup(context.Context, vendors.Sent, vendors.Getter) (vendors.Finding, error) {
	return vendors.Finding{}, nil
}

// Follow has nothing to do: an e-mail that Resend accepted is settled at once.
func (*Profile) Follow(context.Context, vendors.Sent, string, vendors.Getter) (vendors.Finding, error) {
	return vendors.Finding{}, nil
}

// Check tells a person where the outcome of a call shows.
func (*Profile) Check(s vendors.Sent, object string) string {
	if object != "" {
		return fmt.Sprintf("look at the e-mail %s in Resend's dashboard", object)
	}
	return fmt.Sprintf("look in Resend's dashboard, under Logs and Emails, for what was sent around %s; its e-mails have the tag %s=%s",
		s.FirstSentAt.UTC().Format(time.RFC3339), stampCall, s.CallID)
}
