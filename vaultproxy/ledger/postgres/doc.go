// Package postgres keeps the ledger in PostgreSQL, for as many vault proxies as
// share it. Each gathers its concurrent calls into one transaction, so that a hot
// key costs one row lock a commit, and not one a call.
//
// A transaction goes to the server in four steps, however many calls it holds:
//
//	begin | lock budgets, then read clock, keys and calls | write | commit
//
// Budgets are locked in a fixed order (tenant, run, key), and everything that is
// believed is read behind those locks: two proxies never spend the same room, and
// a revocation is seen by every reservation that commits after it.
//
// Each process has an epoch with a lease. What a process had in flight whose
// lease is over becomes unknown; nobody touches what belongs to one that lives.
package postgres
