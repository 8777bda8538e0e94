package resend

import (
	"maps"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

var (
	_ vendors.Pacer  = (*Profile)(nil)
	_ vendors.Denier = (*Profile)(nil)
)

// maxPace keeps a call that Resend does not answer for from using up what it
// allows of requests, a handful a second for the whole account.
const maxPace = 15 * time.Minute

// Pace doubles from two seconds: each look at a call is a send of it.
func (*Profile) Pace(looks int) time.Duration {
	return min(2*time.Second<<min(max(looks, 0), 10), maxPace)
}

// Denial puts name and statusCode beside our own fields, by which Resend's SDKs
// tell errors apart. https://resend.com/docs/api-reference/errors
func (*Profile) Denial(status int, fields map[string]any) any {
	out := maps.Clone(fields)
	out["statusCode"], out["name"] = status, fields["code"]
	return out
}
