package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enums "go.temporal.io/api/enums/v1"

	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

// pollWindow is how fresh a poll has to be. A poller of an idle queue comes back
// each minute, since the server ends its long poll then.
const pollWindow = 90 * time.Second

func (p *program) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Exit with 0 if a worker of this host polls the task queue",
		Long: "Exit with 0 if a worker of this host polls the task queue, as Temporal sees it: for a\n" +
			"container's health check, run beside the worker with the same TEMPORAL_ variables.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.health(cmd.Context()) },
	}
}

func (p *program) health(ctx context.Context) error {
	opts, err := temporaldial.Plain(temporaldial.Config{Env: p.env})
	if err != nil {
		return err
	}
	connected, err := temporaldial.Dial(ctx, opts)
	if err != nil {
		return err
	}
	defer connected.Close()
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read this host's name: %w", err)
	}
	described, err := connected.DescribeTaskQueue(ctx, workflows.TaskQueue, enums.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return temporaldial.Refusal(opts, "look for pollers", err)
	}
	for _, poller := range described.GetPollers() {
		// See identity.
		if strings.Contains(poller.GetIdentity(), "@"+host+"@") && time.Since(poller.GetLastAccessTime().AsTime()) < pollWindow {
			return nil
		}
	}
	return fmt.Errorf("no worker of host %s polls task queue %s in namespace %s at %s", host, workflows.TaskQueue, opts.Namespace, opts.HostPort)
}
