package stack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTime is how long a process may take to end after SIGTERM.
const stopTime = 45 * time.Second

// Process is one child.
type Process struct {
	name   string
	cmd    *exec.Cmd
	log    *os.File
	stdout *lines
	done   chan struct{} // closed once it has ended
}

// ownGroup keeps a Ctrl-C on the terminal from reaching the children: they are
// stopped in order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func launch(name string, cmd *exec.Cmd, log *os.File) (*Process, error) {
	p := &Process{name: name, cmd: cmd, log: log, stdout: newLines(log), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.stdout, log
	if err := cmd.Start(); err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process's ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// PeakMemory is the most memory that the process has had resident, in bytes,
// where the system tells.
func (p *Process) PeakMemory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	if !ok {
		return 0, fmt.Errorf("the system does not tell the peak memory of %s", p.name)
	}
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0, err
	}
	return kib << 10, nil
}

// line waits for a line of the standard output that begins with prefix, and
// returns what follows.
func (p *Process) line(ctx context.Context, prefix string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		found, changed := p.stdout.find(prefix)
		if found != nil {
			return *found, nil
		}
		select {
		case <-changed:
		case <-p.done:
			if found, _ := p.stdout.find(prefix); found != nil {
				return *found, nil
			}
			return "", p.failed("ended at once")
		case <-ctx.Done():
			return "", p.failed("did not get ready in time")
		}
	}
}

// until polls a condition while the process lives.
func (p *Process) until(ctx context.Context, what string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := ready(ctx); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return p.failed("ended at once")
		case <-ctx.Done():
			return p.failed("did not come so far in time that " + what)
		}
	}
}

// ended reports whether the process is gone.
func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// failed tells what went wrong with the last thing that the process said.
func (p *Process) failed(how string) error {
	raw, _ := os.ReadFile(p.log.Name())
	said := strings.TrimSpace(string(raw))
	if at := strings.LastIndexByte(said, '\n'); at >= 0 {
		said = said[at+1:]
	}
	if len(said) > 500 {
		said = said[:500] + "…"
	}
	return fmt.Errorf("%s %s (its log is %s): %s", p.name, how, p.log.Name(), said)
}

func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.name, err)
	}
	return nil
}

// stop asks the process to end, and kills it if it does not.
func (p *Process) stop() {
	_ = p.signal(syscall.SIGTERM)
	_ = p.signal(syscall.SIGCONT) // one that is held hears of nothing else
	select {
	case <-p.done:
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	_ = p.log.Close()
}

// kill ends the process without a warning.
func (p *Process) kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	_ = p.log.Close()
	return err
}

// lines copies a process's output to its log and lets others look for a line in it.
type lines struct {
	mu      sync.Mutex
	w       io.Writer
	text    bytes.Buffer
	changed chan struct{}
}

// maxKept bounds what is searched; what is looked for comes early.
const maxKept = 64 << 10

func newLines(w io.Writer) *lines { return &lines{w: w, changed: make(chan struct{})} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() < maxKept {
		l.text.Write(b)
		close(l.changed)
		l.changed = make(chan struct{})
	}
	return l.w.Write(b)
}

func (l *lines) find(prefix string) (*string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if rest, ok := strings.CutPrefix(line, prefix); ok && strings.HasSuffix(rest, "\n") {
			rest = strings.TrimSpace(rest)
			return &rest, l.changed
		}
	}
	return nil, l.changed
}
