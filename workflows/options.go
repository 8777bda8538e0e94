package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// attemptTimeout of one charge covers the time that the proxy lets it wait for
// room in the budget (2 s, 20 s at most), its deadline towards the vendor (30 s)
// and its commits. Were it shorter, an attempt would be given up while the
// proxy is still at it. It is also how long a charge waits whose worker died.
const attemptTimeout = time.Minute

// chargeOptions retries without counting: whether to go on is for the error's
// type and the overall timeout to say, since the number of attempts says nothing
// about what happened.
func chargeOptions(ctx workflow.Context, overall time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    min(attemptTimeout, overall),
		ScheduleToCloseTimeout: overall,
		// A cancelled charge that is under way still ends one way or the other, and
		// that has to be counted.
		WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    5 * time.Second,
		},
	})
}

// heartbeatTimeout is how soon a range is taken up again whose worker was killed.
const heartbeatTimeout = 10 * time.Second

// rangeOptions give each charge of the range its time, as many at once as there
// are, and the whole of that a second time for a worker that takes it up.
func rangeOptions(ctx workflow.Context, c Charging) workflow.Context {
	rounds := (c.ChargesPerActivity + c.ActivityWindow - 1) / c.ActivityWindow
	once := time.Duration(rounds)*c.ChargeTimeout + attemptTimeout
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    once,
		ScheduleToCloseTimeout: 2 * once,
		HeartbeatTimeout:       heartbeatTimeout,
		WaitForCancellation:    true,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    5 * time.Second,
		},
	})
}

// probeOptions look for the proxy as long as an outage may last.
func probeOptions(ctx workflow.Context, overall time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    30 * time.Second,
		ScheduleToCloseTimeout: overall,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    time.Second,
			BackoffCoefficient: 1.5,
			MaximumInterval:    15 * time.Second,
		},
	})
}

// controlOptions are for calls to the proxy's control plane.
func controlOptions(ctx workflow.Context, overall time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    min(30*time.Second, overall),
		ScheduleToCloseTimeout: overall,
		WaitForCancellation:    true,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    500 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    30 * time.Second,
		},
	})
}

// listOptions are for reading the customer list; a whole list may be a large file.
func listOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    10 * time.Minute,
		ScheduleToCloseTimeout: 30 * time.Minute,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    500 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    30 * time.Second,
		},
	})
}
