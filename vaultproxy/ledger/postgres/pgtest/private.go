package pgtest

import (
	"context"
	"maps"
	"os"
	"testing"
)

// Server is a PostgreSQL server of one test's own. Its methods are for one
// goroutine at a time.
type Server struct{ server *server }

// Private starts a server with PostgreSQL's own default settings, durable ones
// that is. It ends with the test. The installed programs are needed for it, even
// where a server runs already.
func Private(tb testing.TB) *Server {
	tb.Helper()
	return PrivateWith(tb, nil)
}

// PrivateWith is Private with settings of postgresql.conf by their names, as in
// {"max_connections": "20"}. Where the server listens is not among them.
func PrivateWith(tb testing.TB, settings map[string]string) *Server {
	tb.Helper()
	s, err := newServer(context.Background(), needPrograms(tb), maps.Clone(settings))
	if err != nil {
		giveUp(tb, err, true)
	}
	tb.Cleanup(func() {
		if err := s.close(); err != nil {
			tb.Error(err)
		}
	})
	return &Server{server: s}
}

// needPrograms returns the folder of PostgreSQL's programs.
func needPrograms(tb testing.TB) string {
	tb.Helper()
	programs, ok := findPrograms(programFolders())
	if !ok {
		giveUp(tb, &missingError{
			"run `apt-get install postgresql` (Debian), or put initdb and postgres on PATH; the test starts its own server",
		}, os.Getenv(requireAll) == "1")
	}
	return programs
}

// URL is the connection URL of an empty database, for a superuser. It stays the
// same through stops and starts.
func (s *Server) URL() string { return s.server.url().String() }

// Stop ends the server as an administrator would: connections are cut,
// transactions rolled back, and everything is written down. This is PostgreSQL's
// fast shutdown. It returns when the last of its processes has ended.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	if err := s.server.stop(fast); err != nil {
		tb.Fatal(err)
	}
}

// Crash ends the server as a crash would: at once, leaving it to the next start
// to recover what was committed from the write-ahead log. This is PostgreSQL's
// immediate shutdown. It returns when the last of its processes has ended.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	if err := s.server.stop(immediate); err != nil {
		tb.Fatal(err)
	}
}

// Start starts the server again after Stop or Crash, on the same data and port,
// and returns when it answers.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	if s.server.keeper != nil {
		tb.Fatal("PostgreSQL is running already")
	}
	if err := s.server.start(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

// Restart is Stop and then Start.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop(tb)
	s.Start(tb)
}
