package vaultproxy

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/policy"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 256 << 10
	// maxIdempotencyKey is Stripe's own bound, in characters.
	maxIdempotencyKey = 255
	// maxNote bounds the item and the workflow ID that a call may carry.
	maxNote = 255
)

// canonicalise is the second step: it reads the request once, strictly, into
// the form that all later steps work on and that is sent.
func (p *Proxy) canonicalise(c *call, r *http.Request) *denial {
	vendorName, path, query, d := splitTarget(r)
	if d != nil {
		return d
	}
	c.upstream = p.upstreams[vendorName]
	if c.upstream == nil {
		return deny(VendorUnknown, "the path must begin with a vendor that is configured at this proxy, such as /stripe/v1/payment_intents or /resend/emails")
	}
	if c.grant.vendor != vendorName {
		return deny(EndpointNotAllowed, "this vault key was issued for another vendor")
	}
	if d := checkTransport(r); d != nil {
		return d
	}
	c.path = path
	body, d := readBody(r)
	if d != nil {
		return d
	}
	if d := c.readNotes(r); d != nil {
		return d
	}
	var err error
	c.request, err = c.upstream.vendor.Parse(vendors.Raw{
		Method: r.Method, Path: path, Query: query, ContentType: r.Header.Get("Content-Type"),
		Header: r.Header.Get, Body: body,
	})
	if err != nil {
		return refused(err)
	}
	c.digest = digest(c.request)
	if !c.request.Read() {
		return c.identify()
	}
	return nil
}

// splitTarget takes the request's target apart without decoding it: a path that
// would need decoding has two readings and is refused.
func splitTarget(r *http.Request) (vendorName, path, query string, d *denial) {
	target, query, hasQuery := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(target, "/") || strings.Contains(r.RequestURI, "#") || (hasQuery && strings.Contains(query, "?")) {
		return "", "", "", deny(RequestAmbiguous, "the request target must be a plain path")
	}
	segments := strings.Split(target[1:], "/")
	for _, segment := range segments {
		if !policy.IsSegment(segment) {
			return "", "", "", deny(RequestAmbiguous, "the path has empty, dotted or encoded segments")
		}
	}
	return segments[0], "/" + strings.Join(segments[1:], "/"), query, nil
}

// checkTransport refuses what makes two parties see two requests.
func checkTransport(r *http.Request) *denial {
	for _, name := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
		if len(r.Header.Values(name)) > 0 {
			return deny(RequestAmbiguous, "method override headers are not taken")
		}
	}
	for _, name := range []string{"Content-Type", "Idempotency-Key", "Stripe-Version", "Stripe-Account", "X-Batch-Validation"} {
		if len(r.Header.Values(name)) > 1 {
			return deny(RequestAmbiguous, "the "+name+" header is given twice")
		}
	}
	if r.Header.Get("Content-Encoding") != "" {
		return deny(RequestAmbiguous, "compressed request bodies are not taken")
	}
	if r.Header.Get("Upgrade") != "" {
		return deny(RequestAmbiguous, "protocol upgrades are not taken")
	}
	return nil
}

func readBody(r *http.Request) ([]byte, *denial) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		// Nothing is wrong with the request as such, and an earlier attempt of it may be on the books.
		return nil, deny(Overloaded, "the body did not arrive to its end; try again with the same idempotency key")
	}
	if len(body) > maxBody {
		return nil, deny(RequestInvalid, "the body is larger than 256 KiB")
	}
	return body, nil
}

// readNotes takes what the caller wants to find again in the audit log.
func (c *call) readNotes(r *http.Request) *denial {
	c.item, c.workflowID = r.Header.Get("Tollgate-Item"), r.Header.Get("Tollgate-Workflow-Id")
	c.idempotencyKey = r.Header.Get("Idempotency-Key")
	for _, note := range []string{c.item, c.workflowID} {
		if len(note) > maxNote || !printable(note) {
			return deny(RequestInvalid, "Tollgate-Item and Tollgate-Workflow-Id take up to 255 printable ASCII characters")
		}
	}
	return nil
}

// identify gives a write its identity: one idempotency key of one run is one call.
func (c *call) identify() *denial {
	switch {
	case c.idempotencyKey == "":
		return deny(IdempotencyRequired, "a write needs an Idempotency-Key header, the same one on every retry")
	case len(c.idempotencyKey) > maxIdempotencyKey || !printable(c.idempotencyKey):
		return deny(RequestInvalid, "the Idempotency-Key takes up to 255 printable ASCII characters")
	}
	sum := hashParts("call", c.grant.tenant, c.grant.run, c.grant.vendor, c.idempotencyKey)
	c.callID = "call_" + lower32.EncodeToString(sum[:16])
	return nil
}

// digest is over the canonical request as the caller sent it, before metering
// pins anything in it.
func digest(r vendors.Request) [32]byte {
	parts := []string{"request", r.Method, r.Path, r.Query.Encode(), r.Body.Encode(), string(r.JSON)}
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, name, r.Header[name])
	}
	return hashParts(parts...)
}

// hashParts hashes strings with their lengths, so that no two lists run together.
func hashParts(parts ...string) [32]byte {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return [32]byte(h.Sum(nil))
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e }) < 0
}

// refused turns a vendor profile's refusal into a denial.
func refused(err error) *denial {
	var refusal *vendors.Refusal
	if errors.As(err, &refusal) {
		return &denial{code: Code(refusal.Code), message: refusal.Message, param: refusal.Param}
	}
	var lookup *vendors.LookupError
	if errors.As(err, &lookup) {
		switch lookup.Status {
		case http.StatusUnauthorized, http.StatusForbidden:
			return deny(VendorCredentials, "the vendor refused the proxy's own secret; have its operator check it")
		case http.StatusTooManyRequests:
			return &denial{
				code: RateLimited, retryAfter: time.Second,
				message: "the vendor asks to slow down; nothing was sent; try again with the same idempotency key",
			}
		}
	}
	return &denial{
		code: VendorUnavailable, retryAfter: time.Second,
		message: "the vendor could not be asked for what this call costs, so nothing was sent; try again with the same idempotency key",
	}
}
