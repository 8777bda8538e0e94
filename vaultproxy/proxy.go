package vaultproxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Defaults of Config.
const (
	DefaultUpstreamTimeout   = 30 * time.Second
	DefaultMaxInFlight       = 1024
	DefaultReconcileInterval = time.Second
	// DefaultContentionWait is longer than most calls to a vendor take, and short
	// beside the timeouts of those who call the proxy.
	DefaultContentionWait = 2 * time.Second
	// DefaultStoreTimeout is far longer than a commit takes, and short enough for
	// whoever waits for an answer.
	DefaultStoreTimeout = 5 * time.Second
)

// Upstream is a vendor profile and where that vendor is.
type Upstream struct {
	Vendor vendors.Vendor
	URL    string            // such as https://api.stripe.com
	Client http.RoundTripper // nil: a transport of the proxy's own
}

// Config is all that a proxy needs.
type Config struct {
	Store     ledger.Store
	Upstreams []Upstream
	AdminKey  string // bearer token of the control plane
	MasterKey []byte // 32 bytes: vault keys and stored requests hang on it
	Logger    *slog.Logger

	UpstreamTimeout   time.Duration // of one send; zero: DefaultUpstreamTimeout
	MaxInFlight       int           // calls at once, beyond it 503 overloaded; zero: DefaultMaxInFlight
	ReconcileInterval time.Duration // zero: DefaultReconcileInterval; negative: no reconciler
	// ContentionWait is how long a call waits for calls in flight whose holds stand
	// in its way, before it is told cap_contended. It keeps its place among
	// MaxInFlight meanwhile. Zero: DefaultContentionWait; negative: not at all.
	ContentionWait time.Duration
	// StoreTimeout is how long the ledger may take for one step of a call, before
	// the call is told ledger_unavailable; reports may take five times as long.
	// Zero: DefaultStoreTimeout.
	StoreTimeout time.Duration
}

// Proxy is a running vault proxy, apart from its listeners.
type Proxy struct {
	store     ledger.Store
	upstreams map[string]*upstream
	adminHash [sha256.Size]byte
	tokens    tokens
	seal      *sealer
	log       *slog.Logger
	timeout   time.Duration
	patience  time.Duration // with calls in flight that stand in the way
	slots     chan struct{}
	grants    grants
	strangers *bouncer

	unreadable unreadable
	metrics    *metrics
	leads      atomic.Bool // it reconciled last, among those that share the ledger

	bg       context.Context //nolint:containedctx // of work that outlives its request and ends with the proxy
	stop     context.CancelFunc
	work     sync.WaitGroup
	draining chan struct{}
	drain    sync.Once
	closing  sync.Mutex
	idle     bool // no call is in flight, and none will be; guarded by closing
}

// Check reports what is wrong with a configuration as far as it can be told
// without Store and MasterKey, so that a program need not open a ledger to find
// out that its flags are of no use.
func (cfg Config) Check() error {
	if len(cfg.Upstreams) == 0 || cfg.Logger == nil {
		return errors.New("vault proxy: a vendor and a logger are needed")
	}
	if cfg.UpstreamTimeout < 0 || cfg.MaxInFlight < 0 || cfg.StoreTimeout < 0 {
		return errors.New("vault proxy: the deadlines and the number of calls at once must not be negative")
	}
	if len(cfg.AdminKey) < minAdminKey {
		return fmt.Errorf("vault proxy: the admin key must have at least %d characters", minAdminKey)
	}
	seen := map[string]bool{}
	for _, u := range cfg.Upstreams {
		if u.Vendor == nil || seen[u.Vendor.Name()] {
			return errors.New("vault proxy: each upstream needs a vendor profile of its own")
		}
		seen[u.Vendor.Name()] = true
		if _, err := u.base(); err != nil {
			return err
		}
	}
	return nil
}

func (u Upstream) base() (*url.URL, error) {
	base, err := url.Parse(u.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.RawQuery != "" || base.User != nil {
		return nil, fmt.Errorf("vault proxy: the URL of %s must look like https://api.example.com", u.Vendor.Name())
	}
	return base, nil
}

// New checks the configuration and starts the reconciler.
func New(cfg Config) (*Proxy, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Store == nil {
		return nil, errors.New("vault proxy: a store is needed")
	}
	seal, err := newSealer(cfg.MasterKey)
	if err != nil {
		return nil, err
	}
	if err := bind(cfg); err != nil {
		return nil, err
	}
	p := &Proxy{
		upstreams: map[string]*upstream{},
		adminHash: sha256.Sum256([]byte(cfg.AdminKey)),
		tokens:    newTokens(cfg.MasterKey, cfg.Store.LedgerID()),
		seal:      seal,
		log:       cfg.Logger,
		timeout:   orDefault(cfg.UpstreamTimeout, DefaultUpstreamTimeout),
		patience:  max(0, orDefault(cfg.ContentionWait, DefaultContentionWait)),
		slots:     make(chan struct{}, orDefault(cfg.MaxInFlight, DefaultMaxInFlight)),
		strangers: newBouncer(),
		draining:  make(chan struct{}),
	}
	p.store = &boundedStore{
		Store: cfg.Store, timeout: orDefault(cfg.StoreTimeout, DefaultStoreTimeout), work: &p.work, log: cfg.Logger, late: p.notSent,
		room: make(chan struct{}, cap(p.slots)+spareWrites),
	}
	if p.metrics, err = newMetrics(cfg.Store, p.leads.Load); err != nil {
		return nil, err
	}
	p.bg, p.stop = context.WithCancel(context.Background())
	for _, u := range cfg.Upstreams {
		base, err := u.base()
		if err != nil {
			return nil, err
		}
		p.upstreams[u.Vendor.Name()] = newUpstream(u, base)
	}
	if interval := orDefault(cfg.ReconcileInterval, DefaultReconcileInterval); interval > 0 {
		p.work.Go(func() { p.reconcile(interval) })
	}
	return p, nil
}

// bindTimeout bounds the first question to the ledger.
const bindTimeout = 30 * time.Second

// bind refuses a ledger of another master key: this proxy could read none of its
// calls, and would take none of its vault keys.
func bind(cfg Config) error {
	sum := derive(cfg.MasterKey, "fingerprint")
	ctx, cancel := context.WithTimeout(context.Background(), bindTimeout)
	defer cancel()
	err := cfg.Store.Bind(ctx, hex.EncodeToString(sum[:16]))
	if errors.Is(err, ledger.ErrOtherKey) {
		return fmt.Errorf("vault proxy: %w than the one given: give all proxies of a ledger the same master key, and restore it with the ledger", err)
	}
	return err
}

// Close lets calls in flight end and be booked, bounded by the context, then
// stops the reconciler. The store is the caller's to close, after it.
func (p *Proxy) Close(ctx context.Context) error {
	p.drain.Do(func() { close(p.draining) })
	err := p.waitIdle(ctx)
	p.stop()
	done := make(chan struct{})
	go func() {
		p.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if p.leads.Swap(false) {
		// Another replica need not wait for the end of the lease.
		if _, giveUpErr := p.store.Lead(ctx, 0); giveUpErr != nil {
			p.log.Warn("the reconciler's lease is kept until its end", "error", giveUpErr)
		}
	}
	for _, u := range p.upstreams {
		u.close()
	}
	return err
}

// waitIdle takes every slot and keeps them: then no call holds one, or will. If
// the context ends before that it gives them back, so that Close can be tried again.
func (p *Proxy) waitIdle(ctx context.Context) error {
	p.closing.Lock()
	defer p.closing.Unlock()
	if p.idle {
		return nil
	}
	for taken := range cap(p.slots) {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			for range taken {
				<-p.slots
			}
			return fmt.Errorf("calls are still in flight; the next start proves what became of them: %w", ctx.Err())
		}
	}
	p.idle = true
	return nil
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
