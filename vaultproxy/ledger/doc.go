// Package ledger says what Tollgate books and how: budgets, calls and the moves
// between their states. A Store does the booking; ledger/sqlite is one.
//
// A call is one intended effect at a vendor. It is reserved and dispatched in
// one durable commit before its first byte is sent, and moved on once the
// vendor's answer is judged:
//
//	              reserve + dispatch
//	                     |
//	                     v
//	 +------------- dispatched ---------------+
//	 |            /      |      \             |
//	 v           v       v       v            |
//	released  settled  committed unknown      |
//	 |                   |  ^     |  |        |
//	 |                   v  |     |  +--------+--> settled | released | committed, by proof only
//	 |        settled | released  |
//	 |                   ^--------+
//	 +--> dispatched again, if the release was a refusal that proved no effect
//
// Reserving and dispatching share one commit: a crash between that commit and
// the first byte then ends as unknown, the safe side, and a call costs one
// durable write less.
//
// Invariants, for every budget at every commit:
//
//   - settled + in flight + committed + unknown <= cap, but for an overrun that
//     the vendor booked past a hold;
//   - its counters equal the sums over its calls;
//   - a hold ends by proof, never by time.
package ledger
