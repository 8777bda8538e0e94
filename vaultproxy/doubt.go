package vaultproxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// quarantine is how long the reconciler leaves a call alone whose row or request
// it cannot read: the call keeps its hold, and others are not kept waiting by it.
const quarantine = 24 * time.Hour

// unreadable remembers what the log has been told of already.
type unreadable struct {
	mu    sync.Mutex
	calls map[int64]struct{}
}

// first reports whether the call was not met before.
func (u *unreadable) first(seq int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.calls[seq]; known {
		return false
	}
	if u.calls == nil {
		u.calls = map[int64]struct{}{}
	}
	u.calls[seq] = struct{}{}
	return true
}

// setAside quarantines a claimed call: nothing that is known of it proves anything.
func (p *Proxy) setAside(ctx context.Context, row ledger.Call, reason error) error {
	if p.unreadable.first(row.Seq) {
		p.log.Error("call cannot be proved", "call_id", row.ID, "run", row.Run, "error", reason)
	}
	return p.store.Unclaim(ctx, row.Seq, quarantine)
}

// storedRequest opens what was sent, if the row can be trusted at all.
func (p *Proxy) storedRequest(row ledger.Call) (vendors.Wire, error) {
	if row.Damaged != "" {
		return vendors.Wire{}, errors.New("the ledger's row of this call is damaged: " + row.Damaged)
	}
	return p.seal.openWire(row.ID, row.Request)
}

// openView adds to a call that is not final why it is not, and where a person
// finds out. Lists come without requests: those of calls in doubt are read here.
func (p *Proxy) openView(ctx context.Context, c ledger.Call, now time.Time) (client.Call, error) {
	view := callView(c)
	if c.State != ledger.Unknown && c.State != ledger.Committed {
		return view, nil
	}
	view.NextCheckAt = timeView(c.NextCheckAt)
	u := p.upstreams[c.Vendor]
	switch {
	case u == nil:
		view.OpenBecause = "this proxy has no profile of its vendor, so it cannot be looked up"
		return view, nil
	case c.State == ledger.Committed:
		view.OpenBecause = "its effect is certain, and its final amount is not yet"
	default:
		because, err := p.whyUnknown(ctx, c, now)
		if err != nil {
			return view, err
		}
		view.OpenBecause = because
	}
	if v, ok := u.vendor.(vendors.Checker); ok {
		s := sentOf(c, vendors.Wire{})
		if s.FirstSentAt.IsZero() {
			s.FirstSentAt = c.CreatedAt
		}
		view.Check = v.Check(s, c.Object)
	}
	return view, nil
}

func (p *Proxy) whyUnknown(ctx context.Context, c ledger.Call, now time.Time) (string, error) {
	full, err := p.store.Find(ctx, c.ID)
	if errors.Is(err, ledger.ErrNotFound) || (err == nil && full.State != ledger.Unknown) {
		return "its outcome has just been found out", nil
	}
	if err != nil {
		return "", err
	}
	if _, damage := p.storedRequest(full); damage != nil {
		return damage.Error(), nil //nolint:nilerr // that is the reason which was asked for
	}
	switch {
	case now.Sub(full.LastSentAt) < p.fence():
		return fmt.Sprintf("its last send may still arrive at the vendor, until %s", full.LastSentAt.Add(p.fence()).Format(time.RFC3339)), nil
	case full.Checks == 0:
		return "nobody has looked it up yet", nil
	case now.Sub(full.FirstSentAt) >= resendWindow:
		return "the look-ups have not shown what became of it, and it is too old to be sent again", nil
	}
	return "the look-ups have not shown yet what became of it", nil
}
