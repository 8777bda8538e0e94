package peer

import (
	"io"
	"log/slog"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
)

// DevServer starts a Temporal server in memory for one test, and returns a
// client of it and its address.
func DevServer(tb testing.TB) (client.Client, string) {
	tb.Helper()
	server, err := testsuite.StartDevServer(tb.Context(), testsuite.DevServerOptions{
		ExistingPath:  Temporal(tb),
		ClientOptions: &client.Options{Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))},
		LogLevel:      "never",
		Stdout:        io.Discard,
		Stderr:        io.Discard,
	})
	if err != nil {
		tb.Fatalf("start a Temporal dev server: %v", err)
	}
	tb.Cleanup(func() {
		server.Client().Close()
		_ = server.Stop()
	})
	return server.Client(), server.FrontendHostPort()
}
