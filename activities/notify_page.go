package activities

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/tollgate/tollgate/activities/customerlist"
)

const (
	// noticeAttempt bounds one call: as long as the proxy waits for room in a budget,
	// for the vendor, and for its own commits.
	noticeAttempt = time.Minute
	// noticeBeat is how often a page tells that it lives, and where it is.
	noticeBeat = time.Second

	firstNoticePause = 200 * time.Millisecond
	maxNoticePause   = 5 * time.Second
)

// notify works a page off. It resumes from the letters of an earlier attempt's
// last heartbeat; what that did after it is answered from the ledger.
func (a *Activities) notify(ctx context.Context, in NoticePage, phase string, send sendNotice) (NoticeResult, error) {
	if err := in.check(); err != nil {
		return NoticeResult{}, err
	}
	contacts, err := a.lists.Contacts(ctx, in.Customers, in.Pinned, in.From, in.To)
	if err != nil {
		return NoticeResult{}, listError(err)
	}
	p := &noticePage{
		in: in, send: send, contacts: contacts, log: a.log, stopping: activity.GetWorkerStopChannel(ctx),
		outcomes: bytes.Repeat([]byte{NoticeNotTried}, len(contacts)),
	}
	p.resume(ctx)
	stopBeat := p.beat(ctx)
	defer stopBeat()
	charged, err := a.chargedItems(ctx, in)
	if err != nil {
		return NoticeResult{}, err
	}
	for i, is := range charged {
		if letter := undue(is, addressFor(phase, contacts[i])); letter != NoticeNotTried {
			p.outcomes[i] = letter
		}
	}
	var lanes sync.WaitGroup
	for range min(in.Concurrency, len(contacts)) {
		lanes.Go(func() { p.lane(ctx) })
	}
	lanes.Wait()
	return p.result(ctx)
}

// chargedItems reads from the ledger who was charged: a receipt for anything else
// would be wrong.
func (a *Activities) chargedItems(ctx context.Context, in NoticePage) ([]bool, error) {
	charged := make([]bool, in.To-in.From)
	err := a.fromLedgerOf(ctx, in.ChargeKeyID, func() error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(in.Concurrency)
		for i := range charged {
			group.Go(func() error {
				calls, err := a.attempts(ctx, in.RunLabel, in.RootWorkflowID, in.From+i)
				charged[i] = err == nil && itemOutcome(i, calls).State == LedgerCharged
				return err
			})
		}
		return group.Wait()
	})
	return charged, err
}

// noticePage is a page while it is worked off.
type noticePage struct {
	in       NoticePage
	send     sendNotice
	contacts []customerlist.Contact
	log      *slog.Logger
	stopping <-chan struct{} // of the worker

	mu       sync.Mutex
	outcomes []byte
	next     int
	stop     string
	failure  error // the proxy is away: the page is tried again as a whole
}

// resume takes over what an earlier attempt told of itself.
func (p *noticePage) resume(ctx context.Context) {
	var letters string
	if !activity.HasHeartbeatDetails(ctx) || activity.GetHeartbeatDetails(ctx, &letters) != nil || len(letters) != len(p.outcomes) {
		return
	}
	for i := range letters {
		if letters[i] == NoticeSent || letters[i] == NoticeFailed {
			p.outcomes[i] = letters[i]
		}
	}
}

// beat tells the server now and then where the page is, which is also how a
// cancellation comes to be known. It returns what ends it.
func (p *noticePage) beat(ctx context.Context) func() {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(noticeBeat)
		defer tick.Stop()
		for {
			activity.RecordHeartbeat(ctx, p.letters())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		ended.Wait()
		activity.RecordHeartbeat(ctx, p.letters())
	}
}

func (p *noticePage) letters() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.outcomes)
}

func (p *noticePage) lane(ctx context.Context) {
	for {
		at, ok := p.take(ctx)
		if !ok {
			return
		}
		p.deliver(ctx, at)
	}
}

// take hands out the next item that has no outcome yet.
func (p *noticePage) take(ctx context.Context) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ; p.next < len(p.outcomes); p.next++ {
		if p.ended(ctx) {
			return 0, false
		}
		if p.outcomes[p.next] == NoticeNotTried {
			p.next++
			return p.next - 1, true
		}
	}
	return 0, false
}

func (p *noticePage) ended(ctx context.Context) bool {
	select {
	case <-p.stopping:
		return true
	default:
		return p.stop != "" || p.failure != nil || ctx.Err() != nil
	}
}

// deliver sends one notice, trying again as long as that makes sense. A call that
// was begun ends one way or the other, also where the page is cancelled.
func (p *noticePage) deliver(ctx context.Context, at int) {
	item := p.in.From + at
	patience, cancel := context.WithTimeout(ctx, p.in.Patience)
	defer cancel()
	pause, reached := firstNoticePause, false
	for attempt := 1; ; attempt++ {
		call, endCall := context.WithTimeout(context.WithoutCancel(ctx), noticeAttempt)
		err := p.send(call, item, p.contacts[at])
		endCall()
		kind, retryAfter := fault(err)
		if err != nil {
			p.log.DebugContext(ctx, "notice refused", slog.Int("item", item), slog.String("type", kind))
		}
		verdict := judgeNotice(kind)
		if attempt < verdict.again && p.wait(patience, max(pause, retryAfter)) {
			pause, reached = min(2*pause, maxNoticePause), reached || verdict.reached
			continue
		}
		if reached && verdict.outcome != NoticeSent {
			verdict.outcome = NoticeInDoubt
		}
		p.settle(at, verdict, err)
		return
	}
}

// wait reports whether there is time for another attempt afterwards.
func (p *noticePage) wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
	case <-p.stopping:
	}
	return false
}

func (p *noticePage) settle(at int, verdict noticeVerdict, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes[at] = verdict.outcome
	if p.stop == "" {
		p.stop = verdict.stop
	}
	if verdict.away && p.failure == nil {
		p.failure = err
	}
}

// result tells a page that is over from one that has to be gone on with.
func (p *noticePage) result(ctx context.Context) (NoticeResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := bytes.IndexByte(p.outcomes, NoticeNotTried) >= 0
	switch {
	case p.stop != "":
	case temporal.IsCanceledError(context.Cause(ctx)): // by the server; a worker that stops has another cause
		p.stop = StopCanceled
	case p.failure != nil:
		return NoticeResult{}, p.failure
	case open || ctx.Err() != nil:
		return NoticeResult{}, rule{errorType: TypeWorkerStopping, retry: true, text: "the worker stopped before the page was done"}.applicationError("", 0)
	}
	if activity.GetInfo(ctx).Attempt > 1 {
		// An earlier attempt may have sent what it could no longer tell of.
		p.outcomes = bytes.ReplaceAll(p.outcomes, []byte{NoticeNotTried}, []byte{NoticeInDoubt})
	}
	return NoticeResult{Outcomes: string(p.outcomes), Stop: p.stop}, nil
}

// fault is the type of a bare application error, and the pause that it asks for.
func fault(err error) (kind string, retryAfter time.Duration) {
	var refused *temporal.ApplicationError
	if errors.As(err, &refused) {
		return refused.Type(), refused.NextRetryDelay()
	}
	if err != nil {
		return TypeUnexpected, 0
	}
	return "", 0
}
