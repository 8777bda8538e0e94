package stack

import (
	"context"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
)

// lookup is the environment that children get.
type lookup map[string]string

func (l lookup) Environ() []string { return nil }

func (l lookup) LookupEnv(name string) (string, bool) {
	value, ok := l[name]
	return value, ok
}

// TemporalClient connects as worker and starter do, with the keys that open their
// payloads. The caller closes it.
func (s *Stack) TemporalClient(ctx context.Context) (client.Client, error) {
	opts, err := temporaldial.Options(temporaldial.Config{Env: lookup{
		"TEMPORAL_ADDRESS": s.TemporalAddr, "TEMPORAL_NAMESPACE": Namespace, "TEMPORAL_CONFIG_FILE": s.temporalConfig(),
		payloadcodec.KeyVariable: s.codecKey,
	}})
	if err != nil {
		return nil, err
	}
	return temporaldial.Dial(ctx, opts)
}

// History is the whole history of an execution, the latest of its chain if no run
// ID is given, as the server has it: payloads are encrypted, and Keys opens them.
func (s *Stack) History(ctx context.Context, workflowID, runID string) (*history.History, error) {
	connected, err := s.TemporalClient(ctx)
	if err != nil {
		return nil, err
	}
	defer connected.Close()
	events := &history.History{}
	page := connected.GetWorkflowHistory(ctx, workflowID, runID, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for page.HasNext() {
		event, err := page.Next()
		if err != nil {
			return nil, err
		}
		events.Events = append(events.Events, event)
	}
	return events, nil
}

// Keys are those that payloads are encrypted with.
func (s *Stack) Keys() (*payloadcodec.Keyring, error) { return payloadcodec.ParseKeys(s.codecKey) }
