package main

import (
	"fmt"
	"io"
	"time"

	"github.com/tollgate/tollgate/workflows"
)

// lineEvery is the longest silence while a run makes progress.
const lineEvery = 10 * time.Second

// progressLines writes a line when the run enters another state, at each tenth
// of its customers, and every 10 seconds in between if anything moved.
type progressLines struct {
	out io.Writer
	id  string
	now func() time.Time

	last     workflows.Progress
	lastTime time.Time
}

func (l *progressLines) show(progress workflows.Progress) {
	if !l.due(progress) {
		return
	}
	l.last, l.lastTime = progress, l.now()
	line := fmt.Sprintf("%s: %s", l.id, progress.State)
	if progress.Customers > 0 {
		line += fmt.Sprintf(" %d%%, %s of %s customers, %s", percent(progress), count(progress.Done()), count(progress.Customers), spending(progress))
	}
	if more := exceptions(progress); more != "" {
		line += ", " + more
	}
	_, _ = fmt.Fprintln(l.out, line)
}

func (l *progressLines) due(progress workflows.Progress) bool {
	if l.lastTime.IsZero() || progress.State != l.last.State {
		return true
	}
	if percent(progress)/10 != percent(l.last)/10 {
		return true
	}
	return progress.Done() != l.last.Done() && l.now().Sub(l.lastTime) >= lineEvery
}

func (l *progressLines) note(text string) {
	_, _ = fmt.Fprintf(l.out, "%s: %s\n", l.id, text)
}

func (l *progressLines) end() {}

func percent(progress workflows.Progress) int {
	if progress.Customers == 0 {
		return 0
	}
	return progress.Done() * 100 / progress.Customers
}
