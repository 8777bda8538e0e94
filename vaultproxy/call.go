package vaultproxy

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// call is what the steps learn about one request on its way.
type call struct {
	started        time.Time
	method         string
	spoken         string // first segment of the path as it came in: whose SDK it may be that calls
	path           string // canonical, below the vendor's name
	grant          *grant
	upstream       *upstream
	request        vendors.Request
	digest         [32]byte
	idempotencyKey string
	item           string
	workflowID     string
	callID         string
	quote          vendors.Quote
	wire           vendors.Wire
	row            ledger.Call
	remaining      money.USD
	hasRemaining   bool
	waited         time.Duration // for calls in flight that stood in the way

	// What is said of it in the log and the audit row.
	verdict string
	reason  string
	object  string
	amount  money.USD
}

// Data returns the data plane: /{vendor}/{vendor's path}.
func (p *Proxy) Data() http.Handler { return http.HandlerFunc(p.serveCall) }

func (p *Proxy) serveCall(w http.ResponseWriter, r *http.Request) {
	c := &call{started: time.Now(), method: r.Method, spoken: firstSegment(r.RequestURI)}
	select { // by itself: with a slot free as well, a select of both would choose at random
	case <-p.draining:
		p.finish(w, c, p.denied(c, deny(Overloaded, "this vault proxy is shutting down; try again")))
		return
	default:
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		d := deny(Overloaded, "too many calls at once; try again with the same idempotency key")
		d.retryAfter = time.Second
		p.finish(w, c, p.denied(c, d))
		return
	}
	// A caller that hangs up must not leave a half-made call behind.
	ctx := context.WithoutCancel(r.Context())
	answer, d := p.guarded(ctx, c, r)
	if d != nil {
		answer = p.denied(c, d)
	}
	p.finish(w, c, answer)
}

// guarded keeps a panic on the way from ending in a broken connection and in a
// log that shows what was thrown: that may hold what was sent.
func (p *Proxy) guarded(ctx context.Context, c *call, r *http.Request) (answer reply, d *denial) {
	defer func() {
		if recover() != nil {
			p.log.Error("a call broke off by a panic", "call_id", c.callID, "stack", string(debug.Stack()))
			answer, d = reply{}, outcomeUnknown()
		}
	}()
	return p.handle(ctx, c, r)
}

// handle walks the call's way. A denial ends it before anything is sent.
func (p *Proxy) handle(ctx context.Context, c *call, r *http.Request) (reply, *denial) {
	var d *denial
	if c.grant, d = p.authenticate(ctx, r); d != nil {
		return reply{}, d
	}
	if d := p.canonicalise(c, r); d != nil {
		return reply{}, d
	}
	if c.request.Read() {
		return p.read(ctx, c)
	}
	// A call that turns up while this one is on its way is recalled in the next
	// round; so is a hold that moved between metering and reserving.
	for range 3 {
		answer, done, d := p.recall(ctx, c)
		if done || d != nil {
			return answer, d
		}
		if d := c.allow(); d != nil {
			return reply{}, d
		}
		if d := p.meter(ctx, c); d != nil {
			return reply{}, d
		}
		again, d := p.reserve(ctx, c)
		if d != nil {
			return reply{}, d
		}
		if !again {
			return p.execute(ctx, c)
		}
	}
	d = deny(IdempotencyInFlight, "this call keeps changing under another request; try again with the same idempotency key")
	d.retryAfter = time.Second
	return reply{}, d
}

// execute sends a dispatched call, judges the answer and books it. Whatever
// happens in here, the call does not stay in flight.
func (p *Proxy) execute(ctx context.Context, c *call) (reply, *denial) {
	booked := false
	defer func() {
		if !booked { // by a panic, which is caught further up
			p.settleLater(ledger.Resolution{
				Seq: c.row.Seq, Outcome: ledger.OutcomeUnknown, Reason: "interrupted", Audit: c.audit(ledger.ByCaller),
			})
		}
	}()
	result := p.send(ctx, c.upstream, c.row, c.wire)
	answer := p.settle(ctx, c, judge(c.upstream.vendor, c.sent(), result))
	booked = true
	return answer, nil
}

// sent is the call as its vendor profile sees it.
func (c *call) sent() vendors.Sent {
	return vendors.Sent{
		CallID: c.callID, Operation: c.quote.Operation, Target: c.quote.Target, Wire: c.wire, Hold: c.quote.Price,
		FirstSentAt: c.row.FirstSentAt,
	}
}

func (c *call) audit(by string) ledger.AuditRow {
	return ledger.AuditRow{
		By: by, KeyID: c.grant.keyID, Item: c.item, WorkflowID: c.workflowID, Duration: time.Since(c.started),
	}
}

// denied records a call that the proxy answers itself.
func (p *Proxy) denied(c *call, d *denial) reply {
	c.verdict, c.reason = ledger.VerdictDenied, string(d.code)
	answer := d.reply()
	if d.code == OutcomeUnknown {
		c.verdict = string(ledger.Unknown) // no refusal of ours: the call was made, and may have worked
	}
	if c.grant == nil && !p.strangers.admit() {
		return answer // the log line remains; strangers must not fill the disk
	}
	p.record(c, answer.status)
	return answer
}

// record appends the audit row of a call that moved nothing. Where even that
// fails, the log line is what remains: the caller was refused, nothing was sent.
func (p *Proxy) record(c *call, status int) {
	row := ledger.AuditRow{
		Verdict: c.verdict, Code: c.reason, By: ledger.ByCaller, CallID: c.callID, Item: legible(c.item), WorkflowID: legible(c.workflowID),
		Method: c.method, Path: c.quote.Template, IdempotencyKey: legible(c.idempotencyKey), Status: status,
		Price: c.quote.Price, Object: c.object, Duration: time.Since(c.started),
	}
	if row.Path == "" {
		row.Path = c.path
	}
	if c.grant != nil {
		row.Tenant, row.Run, row.KeyID, row.Vendor = c.grant.tenant, c.grant.run, c.grant.keyID, c.grant.vendor
	}
	ctx, cancel := context.WithTimeout(p.bg, recordTimeout)
	defer cancel()
	if err := p.store.Record(ctx, row); err != nil {
		p.log.Error("audit row lost", "error", err, "verdict", row.Verdict, "code", row.Code, "run", row.Run)
	}
}

// legible is what the audit log keeps of what a caller sent and was refused for:
// a row that a database does not take would be lost, and hold others up.
func legible(text string) string {
	if len(text) > maxNote {
		text = text[:maxNote]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, text)
}

const recordTimeout = 5 * time.Second

// finish answers and writes the one log line of the call.
func (p *Proxy) finish(w http.ResponseWriter, c *call, answer reply) {
	answer = p.inDialect(c, answer)
	if c.callID != "" {
		answer.set("Tollgate-Call-Id", c.callID)
	}
	if c.hasRemaining {
		answer.set("Tollgate-Remaining-Usd", c.remaining.String())
	}
	answer.write(w)
	p.logCall(c, answer.status)
	p.metrics.call(c)
}

// logCall writes the canonical line: its names are constant, its values hold no
// secret, no body and nothing of a customer.
func (p *Proxy) logCall(c *call, status int) {
	attrs := []slog.Attr{
		slog.String("verdict", c.verdict), slog.String("code", c.reason), slog.Int("status", status),
		slog.String("method", c.method), slog.String("operation", c.quote.Operation), slog.String("call_id", c.callID),
		slog.String("item", c.item), slog.String("workflow_id", c.workflowID), slog.String("object", c.object),
		slog.String("price_usd", c.quote.Price.String()), slog.String("amount_usd", c.amount.String()),
		slog.Duration("duration", time.Since(c.started)),
	}
	if c.grant != nil {
		attrs = append(attrs, slog.String("vendor", c.grant.vendor), slog.String("run", c.grant.run), slog.String("key_id", c.grant.keyID))
	}
	p.log.LogAttrs(context.Background(), slog.LevelInfo, "call", attrs...)
}
