package activities

import (
	"context"
	"net/http"
	"time"
)

// probeTimeout bounds one look at the proxy's data plane.
const probeTimeout = 10 * time.Second

// AwaitProxy succeeds when both planes of the vault proxy answer. Until then it is
// for Temporal to try it again.
func (a *Activities) AwaitProxy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	away := rule{errorType: TypeProxyUnreachable, retry: true, benign: true, text: "the vault proxy does not answer yet"}
	if err := a.control.Ready(ctx); err != nil {
		return away.applicationError("control plane", 0)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.dataURL, http.NoBody)
	if err != nil {
		return away.applicationError("data plane", 0)
	}
	// Whatever it answers, it is there: without a key it refuses.
	res, err := a.transport.RoundTrip(req)
	if err != nil {
		return away.applicationError("data plane", 0)
	}
	_ = res.Body.Close()
	if res.StatusCode >= http.StatusInternalServerError {
		return away.applicationError("data plane", 0)
	}
	return nil
}
