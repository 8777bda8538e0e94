// Package chaos is the billing run under fire: while it charges, the worker, the
// vault proxy and the Temporal server are killed and started again at seeded
// moments, and the vendor misbehaves all along. Afterwards the run must have
// completed, and ledger and vendor must agree on every charge.
package chaos
