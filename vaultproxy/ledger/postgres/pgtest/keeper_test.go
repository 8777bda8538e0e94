package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// victimEnv has the test binary start a server and wait to be killed.
const victimEnv = "TOLLGATE_TEST_POSTGRES_VICTIM"

func TestKeeper_StopsTheServerAndRemovesItsFolderWhenTheTestBinaryIsKilled(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), victimEnv+"=1")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	address, folder, ok := strings.Cut(strings.TrimSpace(said), " ")
	require.True(t, ok, said)
	server, err := url.Parse(address)
	require.NoError(t, err)
	require.NoError(t, serves(t.Context(), server))
	require.DirExists(t, folder)

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(folder)
		return os.IsNotExist(err)
	}, stopTime, 20*time.Millisecond, "the folder is still there")
	require.Error(t, serves(t.Context(), server))
}

// victim starts a server as the shared one is started, and never stops it.
func victim(out io.Writer) int {
	found, err := search{programs: programFolders()}.find(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(out, found.url, found.started.folder)
	_, _ = found.started.keeper.ended(time.Hour)
	return 1
}
