// Package activities holds the side effects of a billing run: issuing and
// revoking its vault key, reading its customer list, charging, and reading back
// from the ledger what happened.
//
// Every vendor call goes through the vault proxy with the run's vault key; no
// activity ever holds the vendor's secret. Charges use the vendor's own SDK,
// pointed at the proxy, with the SDK's retries switched off: Temporal retries,
// under an idempotency key made of the root workflow's ID and the item's index,
// so that the proxy sees each attempt and lets at most one have an effect.
//
//	workflow ──> ChargeCustomer ──stripe-go──> vault proxy ──> Stripe
//	         ├─> SendReceipts ──resend-go──> vault proxy ──> Resend
//	         ├─> SendTexts ──twilio-go──> vault proxy ──> Twilio
//	         └─> IssueVaultKey, RevokeVaultKey, ReadOutcomes, SpendReport ──> control plane
//
// # Errors
//
// What an activity returns as an error is always a bare *temporal.ApplicationError
// with one of the Type constants. Bare, because Temporal looks at the outermost
// error alone: a wrapped non-retryable error is retried. Texts carry no secret, no
// vault key and nothing of an answer's body, since they end up in the history in
// clear.
package activities
