package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTime is how long a server may take until it answers: after a crash, and
// on a busy machine, it has a log to play first.
const startTime = 3 * time.Minute

// server is a PostgreSQL server with a folder of its own.
type server struct {
	programs string // the folder of PostgreSQL's programs
	folder   string // data, socket and log
	as       *syscall.Credential
	settings map[string]string
	port     int
	keeper   *keeper // nil while the server is stopped
}

// newServer makes a server and starts it.
func newServer(ctx context.Context, programs string, settings map[string]string) (*server, error) {
	as, err := account()
	if err != nil {
		return nil, err
	}
	s := &server{programs: programs, as: as, settings: settings}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *server) create(ctx context.Context) error {
	parent := ""
	if s.as != nil {
		parent = "/tmp" // where root keeps temporary files may be closed to others
	}
	var err error
	if s.folder, err = os.MkdirTemp(parent, "tollgate-postgres-"); err != nil {
		return err
	}
	if s.as != nil {
		if err := os.Chown(s.folder, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return err
		}
	}
	// What is not synced here is lost with the machine only, and then so is the test.
	cmd := exec.CommandContext(ctx, filepath.Join(s.programs, "initdb"), "--pgdata", s.data(), "--username=postgres",
		"--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.folder, environ(), s.attributes()
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Path, err, tail(said))
	}
	for range 3 {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.start(ctx); err == nil || free(s.port) {
			return err
		}
		// Somebody else was faster at this port.
	}
	return err
}

// start starts the server on its data and its port, and waits until it answers.
func (s *server) start(ctx context.Context) error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{filepath.Join(s.programs, "postgres"), "-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(s.settings)) {
		args = append(args, "-c", name+"="+s.settings[name])
	}
	args = append(args, "-c", "listen_addresses=127.0.0.1", "-c", "port="+strconv.Itoa(s.port),
		"-c", "unix_socket_directories="+s.folder)
	if s.keeper, err = keep(keeping{
		folder: s.folder, args: args, env: environ(), log: log, attributes: s.attributes(),
	}); err != nil {
		return err
	}
	if err := s.answers(ctx); err != nil {
		said, _ := os.ReadFile(s.log())
		err = fmt.Errorf("start PostgreSQL: %w: %s", err, tail(said))
		return errors.Join(err, s.stop(fast))
	}
	return nil
}

// answers waits for the server to let somebody in. It asks at the socket in the
// server's folder: at the port there could be another server.
func (s *server) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	socket := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/postgres",
		RawQuery: url.Values{"host": {s.folder}, "port": {strconv.Itoa(s.port)}}.Encode(),
	}
	for {
		conn, err := pgx.Connect(ctx, socket.String())
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("it does not answer: %w", err)
		}
		ended, err := s.keeper.ended(50 * time.Millisecond)
		if err != nil {
			return err
		}
		if ended {
			return errors.New("it ended at once")
		}
	}
}

// stop ends the server and waits until it has.
func (s *server) stop(how shutdown) error {
	k := s.keeper
	s.keeper = nil
	if k == nil {
		return errors.New("PostgreSQL is not running")
	}
	return k.stop(how)
}

// close stops the server if it runs, and removes its folder.
func (s *server) close() error {
	var err error
	if s.keeper != nil {
		err = s.stop(fast)
	}
	if s.folder == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

func (s *server) url() *url.URL {
	return serverURL("postgres", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
}

func (s *server) data() string { return filepath.Join(s.folder, "data") }

func (s *server) log() string { return filepath.Join(s.folder, "log") }

// attributes keep a Ctrl-C on the terminal from the server: its keeper stops it.
func (s *server) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: s.as}
}

// environ leaves out the variables by which PostgreSQL's programs would take
// another port or folder than they were told. On macOS it does not start without
// a locale.
func environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
}

// freePort returns a port of 127.0.0.1 that nobody listens on. It is below the
// ports that systems give to outgoing connections: a client that tries again and
// again to reach a server that is down would at some time be given the server's
// own port, reach itself, and keep the server from it.
func freePort() (int, error) {
	const first, count, tries = 20_000, 10_000, 100
	for range tries {
		n, err := rand.Int(rand.Reader, big.NewInt(count))
		if err != nil {
			return 0, err
		}
		if port := first + int(n.Int64()); free(port) {
			return port, nil
		}
	}
	return 0, errors.New("no free port for PostgreSQL")
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// tail is the end of what a program said, on one line.
func tail(said []byte) string {
	const most = 500
	said = said[max(0, len(said)-most):]
	return strings.Join(strings.FieldsFunc(string(said), func(r rune) bool { return r == '\n' }), "; ")
}
