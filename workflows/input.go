package workflows

import (
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
	defaultWindow        = 64
	defaultParallelism   = 2
	defaultChargeTimeout = 10 * time.Minute
	defaultSettleTimeout = 5 * time.Minute
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
	orInt(&in.BatchSize, defaultBatchSize)
	orInt(&in.Window, defaultWindow)
	orInt(&in.Parallelism, defaultParallelism)
	return in
}

// Validate reports the first thing that a run could not work with, in words for
// whoever starts it. Zero values of optional fields are fine.
func (in BillingInput) Validate() error {
	if _, err := BillingWorkflowID(in.Plan, in.Period); err != nil {
		return err
	}
	full := in.withDefaults()
	for _, number := range []struct {
		name  string
		value int
		most  int
	}{
		{"batch size", full.BatchSize, MaxBatchSize},
		{"window", full.Window, MaxWindow},
		{"parallelism", full.Parallelism, MaxParallelism},
	} {
		if number.value < 1 || number.value > number.most {
			return fmt.Errorf("%s %d must be from 1 to %d", number.name, number.value, number.most)
		}
	}
	for _, span := range []struct {
		name  string
		value time.Duration
	}{
		{"key lifetime", full.KeyTTL},
		{"charge timeout", full.ChargeTimeout},
		{"settle timeout", full.SettleTimeout},
	} {
		if span.value < time.Second {
			return fmt.Errorf("%s %s must be at least 1s", span.name, span.value)
		}
	}
	if full.KeyTTL > MaxKeyTTL {
		return fmt.Errorf("key lifetime %s must be at most %s (31 days)", full.KeyTTL, MaxKeyTTL)
	}
	if in.BudgetUSD <= 0 {
		return fmt.Errorf("budget %s must be more than zero dollars", in.BudgetUSD)
	}
	if in.PerChargeCapUSD < 0 {
		return fmt.Errorf("cap of a single charge %s must not be negative", in.PerChargeCapUSD)
	}
	return in.validateNotices()
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
