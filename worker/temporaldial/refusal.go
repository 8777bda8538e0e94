package temporaldial

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// Refusal is the error of a server that was reached but did not do what it was
// asked to: doing names that, such as "start billing-pro-2026-11".
func Refusal(opts client.Options, doing string, err error) error {
	var noNamespace *serviceerror.NamespaceNotFound
	var denied *serviceerror.PermissionDenied
	switch {
	case errors.As(err, &noNamespace):
		return fmt.Errorf("the Temporal server at %s has no namespace %s: create it with 'temporal operator namespace create -n %s', or set TEMPORAL_NAMESPACE", opts.HostPort, opts.Namespace, opts.Namespace)
	case errors.As(err, &denied):
		return fmt.Errorf("the Temporal server at %s refuses us in namespace %s: check TEMPORAL_API_KEY and the TEMPORAL_TLS_ variables", opts.HostPort, opts.Namespace)
	}
	return fmt.Errorf("%s: Temporal at %s, namespace %s: %s", doing, opts.HostPort, opts.Namespace, reason(err))
}

// reason is the cause of an error without gRPC's layers around it.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + timeout.String()
	}
	text := err.Error()
	if i := strings.LastIndex(text, "desc = "); i >= 0 {
		text = strings.Trim(text[i+len("desc = "):], `"`)
	}
	for _, prefix := range []string{"failed reaching server: ", "transport: ", "Error while dialing: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}
