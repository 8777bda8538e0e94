package vaultproxy_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the proxy that is killed, too, and checks
// that one that was closed leaves nothing running.
func TestMain(m *testing.M) {
	if told := os.Getenv(victimEnv); told != "" {
		os.Exit(victimMain(told, os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}
