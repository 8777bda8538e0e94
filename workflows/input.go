package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
)

// TypeInvalidInput is the error type of a run that was started with input that
// it cannot work on.
const TypeInvalidInput = "InvalidInput"

const (
	defaultKeyTTL        = 2 * time.Hour
	defaultBatchSize     = 500
	defaultWideBatchSize = MaxBatchSize // of activities that charge many: they cost the batch few events
	defaultWindow        = 64
	defaultParallelism   = 2
	defaultChargeTimeout = 10 * time.Minute
	defaultSettleTimeout = 5 * time.Minute
	defaultOutageLimit   = 4 * time.Hour
	defaultBatchTimeout  = 24 * time.Hour
	defaultKeyRenewals   = 12

	defaultActivityWindow = 8

	// maxChargeTimeout is as long as a vendor remembers an idempotency key; and an activity
	// of many charges takes it a thousand times, which must still be a duration.
	maxChargeTimeout = 24 * time.Hour
	maxWait          = 90 * 24 * time.Hour
)

func (in BillingInput) withDefaults() BillingInput {
	orDuration := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	orInt := func(n *int, fallback int) {
		if *n == 0 {
			*n = fallback
		}
	}
	orDuration(&in.KeyTTL, defaultKeyTTL)
	orDuration(&in.ChargeTimeout, defaultChargeTimeout)
	orDuration(&in.SettleTimeout, defaultSettleTimeout)
	orDuration(&in.OutageLimit, defaultOutageLimit)
	orDuration(&in.BatchTimeout, defaultBatchTimeout)
	orInt(&in.ChargesPerActivity, 1)
	orInt(&in.ActivityWindow, defaultActivityWindow)
	if in.ChargesPerActivity > 1 {
		orInt(&in.BatchSize, defaultWideBatchSize)
	}
	orInt(&in.BatchSize, defaultBatchSize)
	orInt(&in.Window, defaultWindow)
	orInt(&in.Parallelism, defaultParallelism)
	if in.Approval != nil {
		in.Approval = in.Approval.withDefaults()
	}
	if in.KeyRenewals == nil {
		renewals := defaultKeyRenewals
		in.KeyRenewals = &renewals
	}
	return in
}

// Validate reports the first thing that a run could not work with, in words for
// whoever starts it. Zero values of optional fields are fine.
func (in BillingInput) Validate() error {
	if _, err := BillingWorkflowID(in.Plan, in.Period); err != nil {
		return err
	}
	if err := in.withDefaults().checkBounds(); err != nil {
		return err
	}
	if in.RetryDeclined && !in.Continue {
		return errors.New("declined charges can be tried again only by a run that continues an earlier one")
	}
	if in.BudgetUSD <= 0 {
		return fmt.Errorf("budget %s must be more than zero dollars", in.BudgetUSD)
	}
	if in.PerChargeCapUSD < 0 {
		return fmt.Errorf("cap of a single charge %s must not be negative", in.PerChargeCapUSD)
	}
	if in.Approval != nil {
		if err := in.Approval.withDefaults().check(); err != nil {
			return err
		}
	}
	return in.validateNotices()
}

func (in BillingInput) checkBounds() error {
	for _, number := range []struct {
		name        string
		value       int
		least, most int
	}{
		{"batch size", in.BatchSize, 1, MaxBatchSize},
		{"parallelism", in.Parallelism, 1, MaxParallelism},
		{"number of key renewals", *in.KeyRenewals, 0, MaxKeyRenewals},
	} {
		if number.value < number.least || number.value > number.most {
			return fmt.Errorf("%s %d must be from %d to %d", number.name, number.value, number.least, number.most)
		}
	}
	if in.KeyTTL > MaxKeyTTL {
		return fmt.Errorf("key lifetime %s must be at most %s (31 days)", in.KeyTTL, MaxKeyTTL)
	}
	for _, span := range []struct {
		name  string
		value time.Duration
	}{
		{"key lifetime", in.KeyTTL},
		{"settle timeout", in.SettleTimeout},
		{"batch timeout", in.BatchTimeout},
	} {
		if span.value < time.Second || span.value > maxWait {
			return fmt.Errorf("%s %s must be from 1s to %s (90 days)", span.name, span.value, maxWait)
		}
	}
	return in.charging().check()
}

// charging is how the batches of the run go about their items.
func (in BillingInput) charging() Charging {
	return Charging{
		Window:             in.Window,
		ChargesPerActivity: in.ChargesPerActivity,
		ActivityWindow:     in.ActivityWindow,
		ChargeTimeout:      in.ChargeTimeout,
		OutageLimit:        in.OutageLimit,
	}
}

func (c Charging) check() error {
	switch {
	case c.Window < 1 || c.Window > MaxWindow:
		return fmt.Errorf("window %d must be from 1 to %d", c.Window, MaxWindow)
	case c.ChargesPerActivity < 1 || c.ChargesPerActivity > MaxChargesPerActivity:
		return fmt.Errorf("number of charges in one activity %d must be from 1 to %d", c.ChargesPerActivity, MaxChargesPerActivity)
	case c.ActivityWindow < 1 || c.ActivityWindow > MaxActivityWindow:
		return fmt.Errorf("window of an activity %d must be from 1 to %d", c.ActivityWindow, MaxActivityWindow)
	case c.ChargeTimeout < time.Second || c.ChargeTimeout > maxChargeTimeout:
		return fmt.Errorf("charge timeout %s must be from 1s to %s", c.ChargeTimeout, maxChargeTimeout)
	case c.OutageLimit < time.Second || c.OutageLimit > maxWait:
		return fmt.Errorf("outage limit %s must be from 1s to %s (90 days)", c.OutageLimit, maxWait)
	}
	return nil
}

// checkInput also holds the run to its ID: under another one, the same customers
// would be charged a second time with fresh idempotency keys.
func checkInput(in BillingInput, workflowID string) error {
	err := in.Validate()
	if err == nil {
		var want string
		if want, err = BillingWorkflowID(in.Plan, in.Period); err == nil && want != workflowID {
			err = fmt.Errorf("workflow ID %q must be %q for this plan and period", workflowID, want)
		}
	}
	if err != nil {
		return temporal.NewNonRetryableApplicationError(err.Error(), TypeInvalidInput, nil)
	}
	return nil
}
