package main

import (
	"context"
	"errors"
	"strings"
)

// Exit codes; the package comment explains them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitDuplicate   = 3
	exitAttention   = 4
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// exit is an error that knows its exit code. An empty text prints nothing:
// what there was to say has been said in the result.
type exit struct {
	code int
	text string
}

func (e *exit) Error() string { return e.text }

func usage(text string) error { return &exit{code: exitUsage, text: text} }

// exitCode tells the code and the line to print for an error.
func exitCode(err error) (code int, line string) {
	var known *exit
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &known):
		return known.code, oneLine(known.text)
	case errors.Is(err, context.Canceled):
		return exitInterrupted, "interrupted"
	default:
		return exitError, oneLine(err.Error())
	}
}

// oneLine keeps an error of several lines, as file parsers write them, from
// looking like several errors.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
