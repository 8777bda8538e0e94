package ledgertest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Open makes a store over a new, empty ledger that tells the time by now. The
// suite closes it.
type Open func(t *testing.T, now func() time.Time) ledger.Store

// Clock is a clock that stands still until it is moved. Safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at noon, UTC, so that a test moves less than half a day
// without meeting midnight unasked.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
}

// Now is what the store is given.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set puts the clock to a time.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = at
}

const (
	vendorName = "stripe"
	runLabel   = "billing-pro-2026-11"
)

// bundle is a ledger with a clock to move, and short words for what tests do most.
type bundle struct {
	t     *testing.T
	ctx   context.Context //nolint:containedctx // lives as long as its test
	store ledger.Store
	clock *Clock
}

// setup opens a ledger. Whatever the test does to it, it must be sound at the end.
func setup(t *testing.T, open Open) *bundle {
	t.Helper()
	clock := NewClock()
	b := &bundle{t: t, ctx: context.Background(), clock: clock, store: open(t, clock.Now)}
	t.Cleanup(func() {
		b.sound()
		require.NoError(t, b.store.Close())
	})
	return b
}

// sound is L2, and L1 as the store sees it itself.
func (b *bundle) sound() {
	b.t.Helper()
	lines, err := b.store.Verify(b.ctx)
	require.NoError(b.t, err)
	require.Empty(b.t, lines)
}

func dollars(n int64) money.USD { return money.USD(n) * money.Dollar }

func limit(n int64) *money.USD {
	d := dollars(n)
	return &d
}

// spec asks for a key with a total cap of $100 that lives for an hour.
func spec() ledger.KeySpec {
	return ledger.KeySpec{
		KeyID: "key_1", IssueID: "issue_1", Run: runLabel, Vendor: vendorName, Digest: "digest_1",
		ExpiresIn: time.Hour,
		Terms:     ledger.Terms{AllowedEndpoints: []string{"POST /v1/charges"}, TotalCap: limit(100)},
	}
}

// issue mints a key; change may say in what it differs from spec.
func (b *bundle) issue(change func(*ledger.KeySpec)) ledger.Key {
	b.t.Helper()
	s := spec()
	if change != nil {
		change(&s)
	}
	k, minted, err := b.store.Issue(b.ctx, s)
	require.NoError(b.t, err)
	require.True(b.t, minted)
	return k
}

// capped mints a key with these terms.
func (b *bundle) capped(terms ledger.Terms) ledger.Key {
	b.t.Helper()
	return b.issue(func(s *ledger.KeySpec) { s.Terms = terms })
}

// sameRun mints a further key, under its own issue identity, for the run of spec.
func (b *bundle) sameRun(name string, terms ledger.Terms) ledger.Key {
	b.t.Helper()
	return b.issue(func(s *ledger.KeySpec) {
		s.KeyID, s.IssueID, s.Phase, s.Digest, s.Terms = "key_"+name, "issue_"+name, name, "digest_"+name, terms
	})
}

// ask is a reservation of a creation under a call ID.
func ask(k ledger.Key, callID string, price money.USD) ledger.Reservation {
	return ledger.Reservation{
		CallID: callID, Digest: sha256.Sum256([]byte(callID)), KeyID: k.ID, Vendor: k.Vendor,
		Operation: "charge", Method: "POST", Path: "/v1/charges", IdempotencyKey: "idem_" + callID,
		Item: "17", WorkflowID: "wf", Price: price, Request: []byte("sealed request"),
	}
}

// capture is a reservation that takes over what another call holds on an object.
func (b *bundle) capture(k ledger.Key, callID, from, object string, price money.USD) ledger.Reservation {
	r := ask(k, callID, price)
	r.Operation, r.Target, r.TakeOver = "capture", object, b.seq(from)
	return r
}

func (b *bundle) reserve(r ledger.Reservation) ledger.Reserved {
	b.t.Helper()
	out, err := b.store.Reserve(b.ctx, r)
	require.NoError(b.t, err)
	return out
}

// denied asks for a reservation that must be refused.
func (b *bundle) denied(r ledger.Reservation) *ledger.Denial {
	b.t.Helper()
	_, err := b.store.Reserve(b.ctx, r)
	var d *ledger.Denial
	require.ErrorAs(b.t, err, &d)
	return d
}

// exists asks for a reservation under an ID that must be taken.
func (b *bundle) exists(r ledger.Reservation) ledger.Call {
	b.t.Helper()
	_, err := b.store.Reserve(b.ctx, r)
	var e *ledger.Exists
	require.ErrorAs(b.t, err, &e)
	return e.Call
}

func (b *bundle) resolve(r ledger.Resolution) ledger.Call {
	b.t.Helper()
	c, moved, err := b.store.Resolve(b.ctx, r)
	require.NoError(b.t, err)
	require.True(b.t, moved, "the outcome %s moved nothing", r.Outcome)
	return c
}

func (b *bundle) settle(callID string, amount money.USD) ledger.Call {
	b.t.Helper()
	return b.resolve(ledger.Resolution{
		Seq: b.seq(callID), Outcome: ledger.OutcomeSettled, Amount: amount, Reason: "succeeded",
		Answered: true, AnswerStatus: 200, Answer: []byte("sealed answer"),
	})
}

// commit makes a call committed, with an object of its own and an answer.
func (b *bundle) commit(callID, object string) ledger.Call {
	b.t.Helper()
	return b.resolve(ledger.Resolution{
		Seq: b.seq(callID), Outcome: ledger.OutcomeCommitted, Reason: "requires_capture", Object: object,
		Answered: true, AnswerStatus: 200, Answer: []byte("sealed answer"),
	})
}

func (b *bundle) outcome(callID string, o ledger.Outcome) ledger.Call {
	b.t.Helper()
	return b.resolve(ledger.Resolution{Seq: b.seq(callID), Outcome: o, Reason: "because"})
}

// claimAndResend records one more send of an unknown call.
func (b *bundle) claimAndResend(callID string) ledger.Call {
	b.t.Helper()
	_, err := b.store.Claim(b.ctx, b.seq(callID), time.Minute)
	require.NoError(b.t, err)
	c, err := b.store.Resend(b.ctx, b.seq(callID), 23*time.Hour)
	require.NoError(b.t, err)
	return c
}

// recall reads a call by its ID, and makes sure that its key leads to the same one.
func (b *bundle) recall(callID string) ledger.Call {
	b.t.Helper()
	found, err := b.store.Find(b.ctx, callID)
	require.NoError(b.t, err)
	k, err := b.store.Key(b.ctx, found.KeyID)
	require.NoError(b.t, err)
	c, err := b.store.Recall(b.ctx, ledger.CallKey{RunNo: k.RunNo, Vendor: found.Vendor, IdempotencyKey: found.IdempotencyKey})
	require.NoError(b.t, err)
	require.Equal(b.t, found, c)
	return c
}

// seq is the number of a call; one that is nobody's if there is none.
func (b *bundle) seq(callID string) int64 {
	b.t.Helper()
	c, err := b.store.Find(b.ctx, callID)
	if errors.Is(err, ledger.ErrNotFound) {
		return -1
	}
	require.NoError(b.t, err)
	return c.Seq
}

// budget is one of the budgets that a key draws on today, such as "key/day".
func (b *bundle) budget(k ledger.Key, kind string) ledger.Budget {
	b.t.Helper()
	use, err := b.store.KeyUse(b.ctx, k.ID)
	require.NoError(b.t, err)
	for _, row := range use.Budgets {
		if row.Kind() == kind {
			return row
		}
	}
	require.Failf(b.t, "no such budget", "%s among %v", kind, use.Budgets)
	return ledger.Budget{}
}

// counters are the four amounts that a cap bounds.
type counters struct{ settled, inFlight, committed, unknown money.USD }

func countersOf(row ledger.Budget) counters {
	return counters{row.Settled, row.InFlight, row.Committed, row.Unknown}
}

func (b *bundle) holds(k ledger.Key, kind string, want counters) {
	b.t.Helper()
	require.Equal(b.t, want, countersOf(b.budget(k, kind)), kind)
}

// undecided reports whether an error says that the store could not decide, as
// against a decision.
func undecided(err error) bool { return errors.Is(err, ledger.ErrUnavailable) }

func numbered(prefix string, n int) string { return fmt.Sprintf("%s_%04d", prefix, n) }
