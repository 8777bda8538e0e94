// Package resend is the profile of Resend's e-mail API.
//
// Metered are POST /emails and POST /emails/batch, of up to 100 e-mails. Reads
// cost nothing. Every other write is refused: what the profile does not
// understand fully, it does not pass on.
//
//	operation      held                            settled       released
//	emails.send    to + cc + bcc, times the price  2xx, in full  a refusal that Resend names
//	emails.batch   the same, summed over its items 2xx, in full  a refusal that Resend names
//
// Resend counts each recipient as an e-mail, and so does the profile. There is no
// look-up: Resend's list shows no tags, so a lost answer cannot be told from the
// outside. It is asked for again under the same idempotency key, which Resend
// answers with the first outcome for 24 hours; the proxy stops an hour before that,
// and leaves the call unknown then.
//
// What would be charged or change after the call is refused: scheduled e-mails can
// be moved and cancelled past the proxy, and templates and attachments by URL put
// content in that the proxy does not see.
//
// Sources: https://resend.com/docs/api-reference/emails/send-email,
// https://resend.com/docs/api-reference/emails/send-batch-emails,
// https://resend.com/docs/api-reference/errors,
// https://resend.com/docs/dashboard/emails/idempotency-keys and
// https://resend.com/docs/knowledge-base/account-quotas-and-limits (recipients
// count as separate e-mails).
package resend

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Config holds what the profile cannot know.
type Config struct {
	// Secret is the real API key; required.
	Secret string
	// FromDomains are the domains that e-mails may be sent from, matched exactly:
	// a subdomain is another domain. At least one is required.
	FromDomains []string
	// Price is what one recipient of one e-mail costs at most, in micro-USD; above zero.
	Price money.USD
}

// Profile implements vendors.Vendor.
type Profile struct {
	secret string
	from   map[string]bool
	price  money.USD
}

var _ vendors.Vendor = (*Profile)(nil)

// maxPrice bounds the price of a recipient, so that a call's price cannot overflow
// and a slip of the decimal point is noticed.
const maxPrice = money.Dollar

// New checks the configuration; it never repeats the secret in an error.
func New(cfg Config) (*Profile, error) {
	if err := checkSecret(cfg.Secret); err != nil {
		return nil, err
	}
	if cfg.Price <= 0 || cfg.Price > maxPrice {
		return nil, errors.New("the price of an e-mail's recipient at Resend must be above 0 and at most 1 dollar (--resend-price-usd)")
	}
	if len(cfg.FromDomains) == 0 {
		return nil, errors.New("with Resend, give the domains that e-mails may be sent from (--resend-from-domains)")
	}
	p := &Profile{secret: cfg.Secret, from: map[string]bool{}, price: cfg.Price}
	for _, domain := range cfg.FromDomains {
		canonical, ok := canonicalDomain(domain)
		if !ok {
			return nil, fmt.Errorf("%.80q is no domain that e-mails can be sent from: write it like mail.example.com (--resend-from-domains)", domain)
		}
		p.from[canonical] = true
	}
	return p, nil
}

func checkSecret(secret string) error {
	switch {
	case secret == "":
		return errors.New("the Resend API key is missing: set RESEND_API_KEY, or RESEND_API_KEY_FILE to a file that holds it")
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the Resend API key has spaces or other characters that no Resend key has: check the file or variable that it comes from")
	case strings.HasPrefix(secret, "vault_key_"):
		return errors.New("the Resend API key is a vault key: the real Resend key (re_…) is needed here")
	case !strings.HasPrefix(secret, "re_"):
		return errors.New("the Resend API key does not start with re_, as Resend's keys do: check the file or variable that it comes from")
	}
	return nil
}

// IsStandInKey tells the keys that only this project's stand-in takes, re_sim_…,
// from Resend's own, which all send real e-mails: there is no test mode.
func IsStandInKey(secret string) bool { return strings.HasPrefix(secret, "re_sim_") }

// Name is the profile's path segment on the data plane.
func (*Profile) Name() string { return "resend" }

// Credentials carry the real key.
func (p *Profile) Credentials() map[string]string {
	return map[string]string{"Authorization": "Bearer " + p.secret}
}

// IdempotencyHeader makes repeats safe at Resend, for 24 hours; it takes up to 256
// characters. https://resend.com/docs/dashboard/emails/idempotency-keys
func (*Profile) IdempotencyHeader() string { return "Idempotency-Key" }
