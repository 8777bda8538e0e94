package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/e2e/demo"
	"github.com/tollgate/tollgate/e2e/peer"
)

// demoCommand is the demo as `make demo` runs it.
func demoCommand(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	bin, err := programs()
	require.NoError(t, err)
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "demo"), append([]string{"--bin", bin}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.Env = append(os.Environ(), "TOLLGATE_TEMPORAL="+peer.Temporal(t), "TMPDIR="+t.TempDir())
	return cmd, &out, &problems
}

func TestDemoCommand_ExitsNonZeroBehindALedgerThatChecksAndThenActs(t *testing.T) {
	bin, err := programs()
	require.NoError(t, err)
	cmd, out, problems := demoCommand(t, "--customers", "600", "--proxy", filepath.Join(bin, "proxy-check-then-act"))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Run(), &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, problems.String(), "above the cap")

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last demo.Result
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last), "the last line is the result, also of a failed run")
	require.Positive(t, last.OverspendUSD)
}

func TestDemoCommand_StopsEverythingOnCtrlC(t *testing.T) {
	cmd, out, problems := demoCommand(t, "--customers", "3000")
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	folder := waitForRun(t, cmd.Env)
	if runtime.GOOS == "linux" {
		require.NotEmpty(t, processesIn(folder), "it runs servers of its own")
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	var exit *exec.ExitError
	require.ErrorAs(t, <-ended, &exit)
	require.Equal(t, 130, exit.ExitCode())
	require.Contains(t, problems.String(), "interrupted")
	require.NotContains(t, out.String(), `"customers":`)
	require.Empty(t, processesIn(folder), "no process of the demo is left")
}

// processesIn lists the processes that work in a folder, as all that the demo
// starts do. Where there is no /proc it finds nothing.
func processesIn(folder string) []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && strings.TrimSuffix(at, " (deleted)") == folder {
			found = append(found, link)
		}
	}
	return found
}

// waitForRun waits until the demo has started its worker, last of its servers, and
// returns the demo's folder.
func waitForRun(t *testing.T, env []string) string {
	t.Helper()
	temporary, _ := strings.CutPrefix(env[len(env)-1], "TMPDIR=")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := filepath.Glob(filepath.Join(temporary, "tollgate-demo-*", "worker.log"))
		require.NoError(t, err)
		if len(found) == 1 {
			return filepath.Dir(found[0])
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			require.Fail(t, "the demo did not come so far")
		}
	}
}
