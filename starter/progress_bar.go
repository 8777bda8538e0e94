package main

import (
	"fmt"
	"io"

	"github.com/schollz/progressbar/v3"

	"github.com/tollgate/tollgate/workflows"
)

const (
	// roomForBar is what the line needs beside its text for a bar that still
	// shows something: percentage, bar, count and time.
	roomForBar = 52
	barWidth   = 40
)

// progressBar draws one line that redraws itself.
type progressBar struct {
	out   io.Writer
	width int
	bar   *progressbar.ProgressBar // nil until the number of customers is known
}

func newProgressBar(out io.Writer, width int) *progressBar {
	return &progressBar{out: out, width: width}
}

func (b *progressBar) show(progress workflows.Progress) {
	if progress.Customers == 0 {
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions(progress.Customers,
			progressbar.OptionSetWriter(b.out),
			progressbar.OptionSetWidth(barWidth),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionShowElapsedTimeOnFinish(),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
		)
	}
	b.bar.Describe(b.text(progress))
	_ = b.bar.Set(progress.Done())
}

// text leaves away what a narrow terminal has no room for.
func (b *progressBar) text(progress workflows.Progress) string {
	// Padded to its widest, so that the bar does not jump as the amount grows.
	limit := dollars(progress.CapUSD)
	text := fmt.Sprintf("%-8s %*s of %s", progress.State, len(limit), dollars(progress.SettledUSD), limit)
	if more := exceptions(progress); more != "" && len(text)+2+len(more)+roomForBar <= b.width {
		text += ", " + more
	}
	return text
}

func (b *progressBar) note(text string) {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
	_, _ = fmt.Fprintln(b.out, text)
}

func (b *progressBar) end() {
	if b.bar != nil {
		_, _ = fmt.Fprintln(b.out)
	}
}
