package sqlstore

import (
	"sync"
	"time"
)

// inbox is where operations wait for the next commit. Its reader sleeps until as
// many are there as it wants, rather than being woken by each.
type inbox struct {
	mu     sync.Mutex
	queued []*request
	want   int // wakes a reader; at least one
	closed bool
	ready  chan struct{} // there is reason to look
}

func newInbox() *inbox { return &inbox{want: 1, ready: make(chan struct{}, 1)} }

// put queues an operation; false once the inbox is closed. Whatever was queued
// before that is still taken.
func (in *inbox) put(o *request) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.queued = append(in.queued, o)
	if len(in.queued) >= in.want {
		in.call()
	}
	return true
}

func (in *inbox) call() {
	select {
	case in.ready <- struct{}{}:
	default: // a reader has been called and has not looked yet
	}
}

// take waits for the first operation, and until then or for as long as patience
// lasts also for so many of them; it returns at most limit. None are left for
// good once it returns none.
func (in *inbox) take(into []*request, wanted, limit int, patience time.Duration) []*request {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.queued) < wanted && !in.closed {
		in.await(wanted, patience)
	}
	for len(in.queued) == 0 && !in.closed {
		in.mu.Unlock()
		<-in.ready
		in.mu.Lock()
	}
	n := min(len(in.queued), limit)
	into = append(into, in.queued[:n]...)
	rest := copy(in.queued, in.queued[n:])
	clear(in.queued[rest:])
	in.queued = in.queued[:rest]
	if rest > 0 || in.closed {
		in.call() // there may be another reader
	}
	return into
}

// await lets the inbox fill up.
func (in *inbox) await(wanted int, patience time.Duration) {
	if wanted <= 1 {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	in.want = wanted
	defer func() { in.want = 1 }()
	for len(in.queued) < wanted && !in.closed {
		in.mu.Unlock()
		select {
		case <-in.ready:
			in.mu.Lock()
		case <-timer.C:
			in.mu.Lock()
			return
		}
	}
}

// close lets nothing more in.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.call()
}

// len is how many wait.
func (in *inbox) len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.queued)
}
