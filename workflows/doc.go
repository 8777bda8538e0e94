// Package workflows holds the billing run: deterministic code only, no I/O, no
// clock, no randomness. Side effects are activities.
//
//	Billing  pin the list -> issue the vault key -> batches -> wait for proof -> revoke -> summary
//	   └── ChargeBatch <root>/batch/<n>: pages of customers -> a window of ChargeCustomer,
//	                                     or sets of items -> a window of ChargeRange
//	   └── NotifyBatch <root>/receipts/<n>, <root>/texts/<n>: pages of SendReceipts or SendTexts
//
// The phases of Billing have a file each: setup, charging, finish.
//
// # What holds
//
//   - An item is its position in the pinned list, the same in every run of the
//     chain. Its idempotency key is made of that and of the root workflow's ID,
//     never of a run ID, so that no reset, retry or continue-as-new charges twice.
//   - The first refusal that is true of every further item, such as CapExhausted,
//     stops the scheduling in all batches. What is in flight ends, and the run
//     completes with a summary. A run fails only before its first charge.
//   - Workflows keep counts and ranges; the outcome of each single item lives in
//     the ledger. An item whose activity could not tell is read from there.
//   - What is no item's own fault ends no item: with a key that expired, or a proxy
//     that does not answer, the batch waits or returns what is left.
//   - The seven outcomes of the summary add up to the length of the list.
//   - Receipts and texts come after the charges, under keys and budgets of their own.
//     Nothing that becomes of them changes a charge or fails a run.
//   - Nothing is in flight when a workflow continues as new, since activities do
//     not survive that.
//
// # Cancellation
//
// A cancelled run schedules nothing more, lets attempts that are under way end,
// revokes its key in a disconnected context, and then closes as cancelled; its
// Summary is in the details of the CanceledError. Terminating a run executes no
// code at all: the expiry of the key is what ends its spending.
package workflows
