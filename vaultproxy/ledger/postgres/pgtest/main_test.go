package pgtest

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the process that is killed, too.
func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		os.Exit(victim(os.Stdout))
	}
	goleak.VerifyTestMain(m)
}
