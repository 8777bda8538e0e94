package activities

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
)

// controlError turns an error of the control-plane client into a bare
// application error. The proxy's own message is left out: a terminal code says
// what to do, and texts of others do not belong in a history.
func controlError(err error) error {
	var refused *client.Error
	if !errors.As(err, &refused) {
		detail := ""
		var network *net.OpError
		if errors.As(err, &network) {
			detail = network.Error()
		}
		return rule{errorType: TypeProxyUnreachable, retry: true, text: "the vault proxy's control plane did not answer"}.
			applicationError(detail, 0)
	}
	return controlRule(refused.Status, refused.Code).
		applicationError(token(refused.Code), min(refused.RetryAfter, time.Minute))
}

// ledgerError is controlError of a call about a key that was issued. A ledger that
// does not have it is not the one that issued it. That can be put right while the
// run goes on, so it is tried again; an end would be read as the key's own.
func ledgerError(err error) error {
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return rule{
			errorType: TypeWrongLedger, retry: true,
			text: "the vault proxy that was asked does not know the run's vault key: it keeps another ledger, or an older copy",
		}.applicationError(token(refused.Code), 0)
	}
	return controlError(err)
}

func controlRule(status int, code string) rule {
	switch code {
	case "policy_conflict":
		return rule{errorType: TypePolicyConflict, text: "this run has a vault key for another budget, policy or customer list; start it with the same ones"}
	case "run_revoked":
		return rule{errorType: TypeRunRevoked, text: "the run was revoked; it gets no further key"}
	case "run_closed":
		return rule{errorType: TypeRunClosed, text: "the run is closed; it gets no further key"}
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return rule{errorType: TypeAdminKeyRejected, text: "the vault proxy refused the worker's admin key; set the one that the proxy uses"}
	case status == http.StatusNotFound:
		return rule{errorType: TypeNotFound, text: "the vault proxy has no such key or run"}
	case status == http.StatusTooManyRequests:
		return rule{errorType: TypeRateLimited, retry: true, text: "the vault proxy's control plane asks to slow down"}
	case status >= http.StatusInternalServerError:
		return rule{errorType: TypeLedgerUnavailable, retry: true, text: "the vault proxy's control plane is not available"}
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		return rule{errorType: TypeInvalidRequest, text: "the vault proxy refused the request"}
	}
	return unexpected()
}
