package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// LedgerConfig says how much load there is.
type LedgerConfig struct {
	Callers int           // at the same time, all on one key
	Rounds  int           // of each mode, in turn
	Round   time.Duration // how long one round lasts
	Least   int           // reservations that a round has at least, however long that takes
}

// LedgerStore is a store to be measured.
type LedgerStore struct {
	Name string
	// Open makes a ledger that nobody else uses; Discard, after Close, leaves
	// nothing of it behind. ErrNoServer if this machine has none to make it on.
	Open func(ctx context.Context, mode LedgerMode) (Ledger, error)
	// Rate is how many reservations a second group commit should at least make;
	// zero: any. Gain is how many times those of its twin.
	Rate, Gain float64
}

// LedgerMode says how a store commits.
type LedgerMode struct {
	MaxBatch int // operations in one transaction; zero: as many as have queued up
	Writers  int // transactions at the same time, where the store can do that; zero: one
}

// Ledger is a store that is open.
type Ledger struct {
	CommittingStore

	Discard func() error
}

// CommittingStore is a store that counts its commits.
type CommittingStore interface {
	ledger.Store
	Commits() int64
}

// ErrNoServer means that a store cannot be measured on this machine.
var ErrNoServer = errors.New("no server")

// LedgerSpeed is what was measured of one mode, by round.
type LedgerSpeed struct {
	Reservations []float64 // durable ones, a second
	Commits      []float64 // a second
}

// LedgerResult is what was measured of a store.
type LedgerResult struct {
	Group LedgerSpeed // as many operations in one transaction as have queued up
	Naive LedgerSpeed // the same statements, schema and settings, one transaction a call
}

// Ratio is the median of group commit over that of its twin.
func (r LedgerResult) Ratio() float64 {
	return Median(r.Group.Reservations) / Median(r.Naive.Reservations)
}

// MeanBatch is how many reservations one commit held.
func (s LedgerSpeed) MeanBatch() float64 { return Median(s.Reservations) / Median(s.Commits) }

// MeasureLedger counts durable reservations of concurrent callers on one key,
// with group commit and with a transaction for each.
func MeasureLedger(ctx context.Context, cfg LedgerConfig, store LedgerStore) (out LedgerResult, err error) {
	group, err := openBench(ctx, store, LedgerMode{})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, group.close()) }()
	naive, err := openBench(ctx, store, LedgerMode{MaxBatch: 1, Writers: cfg.Callers})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, naive.close()) }()
	for range cfg.Rounds {
		if err := group.round(ctx, cfg, &out.Group); err != nil {
			return out, fmt.Errorf("group commit: %w", err)
		}
		if err := naive.round(ctx, cfg, &out.Naive); err != nil {
			return out, fmt.Errorf("one transaction a call: %w", err)
		}
	}
	return out, nil
}

// benchLedger is a ledger with the one key that everybody uses.
type benchLedger struct {
	Ledger
	key  ledger.Key
	next atomic.Int64
}

func openBench(ctx context.Context, store LedgerStore, mode LedgerMode) (*benchLedger, error) {
	l, err := store.Open(ctx, mode)
	if err != nil {
		return nil, err
	}
	b := &benchLedger{Ledger: l}
	limit := money.Max
	b.key, _, err = l.Issue(ctx, ledger.KeySpec{
		KeyID: "key_1", IssueID: "issue_1", Run: "billing-pro-2026-11", Vendor: "stripe", Digest: "d", ExpiresIn: time.Hour,
		Terms: ledger.Terms{DailyCap: &limit, TotalCap: &limit},
	})
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *benchLedger) close() error { return errors.Join(b.Close(), b.Discard()) }

// round has every caller reserve until the time is over and enough are made.
func (b *benchLedger) round(ctx context.Context, cfg LedgerConfig, into *LedgerSpeed) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error
		over   atomic.Bool
	)
	timer := time.AfterFunc(cfg.Round, func() { over.Store(true) })
	defer timer.Stop()
	began, first, commits := time.Now(), b.next.Load(), b.Commits()
	for range cfg.Callers {
		wg.Go(func() {
			for !over.Load() || b.next.Load()-first < int64(cfg.Least) {
				if err := b.reserve(ctx); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	seconds := time.Since(began).Seconds()
	into.Reservations = append(into.Reservations, float64(b.next.Load()-first)/seconds)
	into.Commits = append(into.Commits, float64(b.Commits()-commits)/seconds)
	return failed
}

// sealedRequest is about what a sealed request for a charge takes.
const sealedRequest = 400

// reserve asks for what a charge of a billing run asks for.
func (b *benchLedger) reserve(ctx context.Context) error {
	n := b.next.Add(1)
	item := strconv.FormatInt(n, 10)
	_, err := b.Reserve(ctx, ledger.Reservation{
		CallID: fmt.Sprintf("call_%032x", n), KeyID: b.key.ID, RunNo: b.key.RunNo, Vendor: "stripe",
		Operation: "payment_intents.create", Method: "POST", Path: "/v1/payment_intents",
		IdempotencyKey: "billing-pro-2026-11-" + item, Item: item, WorkflowID: "billing-pro-2026-11",
		Price: money.Dollar, Request: make([]byte, sealedRequest),
	})
	return err
}

// DiskFolder makes a folder for a database file on a disk: in the folder for
// temporary files or else in the current one. What is kept in memory alone would
// make a commit cost nothing.
func DiskFolder() (string, error) {
	for _, parent := range []string{os.TempDir(), "."} {
		memory, err := inMemory(parent)
		if err != nil {
			return "", err
		}
		if !memory {
			return os.MkdirTemp(parent, "tollgate-bench-")
		}
	}
	return "", fmt.Errorf("%s and the current folder are both kept in memory (tmpfs): run it from a folder on a disk, or set TMPDIR to one", os.TempDir())
}
