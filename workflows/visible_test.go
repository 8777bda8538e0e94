package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/workflows"
)

// attributes are what a run told the server, in order.
func (b *testBundle) attributes() *[]map[string]string {
	var told []map[string]string
	b.env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
		one := map[string]string{}
		for key, value := range args.Get(0).(temporal.SearchAttributes).GetUntypedValues() {
			one[key.GetName()] = value.(string)
		}
		told = append(told, one)
	}).Return(nil)
	return &told
}

func TestBilling_CanBeListedByItsStateFromItsStartToItsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(35)
	b.expectFetches()
	b.expectCharges(t)
	b.expectEnd(settled(35))
	told := b.attributes()

	b.run(t, billingInput(35))

	state := func(s string) map[string]string { return map[string]string{workflows.AttributeState: s} }
	first := state(workflows.StateStarting)
	first[workflows.AttributeRunLabel], first[workflows.AttributePeriod] = runLabel, "2026-11"
	require.Equal(t, []map[string]string{
		first, state(workflows.StateCharging), state(workflows.StateSettling), state(workflows.StateDone),
	}, *told)
}

func TestBilling_ShowsThatItStops(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.expectBegin(4000)
	b.expectFetches()
	b.expectCharges(t)
	b.expectEnd(settled(1))
	b.script[7] = terminal(activities.TypeCapExhausted)
	told := b.attributes()
	in := billingInput(4000)
	in.BatchSize = 1000

	b.run(t, in)

	var states []string
	for _, one := range *told {
		states = append(states, one[workflows.AttributeState])
	}
	require.Equal(t, []string{
		workflows.StateStarting, workflows.StateCharging, workflows.StateStopping, workflows.StateSettling, workflows.StateDone,
	}, states)
}
