package stripe

// Operations are the paths of all operations by their names.
func Operations() map[string]string {
	paths := map[string]string{}
	for _, op := range table {
		paths[op.name] = op.path
	}
	return paths
}

// Denied are the reasons of all denied operations by their paths.
func Denied() map[string]string {
	reasons := map[string]string{}
	for _, d := range denied() {
		reasons[d.path] = d.reason
	}
	return reasons
}

// Params are the names of an operation's parameters.
func Params(operation string) []string {
	op, _ := named(operation)
	names := make([]string, 0, len(op.params))
	for name := range op.params {
		names = append(names, name)
	}
	return names
}
