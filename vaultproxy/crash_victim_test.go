package vaultproxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// victimEnv makes the test binary a vault proxy that waits to be killed, and
// tells it its orders.
const victimEnv = "TOLLGATE_TEST_PROXY_VICTIM"

// orders are what a victim is told.
type orders struct {
	Backend string
	Ledger  string        // where it is
	Vendor  string        // its URL
	Ahead   time.Duration // of the test's clock before wall time
	Death   death
}

// death is the step of the ledger at which a victim kills itself; empty: it
// waits to be killed.
type death string

const (
	beforeReserve = death("before the reservation of the last item")
	afterReserve  = death("after the commit of that reservation")
	beforeSettle  = death("before the last item is settled")
	afterSettle   = death("after the commit of that settlement")
	beforeProof   = death("before the first proof is booked")
	afterProof    = death("after the commit of that proof")
	beforeIssue   = death("before the second key is issued")
	afterIssue    = death("after the commit of that issue")
	beforeRevoke  = death("before a key is revoked")
	afterRevoke   = death("after the commit of that revocation")
	beforeClose   = death("before a run is closed")
	afterClose    = death("after the commit of that closing")
)

const (
	lastItem    = "last"   // the item during which a victim dies
	secondPhase = "second" // of the key during whose issue a victim dies
)

// struckStore is a store with which something happens at one step.
type struckStore struct {
	ledger.Store
	death  death
	strike func()
}

func (s *struckStore) at(step death, reached bool) {
	if s.death == step && reached {
		s.strike()
	}
}

// killSelf ends the process as kill -9 does: nothing is flushed, closed or said.
func killSelf() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // the signal may take another thread first
}

func (s *struckStore) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	s.at(beforeReserve, r.Item == lastItem)
	out, err := s.Store.Reserve(ctx, r)
	s.at(afterReserve, r.Item == lastItem && err == nil)
	return out, err
}

func (s *struckStore) Resolve(ctx context.Context, r ledger.Resolution) (ledger.Call, bool, error) {
	settles, proves := r.Audit.Item == lastItem, r.Audit.Item == "" // a proof's row names no item by itself
	s.at(beforeSettle, settles)
	s.at(beforeProof, proves)
	c, moved, err := s.Store.Resolve(ctx, r)
	s.at(afterSettle, settles && moved)
	s.at(afterProof, proves && moved)
	return c, moved, err
}

func (s *struckStore) Issue(ctx context.Context, spec ledger.KeySpec) (ledger.Key, bool, error) {
	s.at(beforeIssue, spec.Phase == secondPhase)
	k, minted, err := s.Store.Issue(ctx, spec)
	s.at(afterIssue, spec.Phase == secondPhase && minted)
	return k, minted, err
}

func (s *struckStore) RevokeKey(ctx context.Context, keyID string) (ledger.Revocation, error) {
	s.at(beforeRevoke, true)
	out, err := s.Store.RevokeKey(ctx, keyID)
	s.at(afterRevoke, err == nil)
	return out, err
}

func (s *struckStore) CloseRun(ctx context.Context, tenant, run string) (ledger.Revocation, error) {
	s.at(beforeClose, true)
	out, err := s.Store.CloseRun(ctx, tenant, run)
	s.at(afterClose, err == nil)
	return out, err
}

// proxyOver is a vault proxy whose reconciler runs only when it is told to.
func proxyOver(store ledger.Store, vendorURL string, logs io.Writer) (*vaultproxy.Proxy, error) {
	profile, err := stripe.New(stripe.Config{Secret: vendorSecret})
	if err != nil {
		return nil, err
	}
	return vaultproxy.New(vaultproxy.Config{
		Store: store, AdminKey: adminKey, MasterKey: bytes.Repeat([]byte{7}, vaultproxy.MasterKeySize),
		Logger:            slog.New(slog.NewJSONHandler(logs, nil)),
		Upstreams:         []vaultproxy.Upstream{{Vendor: profile, URL: vendorURL}}, // with the proxy's own transport
		ReconcileInterval: -1,
	})
}

// reconcilePath runs the reconciler of a victim, with its clock as far ahead as
// the body says.
const reconcilePath = "/victim/reconcile"

// victimMain is a vault proxy as a process of its own. It says its URL, and ends
// when its input does, so that none outlives a test that was ended itself.
func victimMain(told string, in io.Reader, out, logs io.Writer) int {
	front, err := serveVictim(context.Background(), told, logs)
	if err != nil {
		_, _ = fmt.Fprintln(logs, "victim:", err)
		return 1
	}
	_, _ = fmt.Fprintln(out, "http://"+front.String())
	_, _ = io.Copy(io.Discard, in)
	return 1
}

func serveVictim(ctx context.Context, told string, logs io.Writer) (net.Addr, error) {
	var o orders
	if err := json.Unmarshal([]byte(told), &o); err != nil {
		return nil, err
	}
	b, ok := backendNamed(o.Backend)
	if !ok {
		return nil, fmt.Errorf("no backend %q", o.Backend)
	}
	clock := &testClock{ahead: o.Ahead}
	store, err := b.open(ctx, o.Ledger, clock.now)
	if err != nil {
		return nil, err
	}
	proxy, err := proxyOver(&struckStore{Store: store, death: o.Death, strike: killSelf}, o.Vendor, logs)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy.Combined())
	mux.HandleFunc("POST "+reconcilePath, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		ahead, parseErr := time.ParseDuration(string(text))
		if err := errors.Join(err, parseErr); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		clock.advance(ahead - clock.lead())
		if err := proxy.Reconcile(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	go func() { _ = http.Serve(listener, mux) }()
	return listener.Addr(), nil
}

// victim is such a process, seen from the test.
type victim struct {
	url  string
	cmd  *exec.Cmd
	dead chan struct{}
	err  error // of its end; after dead
}

func startVictim(t *testing.T, o orders, logs io.Writer) *victim {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	told, err := json.Marshal(o)
	require.NoError(t, err)
	v := &victim{cmd: exec.CommandContext(t.Context(), self), dead: make(chan struct{})}
	v.cmd.Env = append(os.Environ(), victimEnv+"="+string(told))
	v.cmd.Stderr = logs
	in, err := v.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := v.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, v.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		v.err = v.cmd.Wait()
		close(v.dead)
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-v.dead
	})
	require.NoError(t, err, "the victim did not come up")
	v.url = strings.TrimSpace(line)
	return v
}

// kill is kill -9. It returns when the process is gone.
func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	<-v.dead
}

// requireKilled waits for its end, which must have been that signal.
func (v *victim) requireKilled(t *testing.T) {
	t.Helper()
	<-v.dead
	var exit *exec.ExitError
	require.ErrorAs(t, v.err, &exit)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGKILL, status.Signal())
}
