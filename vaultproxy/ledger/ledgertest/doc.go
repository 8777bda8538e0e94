// Package ledgertest holds every ledger.Store to the same rules.
//
// A store's own tests call three functions:
//
//   - Run, the conformance suite: one subtest a rule, on a fresh ledger each;
//   - RunRestarts, for what must survive the death of the process;
//   - RunModel, which plays random histories, restarts among them, against a
//     plain in-memory model and compares after every step.
//
// The subtests are named for the rules of the ledger, so that the proof of a
// rule is found by its number:
//
//	L1   settled + held never exceeds a cap, on any budget
//	L2   a budget's counters are the sums over its calls
//	L3   what was reserved is durable before anyone is told
//	L4   a hold ends by proof, never by time
//	L5   one idempotency key has one effect
//	L7   one vendor object is booked on one call
//	L8   exhausted is final and true; contended may pass
//	L9   revocation and expiry stop the next effect, never a booking
//	L10  a price above its hold is booked in full
//	L11  a call is sent again only by who may prove it, in time, on a live key
//	L12  amounts are integers and never wrap around
//	L13  the store's clock and UTC days decide
//	L14  calls that share a commit do not see through or spoil one another
//	L15  what a dead process had in flight becomes unknown
//	L16  an issue identity has one key at a time and one set of budgets
package ledgertest
