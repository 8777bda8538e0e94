package sqlstore

import (
	"slices"
	"sync"
)

// queue is who waits for room in which budget: first come, first served. Waiting
// costs the database nothing. Whoever is at the head of a line is told when calls
// in flight have ended on that budget, tries again in the next commit, and makes
// way for the next one when it leaves.
type queue struct {
	mu    sync.Mutex
	lines map[BudgetID][]*ticket
}

// ticket is one who waits, in one line at a time.
type ticket struct {
	turn chan struct{}
	line *BudgetID // guarded by the queue's mutex
}

func newTicket() *ticket { return &ticket{turn: make(chan struct{}, 1)} }

// ahead reports whether somebody came before the ticket; nil has just come.
func (q *queue) ahead(id BudgetID, t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.lines[id]
	return len(line) > 0 && line[0] != t
}

// join puts the ticket at the end of a line, unless it is in it.
func (q *queue) join(id BudgetID, t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.line != nil && *t.line == id {
		return
	}
	q.drop(t)
	if q.lines == nil {
		q.lines = map[BudgetID][]*ticket{}
	}
	q.lines[id] = append(q.lines[id], t)
	t.line = &id
}

// leave takes the ticket out of its line.
func (q *queue) leave(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop(t)
}

// drop removes the ticket. If it was the head, it is the next one's turn: there
// may be room for that one too, or none for ever.
func (q *queue) drop(t *ticket) {
	if t.line == nil {
		return
	}
	id := *t.line
	t.line = nil
	line := q.lines[id]
	at := slices.Index(line, t)
	line = slices.Delete(line, at, at+1)
	if len(line) == 0 {
		delete(q.lines, id)
		return
	}
	q.lines[id] = line
	if at == 0 {
		line[0].call()
	}
}

// wake tells the head of a line to try again.
func (q *queue) wake(id BudgetID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if line := q.lines[id]; len(line) > 0 {
		line[0].call()
	}
}

// wakeAll tells every head.
func (q *queue) wakeAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range q.lines {
		line[0].call()
	}
}

// waiting is how many wait.
func (q *queue) waiting() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range q.lines {
		n += len(line)
	}
	return n
}

func (t *ticket) call() {
	select {
	case t.turn <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}
