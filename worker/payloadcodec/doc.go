// Package payloadcodec encrypts what Temporal stores: inputs, results, signals,
// updates, queries' answers, heartbeat details, memos, summaries, and the messages
// and stack traces of failures. Worker and starter use the same keys, so that the
// server, its database and its backups hold nothing that can be read.
//
//	payload ──marshal──▶ AES-256-GCM ──▶ data: nonce ‖ ciphertext ‖ tag
//	                       key "k2"      encoding: binary/encrypted
//	                                     encryption-key-id: k2
//
// # What holds
//
//   - Encoding and key ID are authenticated with the ciphertext: a payload that was
//     changed, or opened with another key of the same name, is an error and never
//     another value.
//   - The first key encrypts and all of them decrypt. A key leaves the file when the
//     last history that names it is gone.
//   - A workflow that meets a payload it has no key for does not fail. Its task
//     does, and is tried again until a worker has the key.
//   - A payload that is not encrypted is taken by no worker and no starter: an update is
//     refused, a signal dropped, a start fails.
//   - No error and no log line holds a key; errors name keys by their IDs.
//
// # What does not
//
// In clear stay: workflow IDs, types of workflows, activities and errors, search
// attributes, task queues, and worker identities. A payload is bound to its key and
// not to its place: who can write to Temporal's database can put one encrypted
// payload where another was.
package payloadcodec
