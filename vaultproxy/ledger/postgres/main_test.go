package postgres_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// checks is how many random histories are played. Each step of one waits for a
// disk; the rules themselves are played through more often on SQLite.
const checks = "30"

// TestMain checks that a store that was closed leaves nothing running.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", checks); err != nil { // before the command line, which may say otherwise
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
