// Package serve runs a vault proxy on listeners: it finds or makes the keys,
// opens the ledger, and serves one or two planes. The vaultproxy program and
// the worker, which embeds the proxy, both start it from here.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/framing"
	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

// DefaultAddr serves both planes on the loopback interface.
const DefaultAddr = "127.0.0.1:8787"

// DefaultReadTimeout is how long a caller may take to send a request.
const DefaultReadTimeout = 30 * time.Second

// Config says where things are. Secrets are named by file, or else taken from
// the environment; they are no flags, which other users of a machine can read.
type Config struct {
	StateDir        string        // of the ledger and the keys that the proxy makes; 0700
	DataAddr        string        // of the data plane, host:port
	ControlAddr     string        // of the control plane; empty or equal to DataAddr: one listener for both
	AdminKeyFile    string        // else TOLLGATE_ADMIN_KEY, else admin.key in StateDir, made once
	MasterKeyFile   string        // else TOLLGATE_MASTER_KEY_FILE, else master.key in StateDir, made once
	LedgerURLFile   string        // file with the URL of a PostgreSQL database that proxies share; else TOLLGATE_LEDGER_URL, else a file in StateDir
	UpstreamTimeout time.Duration // of one send to a vendor
	ContentionWait  time.Duration // for calls in flight that stand in a call's way; zero: vaultproxy's default; negative: none
	ReadTimeout     time.Duration // of a whole request, its body included; zero: DefaultReadTimeout
	Logger          *slog.Logger

	// Vendors are configured by their secret: one without is left out.
	StripeSecretFile string // else STRIPE_SECRET_KEY_FILE, else STRIPE_SECRET_KEY
	StripeURL        string
	FXFile           string // table of exchange rates for Stripe, YAML; empty: only US dollars are metered

	TwilioAuthTokenFile   string // else TWILIO_AUTH_TOKEN_FILE, else TWILIO_AUTH_TOKEN
	TwilioAccountSID      string // else TWILIO_ACCOUNT_SID
	TwilioRatesFile       string // YAML, see twilio.ParseRates
	TwilioURL             string
	TwilioCountries       []string // that may be written to or called; none: all of the rates file
	TwilioStatusCallbacks []string // URLs that are passed on
	TwilioCallURLs        []string // URLs that a call may take its instructions from

	ResendSecretFile  string // else RESEND_API_KEY_FILE, else RESEND_API_KEY
	ResendURL         string
	ResendFromDomains []string // that e-mails may be sent from
	ResendPriceUSD    string   // of one recipient of one e-mail, in dollars
}

// Bind registers the flags that set cfg, with its present values as defaults.
func Bind(fs *pflag.FlagSet, cfg *Config) {
	str := func(into *string, name, fallback, usage string) { bindString(fs, into, name, fallback, usage) }
	str(&cfg.StateDir, "state-dir", ".tollgate", "folder of the ledger and of generated keys")
	str(&cfg.DataAddr, "data-addr", DefaultAddr, "address of the data plane")
	str(&cfg.ControlAddr, "control-addr", "", "address of the control plane (default: that of the data plane)")
	str(&cfg.AdminKeyFile, "admin-key-file", "", "file with the control plane's admin key (default: $TOLLGATE_ADMIN_KEY, else made in the state folder)")
	str(&cfg.MasterKeyFile, "master-key-file", os.Getenv("TOLLGATE_MASTER_KEY_FILE"), "file with the key that vault keys and stored calls hang on: 64 hex digits (default: $TOLLGATE_MASTER_KEY_FILE, else made in the state folder)")
	str(&cfg.LedgerURLFile, "ledger-url-file", "", "file with the URL of a PostgreSQL database for the ledger (default: $TOLLGATE_LEDGER_URL, else a file in the state folder)")
	for _, v := range vendors() {
		v.bind(fs, cfg)
	}
	if cfg.UpstreamTimeout == 0 {
		cfg.UpstreamTimeout = vaultproxy.DefaultUpstreamTimeout
	}
	fs.DurationVar(&cfg.UpstreamTimeout, "upstream-timeout", cfg.UpstreamTimeout, "deadline of one send to a vendor")
	if cfg.ContentionWait == 0 {
		cfg.ContentionWait = vaultproxy.DefaultContentionWait
	}
	fs.Var((*waitFlag)(&cfg.ContentionWait), "contention-wait",
		"how long a call that does not fit waits for calls in flight to give room back; 0s: not at all")
}

// waitFlag is a duration of which zero means none, and not the default.
type waitFlag time.Duration

// maxContentionWait keeps waiting calls from outlasting their callers.
const maxContentionWait = 20 * time.Second

func (w *waitFlag) String() string { return max(0, time.Duration(*w)).String() }

func (w *waitFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return err
	case d < 0 || d > maxContentionWait:
		return fmt.Errorf("it must be from 0s to %s", maxContentionWait)
	case d == 0:
		d = -1
	}
	*w = waitFlag(d)
	return nil
}

func (*waitFlag) Type() string { return "duration" }

// LedgerPath is where a state folder keeps its ledger.
func LedgerPath(stateDir string) string { return filepath.Join(stateDir, "ledger.db") }

// Server is a proxy that runs, or is prepared to.
type Server struct {
	cfg   Config
	parts vaultproxy.Config
	made  bool   // the admin key is new and not stored yet
	url   string // of a shared ledger; empty: the file in the state folder

	proxy   *vaultproxy.Proxy
	store   ledger.Store
	servers []*http.Server
	data    net.Listener
	control net.Listener
	errs    chan error
}

// Start opens everything or nothing.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := Prepare(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.Run(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Prepare checks what is given and binds the ports. An error leaves nothing
// behind: the state folder is not touched yet. Nor is a ledger that is there, which
// would take calls in flight for lost, and go and ask the vendor about them.
func Prepare(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, errs: make(chan error, 2)}
	var err error
	if s.made, err = s.configure(); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		s.closeListeners()
		return nil, err
	}
	return s, nil
}

// Run opens the ledger and serves. After an error the server is closed.
func (s *Server) Run(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	dir := s.cfg.StateDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	path := LedgerPath(dir)
	if s.cfg.MasterKeyFile != "" {
		s.parts.MasterKey, err = readMasterKey(s.cfg.MasterKeyFile)
	} else {
		s.parts.MasterKey, err = masterKey(dir, path)
	}
	if err != nil {
		return err
	}
	if s.made {
		if s.parts.AdminKey, err = makeSecret(adminKeyPath(dir), s.parts.AdminKey); err != nil {
			return err
		}
	}
	if s.store, err = openLedger(ctx, s.url, path); err != nil {
		return err
	}
	s.parts.Store = s.store
	if s.proxy, err = vaultproxy.New(s.parts); err != nil {
		return err
	}
	s.serve()
	return nil
}

// configure works out all of the proxy but its ledger and master key. It reports
// whether nobody has given an admin key, so that it made one.
func (s *Server) configure() (made bool, err error) {
	cfg := s.cfg
	upstreams, err := Upstreams(cfg)
	if err != nil {
		return false, err
	}
	if cfg.UpstreamTimeout < 0 {
		return false, errors.New("the upstream timeout is negative: give it as a duration such as 30s")
	}
	key, given, err := givenAdminKey(cfg.AdminKeyFile, cfg.StateDir)
	if err != nil {
		return false, err
	}
	if s.url, err = ledgerURL(cfg.LedgerURLFile); err != nil {
		return false, err
	}
	if err := s.checkShared(given); err != nil {
		return false, err
	}
	if !given {
		key = newAdminKey()
	}
	s.parts = vaultproxy.Config{
		AdminKey: key, Logger: cfg.Logger, UpstreamTimeout: cfg.UpstreamTimeout,
		ContentionWait: cfg.ContentionWait,
		Upstreams:      upstreams,
	}
	return !given, s.parts.Check()
}

func (s *Server) listen(ctx context.Context) (err error) {
	cfg := s.cfg
	if s.data, err = listen(ctx, cfg.DataAddr); err != nil {
		return err
	}
	if cfg.ControlAddr == "" || cfg.ControlAddr == cfg.DataAddr {
		s.control = s.data
		return nil
	}
	s.control, err = listen(ctx, cfg.ControlAddr)
	return err
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; free the port or choose another address (--data-addr, --control-addr)", addr, err)
	}
	return l, nil
}

func (s *Server) serve() {
	cfg := s.cfg
	// A caller that does not read its answer must not keep a slot for ever; one
	// that waits for a look-up and a resend must get to its answer.
	writeTimeout := 5*cmp.Or(cfg.UpstreamTimeout, vaultproxy.DefaultUpstreamTimeout) + max(0, cfg.ContentionWait) + time.Minute
	readTimeout := cmp.Or(cfg.ReadTimeout, DefaultReadTimeout)
	run := func(l net.Listener, h http.Handler) {
		server := &http.Server{
			Handler: h, ReadHeaderTimeout: min(10*time.Second, readTimeout), ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
			ErrorLog:                     slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
			ConnContext:                  framing.ConnContext,
			DisableGeneralOptionsHandler: true, // one place answers, and notes, what is refused
			Protocols:                    &http.Protocols{},
		}
		server.Protocols.SetHTTP1(true) // and nothing to upgrade to
		s.servers = append(s.servers, server)
		go func() {
			if err := server.Serve(framing.Listen(l)); !errors.Is(err, http.ErrServerClosed) {
				s.errs <- fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
		}()
	}
	if s.control == s.data {
		run(s.data, s.proxy.Combined())
		return
	}
	run(s.data, s.proxy.Data())
	run(s.control, s.proxy.Control())
}

func (s *Server) abandon() {
	s.closeListeners()
	if s.store != nil {
		_ = s.store.Close()
		s.store = nil
	}
}

// DataURL is where vendors' SDKs are pointed, followed by the vendor's name.
func (s *Server) DataURL() string { return "http://" + s.data.Addr().String() }

// ControlURL is where package client is pointed.
func (s *Server) ControlURL() string { return "http://" + s.control.Addr().String() }

// AdminKey opens the control plane, once the server runs.
func (s *Server) AdminKey() string { return s.parts.AdminKey }

// Err tells of a listener that died.
func (s *Server) Err() <-chan error { return s.errs }

// Close takes no more calls, lets those in flight end, bounded by the context,
// and closes the ledger.
func (s *Server) Close(ctx context.Context) error {
	if s.proxy == nil { // it was only prepared
		s.abandon()
		return nil
	}
	errs := []error{s.proxy.Close(ctx)}
	for _, server := range s.servers {
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, err, server.Close())
		}
	}
	s.closeListeners()
	return errors.Join(append(errs, s.store.Close())...)
}

// closeListeners frees the ports at once: a server that was stopped before it had
// begun to serve does so only a moment later.
func (s *Server) closeListeners() {
	for _, l := range []net.Listener{s.data, s.control} {
		if l != nil {
			_ = l.Close() // closed already, as a rule
		}
	}
}
