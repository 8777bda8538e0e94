package workflows_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/workflows"
)

func TestBillingWorkflowID_IsMadeOfPlanAndPeriodAlone(t *testing.T) {
	t.Parallel()
	id, err := workflows.BillingWorkflowID("pro-2", "2026-11")
	require.NoError(t, err)
	require.Equal(t, "billing-pro-2-2026-11", id)
	require.Equal(t, "billing-pro-2-2026-11/batch/7", workflows.BatchWorkflowID(id, 7))
	require.Equal(t, "temporal/default/billing-pro-2-2026-11", workflows.RunLabel("default", id))
}

func TestBillingWorkflowID_RefusesWhatWouldMakeASecondNameForARun(t *testing.T) {
	t.Parallel()
	for _, bad := range [][2]string{
		{"", "2026-11"}, {"Pro", "2026-11"}, {"pro_2", "2026-11"}, {"-pro", "2026-11"}, {"pro-", "2026-11"},
		{"pro plan", "2026-11"}, {"prö", "2026-11"}, {"a/b", "2026-11"}, {strings.Repeat("a", 65), "2026-11"},
		{"pro", ""}, {"pro", "2026-13"}, {"pro", "2026-00"}, {"pro", "2026-1"}, {"pro", "26-11"}, {"pro", "2026-11-01"},
		{"pro", "2026/11"}, {"pro", " 2026-11"}, {"pro", "２０２６-11"},
	} {
		_, err := workflows.BillingWorkflowID(bad[0], bad[1])
		require.Error(t, err, "%q", bad)
	}
}

func TestIdempotencyKey_FitsTheVendorForTheLongestRun(t *testing.T) {
	t.Parallel()
	root, err := workflows.BillingWorkflowID(strings.Repeat("a", 64), "2026-11")
	require.NoError(t, err)
	require.LessOrEqual(t, len(activities.IdempotencyKey(root, 999_999)), 255)
	require.Equal(t, "billing-pro-2026-11-0", activities.IdempotencyKey("billing-pro-2026-11", 0))
}
