// Package stripe is the profile of Stripe's v1 API, version 2023-10-16.
//
// Writes are passed on if they stand in one table, see operation; every other one
// is refused, with the reason where one is known: what the profile does not
// understand fully, it does not pass on. Reads cost nothing. docs/stripe.md is the
// table in words, and a test holds the two together. An operation says
//
//	how it is read      path, parameters, and which of them may have one value only
//	how it is priced    pricing: by its amount, by the object that it moves, …
//	what it comes to    effect: it makes, moves or ends an object, or records something
//	how it is found     the list in which its stamp is looked for, or what its object tells
//
// and the object's kind says what its status proves.
//
// A payment is captured once: while a capture leaves the rest open, nothing on
// the object tells whether a lost one was made, so final_capture=false is refused.
//
// Other currencies than the US dollar are priced by a table of exchange rates, see
// books; which customers and accounts a call may reach is the key's scope, see
// CheckScope.
//
// Sources: https://docs.stripe.com/api (each resource, Idempotent requests, Errors) and https://docs.stripe.com/error-low-level for
// which failures are stored under an idempotency key.
package stripe

import (
	"errors"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/money/fx"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// APIVersion is the version that requests are sent with and that the profile
// understands; it is the one that stripe-go v76 pins.
const APIVersion = "2023-10-16"

// Config holds what the profile cannot know.
type Config struct {
	Secret string    // the real API key; required
	Rates  *fx.Table // exchange rates; nil: only US dollars are metered
}

// Profile implements vendors.Vendor.
type Profile struct {
	secret string
	rates  *fx.Table
	books  *books // of the one call that is being metered or judged; nil outside of that
}

var _ vendors.Vendor = (*Profile)(nil)

// New checks the secret's form; it never repeats it in an error.
func New(cfg Config) (*Profile, error) {
	switch {
	case cfg.Secret == "":
		return nil, errors.New("the Stripe secret is missing: set STRIPE_SECRET_KEY, or STRIPE_SECRET_KEY_FILE to a file that holds it")
	case strings.ContainsFunc(cfg.Secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the Stripe secret has spaces or other characters that no Stripe key has: check the file or variable that it comes from")
	case strings.HasPrefix(cfg.Secret, "pk_"):
		return nil, errors.New("the Stripe secret is a publishable key (pk_…): a secret or restricted key (sk_…, rk_…) is needed")
	case strings.HasPrefix(cfg.Secret, "vault_key_"):
		return nil, errors.New("the Stripe secret is a vault key: the real Stripe key (sk_… or rk_…) is needed here")
	}
	return &Profile{secret: cfg.Secret, rates: cfg.Rates}, nil
}

// Name is the profile's path segment on the data plane.
func (*Profile) Name() string { return "stripe" }

// Credentials carry the real key.
func (p *Profile) Credentials() map[string]string {
	return map[string]string{"Authorization": "Bearer " + p.secret}
}

// IdempotencyHeader makes repeats safe at Stripe, for at least 24 hours.
func (*Profile) IdempotencyHeader() string { return "Idempotency-Key" }
