package ledgertest

import "testing"

// test is one rule, or one side of it, told on a fresh ledger.
type test struct {
	name string
	run  func(*bundle)
}

// Run holds a store to the rules of the ledger.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, group := range [][]test{
		issueTests(), revokeTests(), reserveTests(), denialTests(), dayTests(), repeatTests(), stateTests(),
		moveTests(), takeOverTests(), objectTests(), overrunTests(), proofTests(), listTests(), auditTests(),
		crowdTests(), tenantTests(), waitTests(), pruneTests(),
	} {
		for _, tt := range group {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				tt.run(setup(t, open))
			})
		}
	}
}
