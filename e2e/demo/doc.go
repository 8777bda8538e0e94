// Package demo is the main job from end to end, with a check at its end that
// can fail: a capped billing run on a real Temporal server, against a vendor
// that misbehaves, compared charge by charge with what that vendor really did.
package demo
