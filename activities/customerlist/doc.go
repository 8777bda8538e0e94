// Package customerlist reads the list of customers that a billing run charges:
// a CSV file, a JSON-lines file, or a generated list for demonstrations.
//
// A run names its items by their position in the list, and the vendor's
// idempotency keys are made from those positions. A list that changed under a
// running workflow would therefore charge the wrong customers. So a list is
// first pinned (Pin: every line is validated, the bytes are hashed), and each
// later page (Reader.Page) is proved to come from the very bytes that were
// pinned; anything else is a ChangedError.
//
//	Pin(ctx, source)                    -> Pinned{SHA256, Count, TotalUSD}
//	Reader.Page(ctx, source, pinned, …) -> customers [from, to)
//
// # Format
//
// CSV starts with a header line. Columns come in any order:
//
//	customer,payment_method,amount_cents,currency
//
// email, phone and name may be there too. The first two are where receipts and
// texts go; they are read by Reader.Contacts alone and reach no workflow history.
// name is passed over. Any other column is refused: it is more likely a misspelt
// one than one to be ignored. JSON lines hold one flat object a line with the
// same names. One record is one line: a quoted field may
// not contain a line break. Empty lines are skipped and are not numbered as
// items. A UTF-8 byte order mark and CRLF line ends, as spreadsheets write
// them, are accepted.
package customerlist
