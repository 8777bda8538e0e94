package vaultproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

const (
	// maxWho bounds the name of the person who decides, in bytes.
	maxWho = 255
	// maxWhy bounds the reason that the person gives, in bytes.
	maxWhy = 1000
)

// Reasons of calls that a person resolved.
const (
	settledByPerson  = "settled_by_person"
	releasedByPerson = "released_by_person"
)

// resolveCall books what a person found out about a call that the proxy cannot
// prove. The person's word stands for the proof: it is asked for a name and a
// reason, both of which stay in the audit log.
func (p *Proxy) resolveCall(r *http.Request) reply {
	var req client.ResolveRequest
	if err := decode(r, &req); err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	if err := checkResolve(req); err != nil {
		return fail(http.StatusBadRequest, string(RequestInvalid), err.Error())
	}
	row, err := p.store.Find(r.Context(), r.PathValue("call_id"))
	if err != nil {
		return p.failed(err)
	}
	if answer, no := unresolvable(row); no {
		return answer
	}
	// Begun is finished, also if the person hangs up: a claim that stayed behind
	// would keep everybody else from the call for as long as its lease.
	ctx := context.WithoutCancel(r.Context())
	row, err = p.store.Claim(ctx, row.Seq, p.lease())
	if errors.Is(err, ledger.ErrClaimed) {
		if row, err = p.store.Find(ctx, r.PathValue("call_id")); err != nil {
			return p.failed(err)
		}
		if answer, no := unresolvable(row); no {
			return answer
		}
		return busy("somebody is just proving this call, and may be sending it again; ask once more in a moment", time.Second)
	}
	if err != nil {
		return p.failed(err)
	}
	answer, booked := p.resolveClaimed(ctx, row, req)
	if !booked {
		if err := p.store.Unclaim(ctx, row.Seq, backOff(row.Checks)); err != nil {
			p.log.Warn("a claim stays until its lease ends", "call_id", row.ID, "error", err)
		}
	}
	return answer
}

func checkResolve(req client.ResolveRequest) error {
	switch req.Outcome {
	case string(ledger.Settled):
		if req.AmountUSD == nil || *req.AmountUSD <= 0 {
			return errors.New("amount_usd is missing: what did the call cost, in dollars? If nothing, its outcome is released")
		}
	case string(ledger.Released):
		if req.AmountUSD != nil || req.ObjectID != "" {
			return errors.New("a released call had no effect, so amount_usd and object_id have no place in it")
		}
	default:
		return errors.New("outcome must be settled or released")
	}
	if len(req.ObjectID) > 255 || !printable(req.ObjectID) {
		return errors.New("object_id takes up to 255 printable ASCII characters")
	}
	return checkPerson(req.By, req.Reason)
}

// checkPerson wants a name and a reason of whoever changes by hand what the
// proxy would not change by itself.
func checkPerson(by, reason string) error {
	for _, text := range []struct {
		name, value, wanted string
		limit               int
	}{
		{"by", by, "who decides this?", maxWho},
		{"reason", reason, "on what grounds?", maxWhy},
	} {
		if strings.TrimSpace(text.value) == "" {
			return fmt.Errorf("%s is missing: %s", text.name, text.wanted)
		}
		if len(text.value) > text.limit || !utf8.ValidString(text.value) ||
			strings.IndexFunc(text.value, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			return fmt.Errorf("%s takes up to %d bytes of printable text, on one line", text.name, text.limit)
		}
	}
	return nil
}

// unresolvable tells why nobody may decide what became of the call.
func unresolvable(row ledger.Call) (reply, bool) {
	switch row.State {
	case ledger.Unknown, ledger.Committed:
		return reply{}, false
	case ledger.Dispatched:
		return busy("this call is in flight; its outcome will be known in a moment, or it will be unknown", time.Second), true
	default:
		return alreadyResolved(row), true
	}
}

func alreadyResolved(row ledger.Call) reply {
	return jsonReply(http.StatusConflict, map[string]any{
		"code":    "already_resolved",
		"message": fmt.Sprintf("this call is %s already (%s), and what is final stays", row.State, row.Reason),
		"call":    callView(row),
	})
}

// busy is a call that may be resolved later.
func busy(message string, wait time.Duration) reply {
	answer := fail(http.StatusConflict, "call_in_flight", message)
	answer.set("Retry-After", fmt.Sprint(int((wait+time.Second-1)/time.Second)))
	return answer
}

// resolveClaimed reports whether the call was moved, and so is claimed no longer.
func (p *Proxy) resolveClaimed(ctx context.Context, row ledger.Call, req client.ResolveRequest) (reply, bool) {
	res := ledger.Resolution{
		Seq: row.Seq, Seen: &row, Object: req.ObjectID,
		Audit: ledger.AuditRow{By: ledger.ByPerson, Who: req.By, Note: req.Reason},
	}
	switch {
	case req.Outcome == string(ledger.Settled):
		if row.Object != "" && req.ObjectID != "" && req.ObjectID != row.Object {
			return fail(http.StatusBadRequest, string(RequestInvalid),
				fmt.Sprintf("this call is booked on %s: leave object_id out, or look whether it is the right call", row.Object)), false
		}
		res.Outcome, res.Amount, res.Reason = ledger.OutcomeSettled, *req.AmountUSD, settledByPerson
	case row.State == ledger.Unknown:
		// What has not arrived yet was not there when the person looked.
		if wait, err := p.untilFenced(ctx, row); err != nil {
			return p.failed(err), false
		} else if wait > 0 {
			return busy(fmt.Sprintf("the last send of this call may still arrive at the vendor: look again in %s, then release it",
				wait.Round(time.Second)), wait), false
		}
		res.Outcome, res.Reason = ledger.OutcomeReleased, releasedByPerson
		if row.Object == "" {
			// It may be tried again then, as a new request in the vendor's eyes: under the
			// old key the vendor might repeat a failure that it keeps.
			res.Outcome = ledger.OutcomeNoEffect
		}
	default:
		res.Outcome, res.Reason = ledger.OutcomeReleased, releasedByPerson
	}
	now, moved, err := p.store.Resolve(ctx, res)
	switch {
	case errors.Is(err, ledger.ErrObjectTaken):
		return fail(http.StatusConflict, "object_taken", "another call is booked on this object: one object settles one call"), false
	case err != nil:
		return p.failed(err), false
	case !moved && now.State.Final():
		return alreadyResolved(now), true
	case !moved:
		return busy("the call moved while it was being resolved; look at it again", time.Second), false
	}
	p.metrics.booked(now, moved)
	p.log.Info("resolved", "call_id", now.ID, "run", now.Run, "item", now.Item, "by", ledger.ByPerson, "who", req.By,
		"verdict", now.State, "code", now.Reason, "object", now.Object, "amount_usd", now.Amount.String())
	return jsonReply(http.StatusOK, callView(now)), true
}
