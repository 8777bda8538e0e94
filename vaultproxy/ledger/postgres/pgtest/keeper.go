package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stopTime is how long a server may take to end once it was told to.
const stopTime = 3 * time.Minute

// shutdown is a way to end a server: the name of the signal for it.
type shutdown string

const (
	fast      shutdown = "INT"  // cuts connections, rolls back, writes everything down
	immediate shutdown = "QUIT" // writes nothing down, as in a crash
)

// keeperScript starts a server and waits at file 3 for the name of the signal
// to end it with. If that file closes before, the test binary has ended, and the
// folder goes as well. File 4 is for the server's processes to hold open, and
// for nobody else: the test binary sees it close when the last one has ended.
const keeperScript = `
folder=$1
shift
"$@" 3<&- &
server=$!
exec 4>&-
if read -r signal <&3; then
  kill -s "$signal" "$server"
  wait "$server"
else
  kill -s INT "$server"
  wait "$server"
  rm -rf "$folder"
fi
exit 0
`

// keeper is the process that a server runs under. It outlives the test binary
// for as long as it takes to stop the server.
type keeper struct {
	cmd     *exec.Cmd
	control *os.File // tells the keeper which signal to send
	alive   *os.File // closes when the server has ended
}

// keeping is what a keeper keeps.
type keeping struct {
	folder     string   // to be removed when the test binary has ended
	args       []string // the server's command line
	env        []string
	log        *os.File // for what the server says
	attributes *syscall.SysProcAttr
}

// keep starts a server under a keeper.
func keep(k keeping) (*keeper, error) {
	orders, control, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer orders.Close()
	alive, life, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	defer life.Close()
	// No context ends it: the server has to be stopped in order.
	cmd := exec.CommandContext(context.Background(), "/bin/sh",
		append([]string{"-c", keeperScript, "keeper", k.folder}, k.args...)...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = k.folder, k.env, k.attributes
	// Never the test binary's own output: go test waits until that is closed.
	cmd.Stdout, cmd.Stderr = k.log, k.log
	cmd.ExtraFiles = []*os.File{orders, life} // 3 and 4
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, control.Close(), alive.Close())
	}
	return &keeper{cmd: cmd, control: control, alive: alive}, nil
}

// ended waits for the server to end, and returns false if it has not within the
// time given.
func (k *keeper) ended(within time.Duration) (bool, error) {
	if err := k.alive.SetReadDeadline(time.Now().Add(within)); err != nil {
		return false, err
	}
	_, err := k.alive.Read(make([]byte, 1))
	switch {
	case errors.Is(err, io.EOF):
		return true, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	}
	return false, err
}

// stop has the keeper end the server, and waits until both have ended.
func (k *keeper) stop(how shutdown) error {
	defer k.alive.Close()
	_, err := fmt.Fprintln(k.control, how)
	if err := errors.Join(err, k.control.Close()); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	ended, err := k.ended(stopTime)
	if err != nil {
		return err
	}
	if !ended {
		return fmt.Errorf("PostgreSQL did not end within %v of SIG%s", stopTime, how)
	}
	return k.cmd.Wait()
}
