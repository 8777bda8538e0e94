// Package gogc sets how much memory the programs trade for fewer garbage
// collections.
package gogc

import (
	"os"
	"runtime/debug"
)

// Percent is how much the heap may grow between two collections, in percent of
// what was alive after the last one. What a ledger keeps alive is a few MiB while
// it allocates hundreds a second: at Go's default of 100 the collector takes a
// tenth of the reservations that a machine could make durable.
const Percent = 400

// Relax sets it, unless GOGC or GOMEMLIMIT in the environment says otherwise. Programs call it
// once, at their start; libraries never do.
func Relax() {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := os.LookupEnv(name); set {
			return
		}
	}
	debug.SetGCPercent(Percent)
}
