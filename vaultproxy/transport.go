package vaultproxy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/framing"
)

var (
	// methods are those that an allowlist can name.
	methods = []string{http.MethodGet, http.MethodPost, http.MethodDelete}

	// single are headers that mean something to the proxy: given twice, it is not
	// certain which one counts.
	single = []string{
		"Content-Type", "Idempotency-Key", "Stripe-Version", "Stripe-Account", "Stripe-Context", "X-Batch-Validation", "Tollgate-Item", "Tollgate-Workflow-Id",
		"Expect", "Host", "Content-Length",
	}

	// unwanted are headers that would make another request of this one, for those
	// who heed them.
	unwanted = map[string]string{
		"X-Http-Method-Override": "method override headers are not taken",
		"X-Http-Method":          "method override headers are not taken",
		"X-Method-Override":      "method override headers are not taken",
		"X-Original-Method":      "method override headers are not taken",
		"X-Original-Url":         "headers that replace the path are not taken",
		"X-Rewrite-Url":          "headers that replace the path are not taken",
		"X-Original-Uri":         "headers that replace the path are not taken",
		"Content-Encoding":       "compressed request bodies are not taken",
		"Content-Range":          "parts of a body are not taken",
		"Upgrade":                "protocol upgrades are not taken",
		"Http2-Settings":         "protocol upgrades are not taken",
		"Trailer":                "headers behind a body are not taken",
	}
)

// checkTransport refuses what makes two parties see two requests.
func checkTransport(r *http.Request) *denial {
	if flaw := framing.Flaw(r.Context()); flaw != "" {
		return deny(RequestAmbiguous, "it is not certain where this request ends: "+flaw)
	}
	if !slices.Contains(methods, r.Method) {
		return deny(RequestAmbiguous, "the method must be GET, POST or DELETE")
	}
	if !isHost(r.Host) {
		return deny(RequestAmbiguous, "the Host header must be a host name without a trailing dot, or an address, and perhaps a port")
	}
	for name, values := range r.Header {
		if d := checkHeader(name, values); d != nil {
			return d
		}
	}
	return nil
}

func checkHeader(name string, values []string) *denial {
	if why, ok := unwanted[name]; ok {
		return deny(RequestAmbiguous, why)
	}
	if len(values) > 1 && slices.Contains(single, name) {
		return deny(RequestAmbiguous, "the "+name+" header is given twice")
	}
	switch name {
	case "Connection":
		return checkConnection(values)
	case "Expect":
		if !strings.EqualFold(values[0], "100-continue") {
			return deny(RequestAmbiguous, "no other expectation than 100-continue is understood")
		}
	}
	if !strings.Contains(name, "_") {
		return nil
	}
	// Whatever speaks CGI takes the two spellings for one header.
	dashed := http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	_, isUnwanted := unwanted[dashed]
	if isUnwanted || slices.Contains(single, dashed) || slices.Contains([]string{"Authorization", "Connection", "Transfer-Encoding"}, dashed) {
		return deny(RequestAmbiguous, "the "+dashed+" header is spelt with an underscore")
	}
	return nil
}

// checkConnection refuses to have other headers named as meant for one hop only:
// who stands before the proxy may have dropped them, or may yet.
func checkConnection(values []string) *denial {
	for _, value := range values {
		for token := range strings.SplitSeq(value, ",") {
			if token = strings.Trim(token, " \t"); !strings.EqualFold(token, "keep-alive") && !strings.EqualFold(token, "close") {
				return deny(RequestAmbiguous, "the Connection header takes keep-alive or close, and names no other header")
			}
		}
	}
	return nil
}

// isHost takes a name or an IPv4 address, or an IPv6 address in brackets, with
// or without a port. Which one it is makes no difference: the upstream is fixed.
func isHost(host string) bool {
	name, rest := host, ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']') + 1
		name, rest = host[:end], host[end:]
		if strings.Trim(name, "[]0123456789abcdefABCDEF:.") != "" {
			return false
		}
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 {
		name, rest = host[:colon], host[colon:]
	}
	port, hasPort := strings.CutPrefix(rest, ":")
	if (rest != "" && !hasPort) || (hasPort && port == "") || strings.Trim(port, "0123456789") != "" || name == "" {
		return false
	}
	return strings.HasPrefix(host, "[") || isName(name)
}

// isName wants labels of letters, digits, hyphens and underscores, with one dot
// between them: a name with a dot behind it is the same host and another text.
func isName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// arrivalShare is the part of all calls at once that may be waiting for bodies
// under one vault key: one in so many.
const arrivalShare = 4

// takeBody reads a body, unless too many of the same key are on their way: whoever
// lets bodies drip in holds places up, and must not hold up those of others.
func (p *Proxy) takeBody(g *grant, r *http.Request) ([]byte, *denial) {
	defer g.arriving.Add(-1)
	if g.arriving.Add(1) > int64(max(1, cap(p.slots)/arrivalShare)) {
		d := deny(Overloaded, "too many bodies under this vault key are on their way; try again with the same idempotency key")
		d.retryAfter = time.Second
		return nil, d
	}
	return readBody(r)
}

func readBody(r *http.Request) ([]byte, *denial) {
	if r.ContentLength > maxBody { // nobody waits for what is refused in any case
		return nil, deny(RequestInvalid, "the body is larger than 256 KiB")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	flaw := framing.Flaw(r.Context())
	switch {
	case flaw != "":
		return nil, deny(RequestAmbiguous, "it is not certain where this request ends: "+flaw)
	case len(body) > maxBody:
		return nil, deny(RequestInvalid, "the body is larger than 256 KiB")
	case err != nil:
		// Nothing is wrong with the request as such, and an earlier attempt of it may be on the books.
		return nil, deny(Overloaded, "the body did not arrive to its end; try again with the same idempotency key")
	case len(r.Trailer) > 0:
		return nil, deny(RequestAmbiguous, "headers behind a body are not taken")
	}
	return body, nil
}
