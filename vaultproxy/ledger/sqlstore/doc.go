// Package sqlstore keeps the ledger's rules over an SQL database, whichever it
// is: the state machine, the budgets, the group commit and the queue of those
// who wait for room. Packages sqlite and postgres say how their database opens a
// transaction, locks and writes.
//
// One goroutine of a process owns its writing transaction. Callers hand it
// operations; whatever has queued up while the last commit was on its way to the
// disk goes into the next one, and nobody is answered before the commit that
// holds their operation is durable:
//
//	callers -> inbox -> Backend.Transact: begin, Batch of operations, Changes, commit -> callers
//
// A Batch reads each row once, decides in memory, and leaves the Changes to
// write. So a hot budget costs one lock and one update a commit, not one a call.
//
// The rows of a call are moved only under the lock of its run's budget, which
// every operation on it takes first.
package sqlstore
