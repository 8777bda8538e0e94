// Package stack runs the whole of Tollgate as processes on loopback: a Temporal
// dev server in memory, the stand-in vendor, a vault proxy of its own if one is
// named, the worker, and the starter on demand. The demo, the end-to-end tests
// and the benchmarks stand on it.
//
// Children get an environment of their own: nothing of the user's Temporal,
// vendor or Tollgate settings reaches them.
package stack

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vendorsim"
	"github.com/tollgate/tollgate/worker/payloadcodec"
)

// Namespace is the one that the dev server comes with.
const Namespace = "default"

// What the proxy believes to be the vendors' secrets.
const (
	stripeSecret = "sk_test_of_the_stand_in_vendor"
	resendSecret = "re_sim_of_the_stand_in_vendor"
	twilioSecret = "test_of_the_stand_in_vendor"
)

// TwilioAccount is the account that texts are sent from; what they cost is in twilioRates.
const TwilioAccount = "AC00000000000000000000000000000001"

const twilioRates = `as_of: 2026-11-01
currency: usd
failed_message: "0.001"
countries:
  US: {sms: "0.0083", mms: "0.022", call: "0.014", verify: "0.0583"}
`

// ResendFromDomain is the one that e-mails may be sent from, and ResendPriceUSD
// what each recipient of one costs, in dollars.
const (
	ResendFromDomain = "example.com"
	ResendPriceUSD   = "0.0009"
)

// anyPort has the system choose one; the program says which it got.
const anyPort = "127.0.0.1:0"

// startTime bounds the start of one process. It only ends the wait for one that
// hangs: on a busy machine a Temporal server alone may take most of a minute.
const startTime = 5 * time.Minute

// Config says what to run.
type Config struct {
	Dir          string        // logs, ledger and keys go here; must exist
	Bin          string        // folder of the built programs: worker, starter, vendorsim
	Temporal     string        // the Temporal CLI
	TemporalArgs []string      // further arguments of `temporal server start-dev`
	Seed         int64         // of the vendor's faults
	Faults       string        // as vendorsim's --faults; empty: default
	Slow         time.Duration // how long the vendor holds a slow answer back; zero: its default
	Latency      time.Duration // of every answer of the vendor
	// Proxy is a program that takes vaultproxy's serve flags and says as it does
	// where it listens, run on its own; empty: the worker embeds the proxy.
	Proxy string
	// WorkerArgs are added to the worker's command line.
	WorkerArgs []string
}

// Stack is what runs.
type Stack struct {
	cfg          Config
	TemporalAddr string // host:port of the Temporal frontend
	temporalPort string
	VendorURL    string
	proxyURL     string // of both planes; empty until there is a proxy
	proxyAddr    string // of a proxy on its own, which comes back at the same one
	adminKey     string
	codecKey     string // what payloads are encrypted with

	temporal, vendor, proxy, worker *Process
}

// Start starts everything but the worker. After an error nothing is left running.
func Start(ctx context.Context, cfg Config) (_ *Stack, err error) {
	s := &Stack{cfg: cfg, adminKey: "admin_" + randomHex(16), codecKey: "stack: " + randomHex(payloadcodec.KeySize)}
	if err := os.WriteFile(s.twilioRates(), []byte(twilioRates), 0o600); err != nil {
		return nil, err
	}
	// Without it Temporal's programs read the profiles of whoever runs this.
	if err := os.WriteFile(s.temporalConfig(), nil, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.startVendor(ctx); err != nil {
		return nil, err
	}
	if err := s.startTemporal(ctx); err != nil {
		return nil, err
	}
	if cfg.Proxy != "" {
		if err := s.startProxy(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func randomHex(n int) string {
	key := make([]byte, n)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(key)
}

func (s *Stack) startVendor(ctx context.Context) error {
	args := []string{"--addr", anyPort, "--seed", strconv.FormatInt(s.cfg.Seed, 10)}
	if s.cfg.Faults != "" {
		args = append(args, "--faults", s.cfg.Faults)
	}
	if s.cfg.Slow > 0 {
		args = append(args, "--slow", s.cfg.Slow.String())
	}
	if s.cfg.Latency > 0 {
		args = append(args, "--latency", s.cfg.Latency.String())
	}
	var err error
	if s.vendor, err = s.spawn("vendorsim", filepath.Join(s.cfg.Bin, "vendorsim"), args...); err != nil {
		return err
	}
	line, err := s.vendor.line(ctx, "vendorsim listening on ")
	if err != nil {
		return err
	}
	s.VendorURL, _, _ = strings.Cut(line, " ")
	return nil
}

// startTemporal tries more than one port: the server cannot be told to choose, and
// what is free now may be taken when it comes to bind it.
func (s *Stack) startTemporal(ctx context.Context) error {
	return s.tryTemporal(func() (err error) {
		if s.TemporalAddr, s.temporalPort, err = freeAddr(ctx); err != nil {
			return err
		}
		return s.runTemporal(ctx)
	})
}

// tryTemporal starts it again if it ended at once: it takes further ports of its own
// choice, and another program may have been faster with one of them.
func (s *Stack) tryTemporal(start func() error) (err error) {
	for range 5 {
		if err = start(); err == nil || s.temporal == nil || !s.temporal.ended() {
			return err
		}
		s.temporal.stop()
	}
	return err
}

func (s *Stack) runTemporal(ctx context.Context) (err error) {
	args := append([]string{
		"server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", s.temporalPort, "--http-port", "0", "--metrics-port", "0",
		"--log-level", "error",
	}, s.cfg.TemporalArgs...)
	if s.temporal, err = s.spawn("temporal", s.cfg.Temporal, args...); err != nil {
		return err
	}
	err = s.temporal.until(ctx, "its frontend answers", func(ctx context.Context) error {
		return s.command(ctx, s.cfg.Temporal, "operator", "cluster", "health", "--address", s.TemporalAddr).Run()
	})
	if err == nil && s.temporal.ended() {
		return s.temporal.failed("ended, and another server answers at its address")
	}
	return err
}

// KillTemporal ends the Temporal server as a power cut would.
func (s *Stack) KillTemporal() error { return kill(&s.temporal, "Temporal server") }

// RestartTemporal starts it again at the same address. Its workflows are still
// there if Config.TemporalArgs keep them in a file (--db-filename).
func (s *Stack) RestartTemporal(ctx context.Context) error {
	return s.tryTemporal(func() error { return s.runTemporal(ctx) })
}

// HoldVendor stops the vendor in its tracks: what has been asked of it waits for its
// answer, and so does whatever is asked. What a test does meanwhile falls in the
// middle of a run, however slow the machine is. ReleaseVendor, which may be called
// again, lets it go on.
func (s *Stack) HoldVendor() error { return s.vendor.signal(syscall.SIGSTOP) }

// ReleaseVendor ends HoldVendor.
func (s *Stack) ReleaseVendor() error { return s.vendor.signal(syscall.SIGCONT) }

// KillProxy ends the proxy that runs on its own as a power cut would.
func (s *Stack) KillProxy() error { return kill(&s.proxy, "proxy on its own") }

// RestartProxy starts it again at the same address, on the same ledger.
func (s *Stack) RestartProxy(ctx context.Context) error { return s.startProxy(ctx) }

func (s *Stack) startProxy(ctx context.Context) (err error) {
	if s.proxyAddr == "" {
		if s.proxyAddr, _, err = freeAddr(ctx); err != nil {
			return err
		}
	}
	s.proxy, err = s.spawn("vaultproxy", s.cfg.Proxy,
		append([]string{"serve", "--state-dir", s.StateDir(), "--data-addr", s.proxyAddr}, s.vendorArgs()...)...)
	if err != nil {
		return err
	}
	line, err := s.proxy.line(ctx, "vaultproxy ready: ")
	if err != nil {
		return err
	}
	_, s.proxyURL, _ = strings.Cut(line, "control plane ")
	return nil
}

// vendorArgs point a proxy at the stand-in in place of every vendor.
func (s *Stack) vendorArgs() []string {
	return []string{
		"--stripe-url", s.VendorURL,
		"--twilio-url", s.VendorURL, "--twilio-account-sid", TwilioAccount, "--twilio-rates-file", s.twilioRates(),
		"--resend-url", s.VendorURL, "--resend-from-domains", ResendFromDomain, "--resend-price-usd", ResendPriceUSD,
	}
}

// StartWorker starts the worker and returns once it polls.
func (s *Stack) StartWorker(ctx context.Context) error { return s.StartWorkerOn(ctx, s.StateDir()) }

// StartWorkerOn starts the worker on another state folder: its embedded proxy
// keeps another ledger there.
func (s *Stack) StartWorkerOn(ctx context.Context, stateDir string) (err error) {
	args := []string{"--log-format", "json", "--state-dir", stateDir}
	if s.cfg.Proxy != "" {
		args = append(args, "--proxy-url", s.proxyURL, "--control-url", s.proxyURL)
	} else {
		args = append(append(args, "--data-addr", anyPort), s.vendorArgs()...)
	}
	s.worker, err = s.spawn("worker", filepath.Join(s.cfg.Bin, "worker"), append(args, s.cfg.WorkerArgs...)...)
	if err != nil {
		return err
	}
	line, err := s.worker.line(ctx, "worker ready ")
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(line) {
		if url, ok := strings.CutPrefix(word, "control="); ok {
			s.proxyURL = url
		}
	}
	return nil
}

// KillWorker ends the worker as a power cut would.
func (s *Stack) KillWorker() error { return kill(&s.worker, "worker") }

func kill(p **Process, what string) error {
	if *p == nil {
		return errors.New("no " + what + " runs")
	}
	err := (*p).kill()
	*p = nil
	return err
}

// Worker is the running worker, nil if there is none.
func (s *Stack) Worker() *Process { return s.worker }

// Proxy is the proxy that runs on its own, nil if the worker embeds it.
func (s *Stack) Proxy() *Process { return s.proxy }

// StateDir holds the ledger and the keys.
func (s *Stack) StateDir() string { return filepath.Join(s.cfg.Dir, "state") }

func (s *Stack) twilioRates() string { return filepath.Join(s.cfg.Dir, "twilio_rates.yaml") }

func (s *Stack) temporalConfig() string { return filepath.Join(s.cfg.Dir, "temporal.toml") }

// Control returns a client of the proxy's control plane. A proxy that the worker
// embeds has another address after each start of the worker.
func (s *Stack) Control() (*client.Client, error) {
	return client.New(client.Config{BaseURL: s.proxyURL, AdminKey: s.adminKey})
}

// Starter is a command line of the starter, ready to run.
func (s *Stack) Starter(ctx context.Context, args ...string) *exec.Cmd {
	return s.command(ctx, filepath.Join(s.cfg.Bin, "starter"), args...)
}

// TemporalCLI is a command line of the Temporal CLI against this server.
func (s *Stack) TemporalCLI(ctx context.Context, args ...string) *exec.Cmd {
	return s.command(ctx, s.cfg.Temporal, append(args, "--address", s.TemporalAddr)...)
}

// Truth asks the vendor what it really charged.
func (s *Stack) Truth(ctx context.Context) (truth vendorsim.Truth, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.VendorURL+"/sim/truth", nil)
	if err != nil {
		return truth, err
	}
	res, err := (&http.Client{Timeout: 2 * time.Minute}).Do(req)
	if err != nil {
		return truth, fmt.Errorf("ask the vendor for the truth: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return truth, fmt.Errorf("ask the vendor for the truth: %s", res.Status)
	}
	err = json.NewDecoder(res.Body).Decode(&truth)
	return truth, err
}

// Close stops everything that was started, last first.
func (s *Stack) Close() {
	for _, p := range []*Process{s.worker, s.proxy, s.temporal, s.vendor} {
		if p != nil {
			p.stop()
		}
	}
	s.worker, s.proxy, s.temporal, s.vendor = nil, nil, nil, nil
}

// command builds a command that a cancelled context interrupts before it kills.
func (s *Stack) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // programs that the caller built
	cmd.Env = s.environ()
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (s *Stack) environ() []string {
	env := []string{
		"TEMPORAL_ADDRESS=" + s.TemporalAddr, "TEMPORAL_NAMESPACE=" + Namespace, "TEMPORAL_CONFIG_FILE=" + s.temporalConfig(),
		"HOME=" + s.cfg.Dir, // where the Temporal CLI looks for the environments of its older versions
		"TOLLGATE_CONTROL_URL=" + s.proxyURL, "TOLLGATE_ADMIN_KEY=" + s.adminKey, payloadcodec.KeyVariable + "=" + s.codecKey,
		"STRIPE_SECRET_KEY=" + stripeSecret, "RESEND_API_KEY=" + resendSecret, "TWILIO_AUTH_TOKEN=" + twilioSecret,
	}
	for _, name := range []string{"PATH", "TMPDIR", "TERM", "LANG", "LC_ALL", "COLUMNS", "NO_COLOR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (s *Stack) spawn(name, path string, args ...string) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(s.cfg.Dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...) //nolint:gosec,noctx // a program that the caller built; Close stops it, in order
	cmd.Env, cmd.Dir, cmd.SysProcAttr = s.environ(), s.cfg.Dir, ownGroup()
	return launch(name, cmd, log)
}

// The ports of what has to come back at its address lie below those that systems
// hand out to whoever asks for any, which while it is down could be this one.
const firstPort, lastPort = 20_000, 32_000

// freeAddr finds a loopback port that is free now.
func freeAddr(ctx context.Context) (addr, port string, err error) {
	for range 100 {
		drawn := make([]byte, 2)
		_, _ = rand.Read(drawn)
		port = strconv.Itoa(firstPort + int(binary.BigEndian.Uint16(drawn))%(lastPort-firstPort))
		addr = net.JoinHostPort("127.0.0.1", port)
		l, listenErr := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if listenErr == nil {
			return addr, port, l.Close()
		}
		err = listenErr
	}
	return "", "", fmt.Errorf("find a free port: %w", err)
}
