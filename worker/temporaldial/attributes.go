package temporaldial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/worker/payloadcodec"
)

// EnsureSearchAttributes makes sure that the server knows these search attributes:
// a workflow that sets one that it does not know would never get further. On this
// machine they are registered. Elsewhere that is for whoever runs the server, and
// the error holds the commands.
func EnsureSearchAttributes(ctx context.Context, connected client.Client, opts client.Options, wanted map[string]enums.IndexedValueType) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	missing, err := missingAttributes(ctx, connected, opts, wanted)
	if err != nil || len(missing) == 0 {
		return err
	}
	if !payloadcodec.IsLoopback(opts.HostPort) {
		return attributesNeeded(opts, missing, wanted)
	}
	add := make(map[string]enums.IndexedValueType, len(missing))
	for _, name := range missing {
		add[name] = wanted[name]
	}
	_, err = connected.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		SearchAttributes: add, Namespace: opts.Namespace,
	})
	var there *serviceerror.AlreadyExists // another worker was first
	if err != nil && !errors.As(err, &there) {
		return fmt.Errorf("%w (tried to, and: %s)", attributesNeeded(opts, missing, wanted), reason(err))
	}
	return nil
}

// missingAttributes asks by queries, for which the right to list runs is enough,
// and which every kind of server answers.
func missingAttributes(ctx context.Context, connected client.Client, opts client.Options, wanted map[string]enums.IndexedValueType) ([]string, error) {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		_, err := connected.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: name + " IS NULL AND WorkflowId = 'tollgate'"})
		var refused *serviceerror.InvalidArgument
		switch {
		case err == nil:
		case errors.As(err, &refused):
			missing = append(missing, name)
		default:
			return nil, Refusal(opts, "look for the search attributes of runs", err)
		}
	}
	return missing, nil
}

func attributesNeeded(opts client.Options, missing []string, wanted map[string]enums.IndexedValueType) error {
	var flags strings.Builder
	for _, name := range missing {
		flags.WriteString(" --name " + name + " --type " + wanted[name].String())
	}
	return fmt.Errorf("namespace %s at %s does not know the search attributes %s, without which no run gets on: "+
		"create them with 'temporal operator search-attribute create -n %s%s'",
		opts.Namespace, opts.HostPort, strings.Join(missing, ", "), opts.Namespace, flags.String())
}
