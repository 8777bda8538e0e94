package vaultproxy

import (
	"context"
	"net/http"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// SplitTarget takes a request target apart; ok is false if it is refused.
func SplitTarget(target string) (vendor, path, query string, ok bool) {
	vendor, path, query, d := splitTarget(&http.Request{RequestURI: target})
	return vendor, path, query, d == nil
}

// Outgoing is what would be sent to an upstream for a target below it.
func Outgoing(upstream Upstream, target string) (*http.Request, error) {
	base, err := upstream.base()
	if err != nil {
		return nil, err
	}
	u := newUpstream(upstream, base)
	return u.request(context.Background(), vendors.Wire{Method: http.MethodGet, Target: target}, "")
}
