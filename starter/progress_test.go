package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

func charging(charged, declined int) workflows.Progress {
	return workflows.Progress{
		State:      workflows.StateCharging,
		Customers:  3000,
		Charged:    charged,
		Declined:   declined,
		CapUSD:     20_000 * money.Dollar,
		SettledUSD: money.USD(charged) * 20 * money.Dollar,
	}
}

func TestProgressLines_WritesALineWhenSomethingWorthTellingHappened(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	lines := &progressLines{out: &out, id: "billing-pro-2026-11", now: func() time.Time { return now }}

	lines.show(workflows.Progress{State: workflows.StateStarting})
	lines.show(workflows.Progress{State: workflows.StateStarting})
	lines.show(charging(0, 0))
	lines.show(charging(100, 0)) // within the first tenth: not worth a line
	now = now.Add(9 * time.Second)
	lines.show(charging(110, 0)) // nor after nine seconds
	now = now.Add(time.Second)
	lines.show(charging(120, 2))
	now = now.Add(time.Minute)
	lines.show(charging(120, 2)) // nothing moved
	lines.show(charging(299, 11))
	lines.note("is a worker up?")
	done := charging(1000, 40)
	done.State, done.CapDenied, done.NotAttempted, done.Unknown, done.Failed = workflows.StateDone, 64, 1893, 1, 2
	lines.show(done)
	lines.end()

	require.Equal(t, strings.Join([]string{
		"billing-pro-2026-11: starting",
		"billing-pro-2026-11: charging 0%, 0 of 3,000 customers, $0.00 of $20,000.00",
		"billing-pro-2026-11: charging 4%, 122 of 3,000 customers, $2,400.00 of $20,000.00, 2 declined",
		"billing-pro-2026-11: charging 10%, 310 of 3,000 customers, $5,980.00 of $20,000.00, 11 declined",
		"billing-pro-2026-11: is a worker up?",
		"billing-pro-2026-11: done 100%, 3,000 of 3,000 customers, $20,000.00 of $20,000.00, 40 declined, 64 cap denied, 1,893 not attempted, 1 unknown, 2 failed",
		"",
	}, "\n"), out.String())
	require.NotContains(t, out.String(), "\r", "a file has no use for redrawn lines")
}

func TestProgressView_DrawsABarOnATerminalOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.IsType(t, &progressLines{}, b.progressView("billing-pro-2026-11"))
	b.terminal = func() int { return 80 }
	require.IsType(t, &progressBar{}, b.progressView("billing-pro-2026-11"))
}

func TestProgressBar_ShowsCountsAndMoneyInOneLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	bar := newProgressBar(&out, 80)

	bar.show(workflows.Progress{State: workflows.StateStarting})
	require.Empty(t, out.String(), "there is nothing to draw before the customers are counted")
	bar.show(charging(1490, 10))
	drawn := out.String()
	bar.end()

	last := drawn[strings.LastIndex(drawn, "\r")+1:]
	require.Contains(t, last, "charging $29,800.00 of $20,000.00")
	require.Contains(t, last, " 50% ")
	require.Contains(t, last, "(1500/3000)")
	require.NotContains(t, last, "\n")
	require.True(t, strings.HasSuffix(out.String(), "\n"), "what follows the bar starts on a line of its own")
}

func TestProgressBar_LeavesAwayWhatANarrowTerminalHasNoRoomFor(t *testing.T) {
	t.Parallel()
	progress := charging(100, 10)
	require.Equal(t, "charging  $2,000.00 of $20,000.00", newProgressBar(nil, 80).text(progress))
	require.Equal(t, "charging  $2,000.00 of $20,000.00, 10 declined", newProgressBar(nil, 120).text(progress))
}
