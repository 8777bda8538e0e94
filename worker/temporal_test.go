package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/workflows"
)

func TestWorker_AgainstATemporalServer(t *testing.T) {
	t.Parallel()
	_, address := peer.DevServer(t)

	t.Run("it polls, is healthy, and stops when it is told to", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.env["TEMPORAL_ADDRESS"] = address
		probe := func() (int, string) {
			p := setup(t)
			p.env["TEMPORAL_ADDRESS"] = address
			return p.run(t.Context(), []string{"health"}), p.stderr.String()
		}

		w := b.begin(t, b.embedded(t))
		ready := regexp.MustCompile("^worker ready task_queue=tollgate-billing temporal=" + regexp.QuoteMeta(address) +
			` namespace=default proxy=http://(\S+) control=http://(\S+) embedded=true\n$`).FindStringSubmatch(b.stdout.String())
		require.Len(t, ready, 3, b.stdout.String())
		require.Equal(t, ready[1], ready[2])
		require.Eventually(t, func() bool { code, _ := probe(); return code == exitOK }, hangs, 100*time.Millisecond)

		w.stop()
		require.Equal(t, exitOK, w.ended(t), b.stderr.String())
		require.Empty(t, b.stderr.String())
		listen(t, ready[1]) // fails if the proxy still listens
	})

	t.Run("a namespace that is not there", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.env["TEMPORAL_ADDRESS"], b.env["TEMPORAL_NAMESPACE"] = address, "nowhere"
		require.Equal(t, exitError, b.run(t.Context(), b.embedded(t)))
		require.Equal(t, "worker: the Temporal server at "+address+" has no namespace nowhere: create it with 'temporal operator namespace create -n nowhere', or set TEMPORAL_NAMESPACE", b.errorLine(t))
		require.Empty(t, b.stdout.String())

		again := setup(t)
		again.env = b.env
		again.program.env = b.env
		again.dir = b.dir
		require.Equal(t, exitError, again.run(t.Context(), again.embedded(t)))
		require.Equal(t, b.errorLine(t), again.errorLine(t), "nothing holds the ledger any more")
	})
}

func TestWorker_WarnsOfAnotherLedgerOnItsTaskQueue(t *testing.T) {
	t.Parallel()
	temporalClient, address := peer.DevServer(t)
	start := func(dir string) *started {
		b := setup(t)
		b.env["TEMPORAL_ADDRESS"], b.dir = address, dir
		return b.begin(t, b.embedded(t, "--log-level", "warn"))
	}
	first := start(t.TempDir())
	require.Empty(t, first.stderr.String())
	require.Eventually(t, func() bool {
		described, err := temporalClient.DescribeTaskQueue(t.Context(), workflows.TaskQueue, enums.TASK_QUEUE_TYPE_ACTIVITY)
		return err == nil && len(described.GetPollers()) > 0
	}, hangs, 100*time.Millisecond)

	second := start(t.TempDir())
	require.Contains(t, second.stderr.String(), "another worker polls this task queue")
	for _, w := range []*started{first, second} {
		w.stop()
		require.Equal(t, exitOK, w.ended(t), w.stderr.String())
	}
}

func TestHealth_FailsWithoutAWorker(t *testing.T) {
	t.Parallel()
	_, address := peer.DevServer(t)
	b := setup(t)
	b.env["TEMPORAL_ADDRESS"] = address
	require.Equal(t, exitError, b.run(t.Context(), []string{"health"}))
	require.Regexp(t, `^worker: no worker of host \S+ polls task queue tollgate-billing in namespace default at `+address+`$`, b.errorLine(t))
}

// slowProxy speaks as much of a vault proxy's HTTP as one charge takes, and
// holds the charge until it is released.
type slowProxy struct {
	reached, release chan struct{}
	once             sync.Once
}

func (p *slowProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := any(struct{}{})
	switch r.Method + " " + r.URL.Path {
	case "POST /vault/keys":
		w.WriteHeader(http.StatusCreated)
		answer = map[string]any{"vault_key": "vault_key_test", "key_id": "key_1", "expires_at": time.Now().Add(time.Hour)}
	case "POST /stripe/v1/payment_intents":
		p.once.Do(func() { close(p.reached) }) // a charge that is held for long is tried again
		<-p.release
		answer = map[string]any{"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 100, "currency": "usd"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func TestWorker_FinishesTheChargeUnderWayBeforeItStops(t *testing.T) {
	t.Parallel()
	temporalClient, address := peer.DevServer(t)
	proxy := &slowProxy{reached: make(chan struct{}), release: make(chan struct{})}
	proxyServer := httptest.NewServer(proxy)
	t.Cleanup(proxyServer.Close)
	b := setup(t)
	b.env["TEMPORAL_ADDRESS"], b.env[payloadcodec.KeyVariable] = address, codecKey
	w := b.begin(t, []string{"--proxy-url", proxyServer.URL, "--admin-key-file", b.file(t, "admin.key", "admin_test"), "--log-level", "error"})
	source := customerlist.Source{Generate: 1, Seed: 1}
	_, err := encrypting(t, address).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "billing-pro-2026-11", TaskQueue: workflows.TaskQueue},
		workflows.Billing, workflows.BillingInput{Plan: "pro", Period: "2026-11", Customers: source, BudgetUSD: 500 * money.Dollar})
	require.NoError(t, err)
	<-proxy.reached

	w.stop()
	close(proxy.release)

	require.Equal(t, exitOK, w.ended(t), b.stderr.String())
	require.Contains(t, completedActivities(t, temporalClient, workflows.BatchWorkflowID("billing-pro-2026-11", 0)), "ChargeCustomer")
}

// completedActivities are the types of the activities whose result the server has.
func completedActivities(t *testing.T, c client.Client, workflowID string) []string {
	t.Helper()
	names := map[int64]string{}
	var completed []string
	events := c.GetWorkflowHistory(t.Context(), workflowID, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		if scheduled := event.GetActivityTaskScheduledEventAttributes(); scheduled != nil {
			names[event.GetEventId()] = scheduled.GetActivityType().GetName()
		}
		if done := event.GetActivityTaskCompletedEventAttributes(); done != nil {
			completed = append(completed, names[done.GetScheduledEventId()])
		}
	}
	return slices.Compact(completed)
}
