package sqlite_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// victimEnv names the ledger on which the test binary reserves until it is killed.
const victimEnv = "TOLLGATE_TEST_LEDGER_VICTIM"

func TestStore_KeepsEveryAcknowledgedReservationThroughKill9(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	self, err := os.Executable()
	require.NoError(t, err)
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), victimEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())

		acknowledged := map[string]ledger.State{}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 300 {
				require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
			}
			state, id, whole := strings.Cut(lines.Text(), " ")
			if whole { // the last line may have been cut short
				acknowledged[id] = ledger.State(state)
			}
		}
		require.Error(t, cmd.Wait())
		require.Greater(t, len(acknowledged), 50, "round %d", round)

		s := open(t, path, nil)
		for id, state := range acknowledged {
			c, err := s.Find(t.Context(), id)
			require.NoError(t, err, id)
			if state == ledger.Settled {
				require.Equal(t, ledger.Settled, c.State, id)
				continue
			}
			// Its settling may have become durable without being acknowledged.
			require.Contains(t, []ledger.State{ledger.Unknown, ledger.Settled}, c.State, id)
		}
		left, err := s.Calls(t.Context(), ledger.CallFilter{State: ledger.Dispatched})
		require.NoError(t, err)
		require.Empty(t, left)
		differences, err := s.Verify(t.Context())
		require.NoError(t, err)
		require.Empty(t, differences)
		require.NoError(t, s.Close())
	}
}

// victim reserves and settles as fast as it can, and says what was acknowledged.
func victim(path string, out io.Writer) int {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	limit := money.USD(1_000_000) * money.Dollar
	k, _, err := s.Issue(ctx, ledger.KeySpec{
		KeyID: "key_1", IssueID: "issue_1", Run: "run", Vendor: "stripe", Digest: "d", ExpiresIn: time.Hour,
		Terms: ledger.Terms{TotalCap: &limit},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var said sync.Mutex
	say := func(state ledger.State, id string) {
		said.Lock()
		defer said.Unlock()
		fmt.Fprintf(out, "%s %s\n", state, id)
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d/%d/%d", os.Getpid(), worker, n)
				got, err := s.Reserve(ctx, ledger.Reservation{
					CallID: id, IdempotencyKey: id, Digest: sha256.Sum256([]byte(id)), KeyID: k.ID, Vendor: "stripe", Price: money.Dollar,
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				say(ledger.Dispatched, id)
				if n%3 != 0 {
					continue
				}
				if _, _, err := s.Resolve(ctx, ledger.Resolution{
					Seq: got.Call.Seq, Outcome: ledger.OutcomeSettled, Amount: money.Dollar, Object: "ch_" + id,
				}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				say(ledger.Settled, id)
			}
		})
	}
	wg.Wait()
	return 1
}
