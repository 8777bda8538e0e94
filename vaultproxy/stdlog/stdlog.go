// Package stdlog keeps Go's standard logger quiet. The programs log by slog, with
// names and values that are known to hold no secret. What still writes to the
// standard logger is net/http, and it repeats what a peer sent: of a vendor's answer
// that nobody had asked for, the first bytes.
package stdlog

import (
	"io"
	"log"
)

// Discard drops what is written to the standard logger from now on. Programs call
// it once, at their start; libraries never do.
func Discard() { log.SetOutput(io.Discard) }
