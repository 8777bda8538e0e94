package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Tx is one transaction of a backend. Its SQL is what SQLite and PostgreSQL have
// in common, with arguments as $1, $2 and so on. No rows: sql.ErrNoRows.
type Tx interface {
	Exec(query string, args ...any) (rows int64, err error)
	QueryRow(query string, args ...any) Row
	Query(query string, args ...any) (Rows, error)
	// ForUpdate is what a SELECT ends with that locks its rows; empty where the
	// transaction has the whole ledger to itself.
	ForUpdate() string
	// Write writes what has changed, and gives new calls their Seq.
	Write(Changes) error
}

// Row is one row to be read.
type Row interface{ Scan(dest ...any) error }

// Rows are rows to be read.
type Rows interface {
	Row
	Next() bool
	Err() error
	Close() error
}

// Call is a row of the calls table.
type Call struct {
	ledger.Call
	KeyNo        int64
	RunNo        int64
	OpNo         int64
	Books        bool // it holds or settled the amount of Object
	ClaimedUntil time.Time
	Epoch        int64

	// What the row was when it was read: it is written only if it still is.
	wasState            ledger.State
	wasSends, wasProven int
	fresh, dirty        bool
	newAnswer           bool
	reopened            bool
}

// Reopened reports whether the row changes in everything, and not only in what
// became of the call.
func (c *Call) Reopened() bool { return c.reopened }

// CallKey is what the call is known by.
func (c *Call) CallKey() ledger.CallKey {
	return ledger.CallKey{RunNo: c.RunNo, Vendor: c.Vendor, IdempotencyKey: c.IdempotencyKey}
}

// Was is the state, sends and unproven sends that the row must still have.
func (c *Call) Was() (state ledger.State, sends, unproven int) {
	return c.wasState, c.wasSends, c.wasProven
}

// Key is a row of the keys table.
type Key struct {
	ledger.Key
	No int64
}

// Budget is a row of the budgets table.
type Budget struct {
	ledger.Budget
	No             int64
	Allowed        money.USD // the cap, or more where a vendor booked more or a person lowered it
	Lowered        money.USD // what was in use already above a cap that a person lowered
	ContendedUntil time.Time // until then, somebody may be waiting for room in it
	dirty          bool
}

// BudgetID names a budget.
type BudgetID struct{ Scope, Owner, Window string }

// ID is the budget's name in the table.
func (row *Budget) id() BudgetID { return BudgetID{row.Scope, row.Name, row.Window} }

// Changes is what a batch leaves to be written.
type Changes struct {
	Moved   []*Call // changed calls that book no object; they come first, since they may give one up
	Fresh   []*Call // new calls
	Booking []*Call // changed calls that book one
	Answers []*Call // whose answer is new
	Budgets []*Budget
	Audit   []ledger.AuditRow
	At      time.Time  // of the audit rows
	Freed   []BudgetID // budgets on which calls in flight ended, and somebody may wait
}

// Needs is what an operation will read, as far as it can tell beforehand.
type Needs struct {
	Keys    []KeyDay
	Calls   []ledger.CallKey
	Seqs    []int64
	Objects []Object
	Fresh   int // calls that it may insert

	// What it locks besides, so that everyone can lock in one order.
	Locks   []int64   // calls that it will read behind the lock of their run
	Runs    []RunName // that it opens, closes or gives another cap
	RunNos  []int64
	Tenants []string // that it locks against every reservation of theirs
}

// RunName is what a run is known by.
type RunName struct{ Tenant, Label string }

// KeyDay names a key, and the day whose budgets it draws on; empty: today's.
type KeyDay struct{ KeyID, Day string }

// Object is a vendor's object.
type Object struct{ Vendor, ID string }

// Op is one caller's part of a commit. Run must be repeatable: a batch that
// fails is rolled back and its operations are run again one by one.
type Op struct {
	Needs Needs
	Run   func(*Batch) error
}

// Backend is a database that keeps a ledger.
type Backend interface {
	// Transact runs operations in one durable transaction: none of them, or all.
	// ErrCommit if it cannot tell which, ErrDown if there is no database to ask.
	// It makes a Batch by begin, once or, where the database asks for it, again.
	Transact(ops []*Op, alone bool, begin func(BatchConfig) *Batch) error
	// DB is for reading outside of the writing transaction.
	DB() *sql.DB
	// Now is the ledger's clock.
	Now(context.Context) (time.Time, error)
	// LedgerID names the ledger.
	LedgerID() string
	// Absent reports that there is certainly no such call; false if it would have
	// to be read.
	Absent(ledger.CallKey) bool
	// AbsentObject reports that certainly no call books the object.
	AbsentObject(Object) bool
	// Snapshot is the isolation at which a reading transaction sees one state.
	Snapshot() sql.IsolationLevel
	// Shared reports whether other processes work on the ledger too.
	Shared() bool
	// Close gives the database up, after the last Transact.
	Close() error
}

// ErrCommit marks a commit whose result is not known.
var ErrCommit = errors.New("it is not known whether the commit went through")
