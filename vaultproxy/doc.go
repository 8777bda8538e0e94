// Package vaultproxy stands between durable workflows and their vendors. A
// workflow gets a short-lived vault key with caps, an endpoint allowlist and an
// expiry; every call of its fan-out goes through the data plane with that key;
// the caps hold over all of them together.
//
// A call goes one way, one file a step:
//
//	authenticate -> canonicalise -> recall -> allow -> meter -> reserve -> forward -> judge -> settle -> answer
//
// What holds on that way:
//
//   - what is sent is built from what was metered, never from the raw request;
//   - every byte sent is preceded by a durable row that holds its price;
//   - a call whose outcome is not known keeps its hold until proof;
//   - the vendor's secret is added last and is found in no log, row or answer.
//
// New takes a store and vendor profiles and returns handlers for the two
// planes; package serve runs them on listeners.
package vaultproxy
