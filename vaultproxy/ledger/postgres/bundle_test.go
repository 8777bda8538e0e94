package postgres_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/postgres"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// bundle is replicas over one database.
type bundle struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // lives as long as its test
	url    string
	stores []*postgres.Store
}

// forAsLongAsItTakes is a wait that no test sees the end of, however slow the
// machine is: it is there so that one that hangs says where.
const forAsLongAsItTakes = 5 * time.Minute

const runLabel = "billing-pro-2026-11"

// setup opens replicas. Whatever the test does to them, the ledger must be sound
// at the end.
func setup(t *testing.T, url string, replicas int, cfg postgres.Config) *bundle {
	t.Helper()
	b := &bundle{t: t, ctx: context.WithoutCancel(t.Context()), url: url}
	for range replicas {
		b.open(cfg)
	}
	return b
}

// open adds a replica. It waits for the server for as long as it takes, unless it
// is told otherwise.
func (b *bundle) open(cfg postgres.Config) *postgres.Store {
	b.t.Helper()
	if cfg.URL == "" {
		cfg.URL = b.url
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = forAsLongAsItTakes
	}
	s, err := postgres.Open(b.t.Context(), cfg)
	require.NoError(b.t, err)
	b.stores = append(b.stores, s)
	b.t.Cleanup(func() {
		b.sound(s)
		require.NoError(b.t, s.Close())
	})
	return s
}

func (b *bundle) sound(s *postgres.Store) {
	b.t.Helper()
	lines, err := s.Verify(b.ctx)
	if errors.Is(err, ledger.ErrUnavailable) && b.closed(s) {
		return
	}
	require.NoError(b.t, err)
	require.Empty(b.t, lines)
}

// closed reports whether the test has closed the replica itself.
func (b *bundle) closed(s *postgres.Store) bool {
	_, err := s.Lead(b.ctx, 0)
	return err != nil
}

// connect is a session of somebody else in the database.
func (b *bundle) connect() *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(b.ctx, b.url)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close(b.ctx) })
	return conn
}

func dollars(n int64) money.USD { return money.USD(n) * money.Dollar }

func limit(n int64) *money.USD {
	d := dollars(n)
	return &d
}

// spec asks for a key of a total cap in dollars.
func spec(limitUSD int64) ledger.KeySpec {
	return ledger.KeySpec{
		KeyID: "key_1", IssueID: "issue_1", Run: runLabel, Vendor: "stripe", Digest: "digest_1", ExpiresIn: time.Hour,
		Terms: ledger.Terms{AllowedEndpoints: []string{"POST /v1/charges"}, TotalCap: limit(limitUSD)},
	}
}

func (b *bundle) issue(s ledger.KeySpec) ledger.Key {
	b.t.Helper()
	k, _, err := b.stores[0].Issue(b.ctx, s)
	require.NoError(b.t, err)
	return k
}

// ask is a reservation under a call ID.
func ask(k ledger.Key, callID string, price money.USD) ledger.Reservation {
	return ledger.Reservation{
		CallID: callID, Digest: sha256.Sum256([]byte(callID)), KeyID: k.ID, RunNo: k.RunNo, Vendor: k.Vendor,
		Operation: "charge", Method: "POST", Path: "/v1/charges", IdempotencyKey: "idem_" + callID,
		Item: "17", WorkflowID: "wf", Price: price, Request: []byte("sealed request"),
	}
}

func (b *bundle) reserve(s ledger.Store, r ledger.Reservation) ledger.Call {
	b.t.Helper()
	out, err := s.Reserve(b.ctx, r)
	require.NoError(b.t, err)
	return out.Call
}

func settle(ctx context.Context, s ledger.Store, c ledger.Call) error {
	_, _, err := s.Resolve(ctx, ledger.Resolution{
		Seq: c.Seq, Seen: &c, Outcome: ledger.OutcomeSettled, Amount: c.Hold, Reason: "succeeded", Object: "ch_" + c.ID,
	})
	return err
}

func (b *bundle) recall(s ledger.Store, c ledger.Call, k ledger.Key) ledger.Call {
	b.t.Helper()
	out, err := s.Recall(b.ctx, ledger.CallKey{RunNo: k.RunNo, Vendor: c.Vendor, IdempotencyKey: c.IdempotencyKey})
	require.NoError(b.t, err)
	return out
}

// budget is one of the budgets that a key draws on today, such as "run/total".
func (b *bundle) budget(k ledger.Key, kind string) ledger.Budget {
	b.t.Helper()
	use, err := b.stores[0].KeyUse(b.ctx, k.ID)
	require.NoError(b.t, err)
	for _, row := range use.Budgets {
		if row.Kind() == kind {
			return row
		}
	}
	require.Failf(b.t, "no such budget", "%s among %v", kind, use.Budgets)
	return ledger.Budget{}
}

// denialOf is the reason of a denial; empty if it is none.
func denialOf(err error) ledger.DenialReason {
	var d *ledger.Denial
	if errors.As(err, &d) {
		return d.Reason
	}
	return ""
}

// inParallel starts n at once and collects what each returned.
func inParallel(n int, run func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func numbered(prefix string, n int) string { return fmt.Sprintf("%s_%05d", prefix, n) }

func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var got T
	require.NoError(t, conn.QueryRow(context.WithoutCancel(t.Context()), sql, args...).Scan(&got))
	return got
}

// becomes waits for something that others bring about.
func becomes(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, forAsLongAsItTakes, 5*time.Millisecond, what)
}
