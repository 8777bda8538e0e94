// Package pgtest gives tests a real PostgreSQL to work on.
//
//   - URL leads to a new, empty database of the test's own, on a server that is
//     shared with other tests. Most tests want this.
//   - Prepare is for those that want a schema in it: such a database is passed on
//     from test to test, emptied.
//   - Private starts a server of the test's own, which it may stop, restart and
//     crash.
//
// The shared server is the first of these that there is:
//
//  1. the one that TOLLGATE_TEST_POSTGRES_URL names, and no other if it is set;
//  2. one on 127.0.0.1:5432 that lets the user postgres or the current one in
//     without a password and lets it create databases;
//  3. one that is started from the installed programs, once for each test binary.
//
// Where there is none, tests skip and say how to get one, or fail if
// TOLLGATE_REQUIRE_ALL=1. Nothing is touched on a server that was there before
// but the databases that were made for tests, whose names begin with tollgate_test_.
//
// A package needs no TestMain for this. Each server that is started here has a
// keeper beside it, a shell that waits at a pipe from the test binary:
//
//	test binary ── pipe ──> keeper ── signal ──> PostgreSQL
//
// When the binary ends, in whatever way, the pipe closes, and the keeper stops
// the server and removes its folder. No goroutine is left running meanwhile, so
// a package may check itself for leaks.
package pgtest
