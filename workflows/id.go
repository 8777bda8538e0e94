package workflows

import (
	"fmt"
	"strconv"
	"time"
)

// maxPlan keeps the workflow ID, and with it every idempotency key made from
// it, far below the 255 characters that Stripe takes.
const maxPlan = 64

// BillingWorkflowID is the ID of the run that bills a plan for a period, however
// it is started. It is the root of every idempotency key of the run: two starts
// for the same plan and period must never have two IDs.
func BillingWorkflowID(plan, period string) (string, error) {
	if err := ValidatePlan(plan); err != nil {
		return "", err
	}
	if err := ValidatePeriod(period); err != nil {
		return "", err
	}
	return "billing-" + plan + "-" + period, nil
}

// BatchWorkflowID is the ID of the n-th batch of a run, counted from zero.
func BatchWorkflowID(root string, n int) string {
	return root + "/batch/" + strconv.Itoa(n)
}

// RunLabel is the name under which the ledger keeps a run. It holds no run ID:
// a reset or a continue-as-new must go on drawing on the same budget.
func RunLabel(namespace, workflowID string) string {
	return "temporal/" + namespace + "/" + workflowID
}

// ValidatePlan accepts 1 to 64 of a-z, 0-9 and inner hyphens.
func ValidatePlan(plan string) error {
	if plan == "" || len(plan) > maxPlan {
		return fmt.Errorf("plan %.70q must have 1 to %d characters", plan, maxPlan)
	}
	for i := range len(plan) {
		c := plan[i]
		inner := c == '-' && i > 0 && i < len(plan)-1
		if !inner && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return fmt.Errorf("plan %q may have only a-z, 0-9 and inner hyphens", plan)
		}
	}
	return nil
}

// ValidatePeriod accepts a month as YYYY-MM.
func ValidatePeriod(period string) error {
	if _, err := time.Parse("2006-01", period); err != nil || len(period) != len("2006-01") {
		return fmt.Errorf("period %.20q must be a month such as 2026-11", period)
	}
	return nil
}
