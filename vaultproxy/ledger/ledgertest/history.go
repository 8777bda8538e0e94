package ledgertest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// RunModel plays random histories on a store and on the model, and compares the
// two after every step: calls, budgets, decisions, L1 and L2.
func RunModel(t *testing.T, place Place) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{T: rt, ctx: context.Background(), clock: NewClock(), open: place(t), model: newModel()}
		h.start()
		defer func() { _ = h.store.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"":        h.compare,
			"issue":   h.issue,
			"reserve": h.reserve,
			"repeat":  h.repeat,
			"take":    h.takeOver,
			"settle":  func(rt *rapid.T) { h.resolve(rt, ledger.OutcomeSettled) },
			"commit":  func(rt *rapid.T) { h.resolve(rt, ledger.OutcomeCommitted) },
			"release": func(rt *rapid.T) { h.resolve(rt, ledger.OutcomeReleased) },
			"refuse":  func(rt *rapid.T) { h.resolve(rt, ledger.OutcomeRefused) },
			"nothing": func(rt *rapid.T) { h.resolve(rt, ledger.OutcomeNoEffect) },
			"doubt":   func(rt *rapid.T) { h.resolve(rt, ledger.OutcomeUnknown) },
			"resend":  h.resend,
			"revoke":  h.revoke,
			"close":   h.closeRun,
			"cap":     h.setCap,
			"wait":    h.wait,
			"restart": h.restart,
		})
	})
}

// history is one random life of a ledger.
type history struct {
	*rapid.T
	ctx      context.Context //nolint:containedctx // lives as long as its history
	clock    *Clock
	open     func(now func() time.Time) (ledger.Store, error)
	store    ledger.Store
	model    *model
	minted   int
	reserved int
}

func (h *history) seq(callID string) int64 {
	c, err := h.store.Find(h.ctx, callID)
	require.NoError(h, err)
	return c.Seq
}

func (h *history) start() {
	s, err := h.open(h.clock.Now)
	require.NoError(h, err)
	h.store = s
}

// compare is the whole of the promise: the store is the model.
func (h *history) compare(rt *rapid.T) {
	lines, err := h.store.Verify(h.ctx)
	require.NoError(rt, err)
	require.Empty(rt, lines)

	calls, err := h.store.Calls(h.ctx, ledger.CallFilter{})
	require.NoError(rt, err)
	require.Len(rt, calls, len(h.model.calls))
	for i, c := range calls {
		want := h.model.calls[i]
		require.Equal(rt, *want, modelCall{
			id: c.ID, keyID: c.KeyID, issue: want.issue, run: c.Run, tenant: c.Tenant, digest: c.Digest, state: c.State, hold: c.Hold,
			amount: c.Amount, object: c.Object, target: c.Target, day: c.Day, sends: c.Sends, unproven: c.Unproven,
			resend: c.Resend, answered: c.Answered, retriable: want.retriable, claimedUntil: want.claimedUntil,
		})
		require.Equal(rt, c.State.Final(), !c.FinalAt.IsZero())
	}
	for issue, k := range h.model.keys {
		h.compareBudgets(rt, issue, k)
	}
}

func (h *history) compareBudgets(rt *rapid.T, issue string, k *modelKey) {
	use, err := h.store.KeyUse(h.ctx, k.id)
	require.NoError(rt, err)
	accounts := h.model.accounts(issue, h.clock.Now().Format(time.DateOnly))
	require.Len(rt, use.Budgets, len(accounts))
	for _, row := range use.Budgets {
		a := account{row.Scope, row.Name, row.Window}
		limit, ok := accounts[a]
		require.True(rt, ok, "%v is no budget of %s", a, issue)
		require.Equal(rt, limit, row.Cap)
		require.Equal(rt, h.model.sum(a, nil), countersOf(row), "%v", a)
		require.Equal(rt, h.model.overrun[a], row.Overrun, "%v", a)
		if !h.model.lowered[a] {
			require.LessOrEqual(rt, row.Settled+row.Held(), row.Cap+row.Overrun, "%v", a)
		}
	}
}

func drawUSD(rt *rapid.T, most int64, name string) money.USD {
	return dollars(rapid.Int64Range(0, most).Draw(rt, name))
}

func (h *history) issue(rt *rapid.T) {
	n := rapid.IntRange(0, 3).Draw(rt, "identity")
	issue, run := fmt.Sprintf("issue_%d", n), fmt.Sprintf("run_%d", n/2)
	h.minted++
	s := ledger.KeySpec{
		KeyID: fmt.Sprintf("key_%d", h.minted), IssueID: issue, Run: run, Tenant: tenantName, Vendor: vendorName, Digest: "digest_" + issue,
		ExpiresIn: time.Duration(rapid.IntRange(1, 40).Draw(rt, "hours")) * time.Hour,
	}
	old := h.model.keys[issue]
	if old == nil {
		h.drawTerms(rt, &s)
	} else {
		s.Terms = old.spec.Terms
	}
	k, minted, err := h.store.Issue(h.ctx, s)
	known := h.model.runs[run]
	switch {
	case old != nil && old.revoked:
		require.ErrorIs(rt, err, ledger.ErrRunRevoked)
		return
	case known != nil && known.closed:
		require.ErrorIs(rt, err, ledger.ErrRunClosed)
		return
	}
	require.NoError(rt, err)
	if old != nil && h.clock.Now().Before(old.expires) {
		require.False(rt, minted)
		require.Equal(rt, old.id, k.ID)
		return
	}
	require.True(rt, minted)
	next := &modelKey{spec: s, id: s.KeyID, generation: 1, expires: h.clock.Now().Add(s.ExpiresIn)}
	if old != nil {
		next.generation = old.generation + 1
	}
	require.Equal(rt, next.generation, k.Generation)
	h.model.keys[issue] = next
	if known == nil {
		h.model.runs[run] = &modelRun{cap: s.Terms.EffectiveRunCap()}
	}
}

func (h *history) drawTerms(rt *rapid.T, s *ledger.KeySpec) {
	daily := drawUSD(rt, 60, "daily cap") + money.Dollar
	total := drawUSD(rt, 90, "total cap") + money.Dollar
	perCall := drawUSD(rt, 60, "per call cap") + money.Dollar
	if rapid.Bool().Draw(rt, "daily") {
		s.Terms.DailyCap = &daily
	}
	if s.Terms.DailyCap == nil || rapid.Bool().Draw(rt, "total") {
		s.Terms.TotalCap = &total
	}
	if rapid.Bool().Draw(rt, "per call") {
		s.Terms.PerCallCap = &perCall
	}
}

// key draws one of the newest keys.
func (h *history) key(rt *rapid.T) *modelKey {
	if len(h.model.keys) == 0 {
		rt.Skip("no key yet")
	}
	present := []string{}
	for _, issue := range []string{"issue_0", "issue_1", "issue_2", "issue_3"} {
		if h.model.keys[issue] != nil {
			present = append(present, issue)
		}
	}
	return h.model.keys[rapid.SampledFrom(present).Draw(rt, "key")]
}

// call draws one of the calls.
func (h *history) call(rt *rapid.T) *modelCall {
	if len(h.model.calls) == 0 {
		rt.Skip("no call yet")
	}
	return rapid.SampledFrom(h.model.calls).Draw(rt, "call")
}

// request asks under an idempotency key, which is another call in every run.
func (h *history) request(rt *rapid.T, k *modelKey, key string) ledger.Reservation {
	return ledger.Reservation{
		CallID: k.spec.Run + "/" + key, Digest: sha256.Sum256([]byte(key)), KeyID: k.id, Vendor: vendorName, IdempotencyKey: key,
		Price: drawUSD(rt, 30, "price"), Request: []byte("sealed"),
	}
}

func (h *history) nextKey() string {
	h.reserved++
	return numbered("call", h.reserved)
}

func (h *history) reserve(rt *rapid.T) {
	k := h.key(rt)
	h.send(rt, k, h.request(rt, k, h.nextKey()), nil)
}

// repeat asks under a call ID that is there, by any key, with the same request or another.
func (h *history) repeat(rt *rapid.T) {
	c, k := h.call(rt), h.key(rt)
	_, key, _ := strings.Cut(c.id, "/")
	r := h.request(rt, k, key)
	var from *modelCall
	if rapid.IntRange(0, 3).Draw(rt, "other request") == 0 {
		r.Digest[0]++
	}
	if rapid.Bool().Draw(rt, "take its own hold over") && c.object != "" {
		r.TakeOver, r.Target, from = h.seq(c.id), c.object, c
	}
	h.send(rt, k, r, from)
}

func (h *history) takeOver(rt *rapid.T) {
	from, k := h.call(rt), h.key(rt)
	r := h.request(rt, k, h.nextKey())
	r.TakeOver, r.Target = h.seq(from.id), from.object
	if rapid.IntRange(0, 9).Draw(rt, "wrong object") == 0 {
		r.Target = "obj_wrong"
	}
	h.send(rt, k, r, from)
}

// send reserves on both and compares the decisions.
func (h *history) send(rt *rapid.T, k *modelKey, r ledger.Reservation, from *modelCall) {
	out, err := h.store.Reserve(h.ctx, r)
	want := h.model.reserve(k, r, from, h.clock.Now())
	var (
		got    answer
		denial *ledger.Denial
		exists *ledger.Exists
	)
	switch {
	case errors.As(err, &denial):
		got.denial = denial.Reason
	case errors.As(err, &exists):
		got.exists = true
		require.Equal(rt, h.model.call(r.CallID).state, exists.Call.State)
	case errors.Is(err, ledger.ErrBookingMoved):
		got.err = ledger.ErrBookingMoved
	default:
		require.NoError(rt, err)
		require.Equal(rt, ledger.Dispatched, out.Call.State)
	}
	require.Equal(rt, want, got)
}

func (h *history) resolve(rt *rapid.T, outcome ledger.Outcome) {
	c := h.call(rt)
	r := ledger.Resolution{
		Seq: h.seq(c.id), Outcome: outcome, Amount: drawUSD(rt, 40, "amount"), Answered: rapid.Bool().Draw(rt, "answered"),
	}
	objects := []string{"", "", "obj_1", "obj_2", "obj_3"}
	r.Object = rapid.SampledFrom(objects).Draw(rt, "object")
	if rapid.IntRange(0, 4).Draw(rt, "frees") == 0 {
		r.Frees = rapid.SampledFrom(objects).Draw(rt, "freed")
	}
	_, moved, err := h.store.Resolve(h.ctx, r)
	wantMoved, taken := h.model.resolve(c, r)
	if taken {
		require.ErrorIs(rt, err, ledger.ErrObjectTaken)
		return
	}
	require.NoError(rt, err)
	require.Equal(rt, wantMoved, moved)
	h.model.free(r.Frees)
}

// resend claims a call and records one more send of it.
func (h *history) resend(rt *rapid.T) {
	c := h.call(rt)
	now := h.clock.Now()
	_, err := h.store.Claim(h.ctx, h.seq(c.id), time.Hour)
	if (c.state != ledger.Unknown && c.state != ledger.Committed) || now.Before(c.claimedUntil) {
		require.ErrorIs(rt, err, ledger.ErrClaimed)
		return
	}
	require.NoError(rt, err)
	c.claimedUntil = now.Add(time.Hour)
	if c.state != ledger.Unknown {
		return
	}
	k := h.model.keys[c.issue]
	_, err = h.store.Resend(h.ctx, h.seq(c.id), 1000*time.Hour)
	if k.revoked || h.model.runs[c.run].closed || k.id != c.keyID || !now.Before(k.expires) {
		var d *ledger.Denial
		require.ErrorAs(rt, err, &d)
		return
	}
	if err == nil {
		c.sends, c.unproven = c.sends+1, c.unproven+1
		return
	}
	require.ErrorIs(rt, err, ledger.ErrWindowClosed)
}

func (h *history) revoke(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "really") != 0 {
		rt.Skip("a history that is revoked early is a dull one")
	}
	k := h.key(rt)
	_, err := h.store.RevokeKey(h.ctx, k.id)
	require.NoError(rt, err)
	k.revoked = true
}

func (h *history) closeRun(rt *rapid.T) {
	if rapid.IntRange(0, 7).Draw(rt, "really") != 0 {
		rt.Skip("a history that is closed early is a dull one")
	}
	run := h.key(rt).spec.Run
	_, err := h.store.CloseRun(h.ctx, tenantName, run)
	require.NoError(rt, err)
	h.model.runs[run].closed = true
	for _, k := range h.model.keys {
		k.revoked = k.revoked || k.spec.Run == run
	}
}

// tenantName is the tenant of all runs of a history.
const tenantName = "acme"

// setCap raises or lowers the cap of a run, or sets one of the tenant. What is
// in use already stays, and counts from the first moment on.
func (h *history) setCap(rt *rapid.T) {
	change := ledger.CapChange{
		Scope: ledger.ScopeTenant, Tenant: tenantName, Span: rapid.SampledFrom([]string{ledger.SpanDay, ledger.SpanTotal}).Draw(rt, "span"),
		Cap: drawUSD(rt, 120, "cap"), Who: "ada",
	}
	a := tenantAccount(tenantName, change.Span, h.clock.Now().Format(time.DateOnly))
	if len(h.model.keys) > 0 && rapid.Bool().Draw(rt, "of a run") {
		change.Scope, change.Name, change.Span = ledger.ScopeRun, h.key(rt).spec.Run, ledger.SpanTotal
		a = account{"run", change.Name, ledger.WindowTotal}
		h.model.runs[change.Name].cap = change.Cap
	} else {
		if h.model.tenants[tenantName] == nil {
			h.model.tenants[tenantName] = map[string]money.USD{}
		}
		h.model.tenants[tenantName][change.Span] = change.Cap
	}
	got, err := h.store.SetCap(h.ctx, change)
	require.NoError(rt, err)
	n := h.model.sum(a, nil)
	require.Equal(rt, n, countersOf(got))
	if n.settled+n.inFlight+n.committed+n.unknown > change.Cap {
		h.model.lowered[a] = true
	}
}

func (h *history) wait(rt *rapid.T) {
	h.clock.Advance(time.Duration(rapid.IntRange(1, 20*60).Draw(rt, "minutes")) * time.Minute)
}

func (h *history) restart(rt *rapid.T) {
	require.NoError(rt, h.store.Close())
	h.start()
	h.model.restart()
}
