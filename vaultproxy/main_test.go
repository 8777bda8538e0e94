package vaultproxy_test

import (
	"os"
	"testing"
)

// TestMain lets the test binary be the proxy that is killed, too.
func TestMain(m *testing.M) {
	if told := os.Getenv(victimEnv); told != "" {
		os.Exit(victimMain(told, os.Stdin, os.Stdout, os.Stderr))
	}
	m.Run()
}
