// Package temporaldial connects the worker and the starter to Temporal in the
// same way: by Temporal's standard environment variables and configuration file
// (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS…), with
// a bounded first call, and with errors that say what to do in one line.
//
// Both sides must read and write payloads alike, so whatever is set on the
// client options belongs here and not in one of the two commands.
package temporaldial
