package workflows

// Registry takes workflow functions, as a worker and a replayer do.
type Registry interface {
	RegisterWorkflow(workflow any)
}

// Register registers every workflow of this package. What is registered here is
// also what `worker replay` looks for on a server.
func Register(registry Registry) {
	for _, each := range all() {
		registry.RegisterWorkflow(each.function)
	}
}

// Types are the names under which a server lists the workflows of this package.
func Types() []string {
	var names []string
	for _, each := range all() {
		names = append(names, each.name)
	}
	return names
}

type registered struct {
	name     string
	function any
}

func all() []registered {
	return []registered{{"Billing", Billing}, {"ChargeBatch", ChargeBatch}, {"NotifyBatch", NotifyBatch}, {"ScheduledBilling", ScheduledBilling}}
}
