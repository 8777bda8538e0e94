package main

import (
	"fmt"
	"strings"

	"github.com/tollgate/tollgate/workflows"
)

// progressView shows a run while it goes on: as a bar that redraws itself on a
// terminal, and as a line now and then where standard error is a file.
type progressView interface {
	show(workflows.Progress)
	note(text string) // something the person watching should know
	end()
}

func (p *program) progressView(id string) progressView {
	if width := p.terminal(); width > 0 {
		return newProgressBar(p.stderr, width)
	}
	return &progressLines{out: p.stderr, id: id, now: p.now}
}

// spending is "$1,200.00 of $5,000.00".
func spending(progress workflows.Progress) string {
	return dollars(progress.SettledUSD) + " of " + dollars(progress.CapUSD)
}

// exceptions names what did not end as a charge: "41 declined, 3 failed".
func exceptions(progress workflows.Progress) string {
	var parts []string
	for _, part := range []struct {
		count int
		name  string
	}{
		{progress.Declined, "declined"},
		{progress.CapDenied, "cap denied"},
		{progress.NotAttempted, "not attempted"},
		{progress.Unknown, "unknown"},
		{progress.Failed, "failed"},
		{progress.Rejected, "rejected"},
	} {
		if part.count > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", count(part.count), part.name))
		}
	}
	return strings.Join(parts, ", ")
}
