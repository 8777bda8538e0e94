package vaultproxy

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/audit"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// page reads limit and cursor; a cursor is the sequence number to go on after.
func page(q url.Values) (after int64, limit int, err error) {
	limit = defaultPage
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxPage {
			return 0, 0, errors.New("limit must be a whole number from 1 to 1000")
		}
	}
	if text := q.Get("cursor"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return 0, 0, errors.New("cursor must be the next_cursor of the page before")
		}
	}
	return after, limit, nil
}

func (p *Proxy) showAudit(r *http.Request) reply {
	q, err := asked(r, "agent_run_label", "tenant", "key_id", "vendor", "verdict", "since", "until", "format", "cursor", "limit")
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	after, limit, err := page(q)
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	f := ledger.AuditFilter{
		Run: q.Get("agent_run_label"), Tenant: q.Get("tenant"), KeyID: q.Get("key_id"), Vendor: q.Get("vendor"),
		Verdict: q.Get("verdict"), After: after, Limit: limit,
	}
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			if *into, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return fail(http.StatusBadRequest, string(RequestInvalid), name+" must be a time like 2026-11-23T15:04:05Z")
			}
		}
	}
	rows, err := p.store.Audit(r.Context(), f)
	if err != nil {
		return p.failed(err)
	}
	out := client.AuditPage{Rows: make([]client.AuditRow, 0, len(rows))}
	for _, row := range rows {
		out.Rows = append(out.Rows, auditView(row))
	}
	if len(rows) == limit {
		out.NextCursor = strconv.FormatInt(rows[len(rows)-1].Seq, 10)
	}
	format := q.Get("format")
	if format == "" || format == "json" {
		return jsonReply(http.StatusOK, out)
	}
	body, kind, err := audit.Encode(format, out.Rows)
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	answer := reply{status: http.StatusOK, header: map[string]string{"Content-Type": kind}, body: body}
	if out.NextCursor != "" {
		answer.set("Tollgate-Next-Cursor", out.NextCursor)
	}
	return answer
}

func auditView(a ledger.AuditRow) client.AuditRow {
	return client.AuditRow{
		Seq: a.Seq, At: a.At, Verdict: a.Verdict, Code: a.Code, By: a.By, AgentRunLabel: a.Run, KeyID: a.KeyID,
		CallID: a.CallID, Item: a.Item, WorkflowID: a.WorkflowID, Vendor: a.Vendor, Method: a.Method, Path: a.Path,
		IdempotencyKey: a.IdempotencyKey, Status: a.Status, PriceUSD: a.Price, AmountUSD: a.Amount, ObjectID: a.Object,
		DurationMS: a.Duration.Milliseconds(), Who: a.Who, Note: a.Note,
	}
}

func (p *Proxy) listCalls(r *http.Request) reply {
	q, err := asked(r, "agent_run_label", "tenant", "state", "idempotency_key", "cursor", "limit")
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	after, limit, err := page(q)
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	switch ledger.State(q.Get("state")) {
	case "", ledger.Dispatched, ledger.Settled, ledger.Released, ledger.Committed, ledger.Unknown:
	default:
		return fail(http.StatusBadRequest, string(RequestInvalid), "state must be dispatched, settled, released, committed or unknown")
	}
	calls, err := p.store.Calls(r.Context(), ledger.CallFilter{
		Run: q.Get("agent_run_label"), Tenant: q.Get("tenant"), State: ledger.State(q.Get("state")),
		IdempotencyKey: q.Get("idempotency_key"), After: after, Limit: limit,
	})
	if err != nil {
		return p.failed(err)
	}
	now, err := p.store.Now(r.Context())
	if err != nil {
		return p.failed(err)
	}
	out := client.CallPage{Calls: make([]client.Call, 0, len(calls))}
	for _, c := range calls {
		view, err := p.openView(r.Context(), c, now)
		if err != nil {
			return p.failed(err)
		}
		out.Calls = append(out.Calls, view)
	}
	if len(calls) == limit {
		out.NextCursor = strconv.FormatInt(calls[len(calls)-1].Seq, 10)
	}
	return jsonReply(http.StatusOK, out)
}

func callView(c ledger.Call) client.Call {
	return client.Call{
		CallID: c.ID, State: string(c.State), Reason: c.Reason, AgentRunLabel: c.Run, Tenant: c.Tenant, KeyID: c.KeyID, Vendor: c.Vendor,
		Operation: c.Operation, IdempotencyKey: c.IdempotencyKey, Item: c.Item, WorkflowID: c.WorkflowID, HoldUSD: c.Hold,
		SettledUSD: c.Amount, ObjectID: c.Object, Declined: c.Declined, Sends: c.Sends, Checks: c.Checks, CreatedAt: c.CreatedAt,
		FirstSentAt: timeView(c.FirstSentAt), LastSentAt: timeView(c.LastSentAt), FinalAt: timeView(c.FinalAt),
	}
}

func (p *Proxy) reportRuns(r *http.Request) reply {
	q, err := asked(r, "agent_run_label")
	if err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	run := q.Get("agent_run_label")
	reports, err := p.store.RunReports(r.Context(), run)
	if err != nil {
		return p.failed(err)
	}
	if run != "" && len(reports) == 0 {
		return fail(http.StatusNotFound, "run_not_found", "no key was ever issued for this run label")
	}
	out := client.RunReportList{Runs: make([]client.RunReport, 0, len(reports))}
	for _, report := range reports {
		out.Runs = append(out.Runs, reportView(report))
	}
	return jsonReply(http.StatusOK, out)
}

func reportView(r ledger.RunReport) client.RunReport {
	view := client.RunReport{
		AgentRunLabel: r.Run, Tenant: r.Tenant, Closed: r.Closed, FirstCallAt: timeView(r.FirstCall), LastCallAt: timeView(r.LastAt),
		Budget: budgetView(r.Budget), Calls: countsView(r.Counts), Declined: r.Declined, Replays: r.Replays, Resends: r.Resends,
		Denied: []client.Denials{}, Vendors: []client.Spend{},
	}
	for _, code := range slices.Sorted(maps.Keys(r.Denied)) {
		view.Denied = append(view.Denied, client.Denials{Code: code, Count: r.Denied[code]})
	}
	for _, name := range slices.Sorted(maps.Keys(r.Vendors)) {
		v := r.Vendors[name]
		view.Vendors = append(view.Vendors, client.Spend{Vendor: name, Calls: v.Calls, SettledUSD: v.Settled, HeldUSD: v.Held})
	}
	return view
}
