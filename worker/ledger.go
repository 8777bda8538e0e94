package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"

	"github.com/tollgate/tollgate/workflows"
)

// ledgerMark stands before the ledger's ID in a worker's identity, which others
// on the same task queue get to see.
const ledgerMark = "ledger="

// identity is process@host@, as the SDK's own, and the ledger that the worker's
// charges are booked in.
func identity(ledger string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read this host's name: %w", err)
	}
	return fmt.Sprintf("%d@%s@%s%s", os.Getpid(), host, ledgerMark, ledger), nil
}

// warnOfOtherLedgers looks for workers of the same task queue that work with
// another ledger. It does not refuse: such a worker may have ended a minute ago,
// and a new ledger may be what is wanted. Runs under way would only not find
// their key in it.
func (m *Main) warnOfOtherLedgers(ctx context.Context, ledger string) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	described, err := m.client.DescribeTaskQueue(ctx, workflows.TaskQueue, enums.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return // polling fails for the same reason, and tells of it
	}
	for _, poller := range described.GetPollers() {
		_, other, marked := strings.Cut(poller.GetIdentity(), ledgerMark)
		if marked && other != ledger && time.Since(poller.GetLastAccessTime().AsTime()) < pollWindow {
			m.cfg.Logger.Warn("another worker polls this task queue, or did until just now, with another ledger; "+
				"runs find neither their key nor their charges there: give all workers one proxy, or the same state folder",
				"worker", poller.GetIdentity(), "ledger", ledger)
			return
		}
	}
}
