package main

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/workflows"
)

func TestWorker_OfADeploymentKeepsARunOnTheVersionThatItBeganOn(t *testing.T) {
	t.Parallel()
	temporalClient, address := peer.DevServer(t)
	proxy := &slowProxy{reached: make(chan struct{}), release: make(chan struct{})}
	proxyServer := httptest.NewServer(proxy)
	t.Cleanup(proxyServer.Close)
	begin := func(build string) *started {
		b := setup(t)
		b.env["TEMPORAL_ADDRESS"] = address
		b.env[payloadcodec.KeyVariable] = codecKey
		return b.begin(t, []string{"--proxy-url", proxyServer.URL, "--admin-key-file", b.file(t, "admin.key", "admin_test"),
			"--log-level", "error", "--deployment-name", "tollgate", "--build-id", build})
	}
	makeCurrent := func(build string) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, err := temporalClient.WorkerDeploymentClient().GetHandle("tollgate").SetCurrentVersion(t.Context(),
				client.WorkerDeploymentSetCurrentVersionOptions{BuildID: build})
			return err == nil
		}, hangs, 100*time.Millisecond, "version %s does not show up", build)
	}
	begin("v1")
	makeCurrent("v1")
	run, err := encrypting(t, address).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "billing-pro-2026-11", TaskQueue: workflows.TaskQueue},
		workflows.Billing, workflows.BillingInput{Plan: "pro", Period: "2026-11", Customers: customerlist.Source{Generate: 1, Seed: 1}, BudgetUSD: 500 * money.Dollar})
	require.NoError(t, err)
	<-proxy.reached
	begin("v2")
	makeCurrent("v2")
	close(proxy.release)

	// The batch goes on after the other version became the current one.
	batch := workflows.BatchWorkflowID(run.GetID(), 0)
	require.Eventually(t, func() bool {
		described, err := temporalClient.DescribeWorkflowExecution(t.Context(), batch, "")
		return err == nil && described.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
	}, hangs, 200*time.Millisecond)
	for _, id := range []string{run.GetID(), batch} {
		described, err := temporalClient.DescribeWorkflowExecution(t.Context(), id, "")
		require.NoError(t, err)
		versioning := described.GetWorkflowExecutionInfo().GetVersioningInfo()
		require.Equal(t, enums.VERSIONING_BEHAVIOR_PINNED, versioning.GetBehavior(), id)
		require.Equal(t, "v1", versioning.GetDeploymentVersion().GetBuildId(), id)
	}
}
