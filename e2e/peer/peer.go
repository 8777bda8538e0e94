// Package peer finds the real servers that tests run against: the Temporal dev
// server and stripe-mock. `make test` builds them and names them in the
// environment; a plain `go test` uses what is on PATH or in .bin.
package peer

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// RequireAll is the environment variable that turns a missing peer from a
// skipped test into a failed one. CI sets it.
const RequireAll = "TOLLGATE_REQUIRE_ALL"

// Temporal returns the path of the Temporal CLI.
func Temporal(tb testing.TB) string {
	tb.Helper()
	return find(tb, "TOLLGATE_TEMPORAL", "temporal")
}

// StripeMock returns the path of stripe-mock.
func StripeMock(tb testing.TB) string {
	tb.Helper()
	return find(tb, "TOLLGATE_STRIPE_MOCK", "stripe-mock")
}

func find(tb testing.TB, variable, program string) string {
	tb.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if path := filepath.Join(Root(tb), ".bin", program); executable(path) {
		return path
	}
	reason := "no " + program + ": run `make test`, which builds it, or name it in " + variable
	if os.Getenv(RequireAll) == "1" {
		tb.Fatal(reason)
	}
	tb.Skip(reason)
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Root is the folder of the module that the running test belongs to.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}
