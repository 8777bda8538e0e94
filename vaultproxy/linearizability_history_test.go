package vaultproxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

const (
	linearClients = 8
	linearRuns    = 2 // at once, worked on by all clients
	linearOps     = 12
	// openings are the operations with which each client begins: in each run the
	// first key, and then the item of its own number, all at the same time.
	openings = 2 * linearRuns
	// revokesFrom is the operation from which on keys are revoked: earlier, too
	// little would go through to bring the caps near.
	revokesFrom = 8
)

// itemPlan is one request, whoever makes it.
type itemPlan struct {
	cents int64
	card  string
}

func (i itemPlan) price() money.USD { return money.USD(i.cents) * money.Cent }

// runPlan is what the seed makes of a run.
type runPlan struct {
	label string
	caps  caps
	items [runItems]itemPlan
}

// planRun draws a run whose first items, taken together, go beyond its first
// key's cap, and whose items beyond the run's.
func planRun(label string, rng *rand.Rand) runPlan {
	p := runPlan{label: label, caps: caps{
		wholeRun:  money.USD(28+rng.Int64N(5)) * money.Dollar,
		firstKey:  money.USD(20+rng.Int64N(4)) * money.Dollar,
		secondKey: money.USD(10+rng.Int64N(5)) * money.Dollar,
	}}
	for i := range p.items {
		p.items[i] = itemPlan{cents: 100 + rng.Int64N(201), card: "pm_card_visa"}
		switch {
		case i < linearClients:
			p.items[i].cents += 200
		case rng.IntN(3) == 0:
			p.items[i].card = "pm_card_chargeDeclined"
		}
	}
	return p
}

// round is some clients at work on some runs, and what they saw.
type round struct {
	seed    uint64
	plans   [linearRuns]runPlan
	history []porcupine.Operation
}

// playRound lets each client make so many calls and returns what each of them
// was told, and when.
func playRound(t *testing.T, s *stand, seed uint64, ops int) *round {
	t.Helper()
	r := &round{seed: seed}
	for run := range r.plans {
		label := fmt.Sprintf("temporal/default/%s/%d/%d", t.Name(), seed, run)
		r.plans[run] = planRun(label, rand.New(rand.NewPCG(seed, uint64(run))))
	}
	start := time.Now()
	var callers [linearClients]*caller
	group, ctx := errgroup.WithContext(t.Context())
	for n := range callers {
		callers[n] = &caller{number: n, stand: s, plans: &r.plans, start: start, rng: rand.New(rand.NewPCG(seed, uint64(100+n)))}
		group.Go(func() error { return callers[n].work(ctx, ops) })
	}
	require.NoError(t, group.Wait(), "seed %d", seed)
	last := &caller{number: linearClients, stand: s, plans: &r.plans, start: start, rng: rand.New(rand.NewPCG(seed, 100+linearClients))}
	require.NoError(t, last.readAll(t.Context(), callers[:]), "seed %d", seed)
	for _, c := range append(callers[:], last) {
		r.history = append(r.history, c.history...)
	}
	return r
}

// caller is one client. It waits for one answer before it makes the next call.
type caller struct {
	number  int
	stand   *stand
	plans   *[linearRuns]runPlan
	start   time.Time
	rng     *rand.Rand
	keys    [linearRuns][runAccounts]client.IssuedKey // as far as it has asked for them
	history []porcupine.Operation
}

func (c *caller) work(ctx context.Context, ops int) error {
	for op := range ops {
		if err := c.operate(ctx, op); err != nil {
			return fmt.Errorf("client %d, operation %d: %w", c.number, op, err)
		}
	}
	return nil
}

func (c *caller) operate(ctx context.Context, op int) error {
	if op < openings {
		if run := op / 2; op%2 == 1 {
			return c.charge(ctx, run, firstKey, c.number)
		}
		return c.issue(ctx, op/2, firstKey)
	}
	run, key := c.rng.IntN(linearRuns), firstKey+c.rng.IntN(2)
	if c.keys[run][key].KeyID == "" {
		return c.issue(ctx, run, key) // may have been issued, or revoked, by another client
	}
	switch draw := c.rng.IntN(100); {
	case draw < 8 && op >= revokesFrom:
		return c.revoke(ctx, run, key)
	case draw < 20:
		return c.read(ctx, run, key)
	default:
		return c.charge(ctx, run, key, c.rng.IntN(runItems))
	}
}

// readAll reads every key once nothing else is going on, so that the history
// ends with what the ledger has come to.
func (c *caller) readAll(ctx context.Context, others []*caller) error {
	for run := range c.plans {
		for key := firstKey; key < runAccounts; key++ {
			knows := slices.IndexFunc(others, func(o *caller) bool { return o.keys[run][key].KeyID != "" })
			if knows < 0 {
				continue
			}
			c.keys[run][key] = others[knows].keys[run][key]
			if err := c.read(ctx, run, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// saw notes the moments of one operation. They overlap, each may have been at
// any time between call and now, so each gets a line of its own in the picture.
func (c *caller) saw(call int64, moments ...moment) {
	now := time.Since(c.start).Nanoseconds()
	for i, m := range moments {
		m.caps = c.plans[m.run].caps
		c.history = append(c.history, porcupine.Operation{ClientId: 2*c.number + i, Input: m, Call: call, Return: now})
	}
}

func (c *caller) now() int64 { return time.Since(c.start).Nanoseconds() }

// replica draws the one that takes the next call.
func (c *caller) replica() replica { return c.stand.replicas[c.rng.IntN(len(c.stand.replicas))] }

func (c *caller) issue(ctx context.Context, run, key int) error {
	plan, call := c.plans[run], c.now()
	got, err := c.replica().control.Issue(ctx, client.IssueRequest{
		Vendor: "stripe", AllowedEndpoints: []string{"POST /v1/payment_intents"}, ExpiresIn: "2h", AgentRunLabel: plan.label,
		Phase: "phase-" + strconv.Itoa(key), TotalUSDCap: usd(plan.caps[key]), RunUSDCap: usd(plan.caps[wholeRun]),
	}, "")
	if no := new(client.Error); errors.As(err, &no) && no.Code == "run_revoked" {
		c.saw(call, moment{run: run, event: issueRefused, key: key})
		return nil
	}
	if err != nil {
		return err
	}
	c.keys[run][key] = got
	c.saw(call, moment{run: run, event: keyIssued, key: key, keyID: got.KeyID})
	return nil
}

func (c *caller) revoke(ctx context.Context, run, key int) error {
	call := c.now()
	got, err := c.replica().control.Revoke(ctx, c.keys[run][key].KeyID)
	if err != nil {
		return err
	}
	c.saw(call, moment{run: run, event: keyRevoked, key: key, seen: account{held: got.InFlightUSD}})
	return nil
}

func (c *caller) read(ctx context.Context, run, key int) error {
	call := c.now()
	got, err := c.replica().control.Key(ctx, c.keys[run][key].KeyID)
	if err != nil {
		return err
	}
	budgets := moment{run: run, event: budgetsRead, key: key}
	for _, b := range got.Budgets {
		seen := account{settled: b.SettledUSD, held: b.ReservedUSD + b.CommittedUSD + b.UnknownUSD}
		switch b.Scope {
		case "key":
			budgets.seen = seen
		case "run":
			budgets.seenRun = seen
		}
	}
	// The key and its budgets are two reads.
	c.saw(call, moment{run: run, event: stateRead, key: key, revoked: got.State == "revoked"}, budgets)
	return nil
}

func (c *caller) charge(ctx context.Context, run, key, item int) error {
	plan, call := c.plans[run].items[item], c.now()
	got, err := c.post(ctx, c.keys[run][key].VaultKey, item, plan)
	if err != nil {
		return err
	}
	m := moment{run: run, key: key, item: item, price: plan.price()}
	again := got.header.Get("Tollgate-Replayed") == "true"
	switch code := got.code(); {
	case got.status == http.StatusOK:
		m.event, m.stage, m.object = settledCharge, charged, got.text("id")
	case got.status == http.StatusPaymentRequired:
		m.event, m.stage, m.object = settledDecline, declined, got.declinedIntent()
	case code == "idempotency_in_flight":
		m.event = chargeInFlight
	case code == "key_revoked":
		m.event = chargeByRevoked
	case code == "cap_exhausted", code == "cap_contended":
		m.event, m.on = event(code), wholeRun
		if got.text("budget") == "key/total" {
			m.on = key
		}
		if m.seen, err = got.account(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("an answer that nothing here accounts for: %d %s", got.status, got.raw)
	}
	switch {
	case again:
		m.event = replayed
		c.saw(call, m)
	case m.stage != untried:
		before := m
		before.event, before.stage, before.object = reserved, untried, ""
		c.saw(call, before, m)
	default:
		c.saw(call, m)
	}
	return nil
}

func (c *caller) post(ctx context.Context, token string, item int, plan itemPlan) (httpAnswer, error) {
	form := url.Values{
		"amount": {strconv.FormatInt(plan.cents, 10)}, "currency": {"usd"}, "customer": {fmt.Sprintf("cus_%d", item)},
		"payment_method": {plan.card}, "payment_method_types[]": {"card"}, "confirm": {"true"}, "off_session": {"true"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.replica().url+intents, strings.NewReader(form.Encode()))
	if err != nil {
		return httpAnswer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("item-%d", item))
	res, err := c.stand.http.Do(req)
	if err != nil {
		return httpAnswer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return httpAnswer{}, err
	}
	out := httpAnswer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	return out, json.NewDecoder(bytes.NewReader(raw)).Decode(&out.body)
}

// declinedIntent is the payment that Stripe keeps of a charge it declined.
func (a httpAnswer) declinedIntent() string {
	inner, _ := a.body["error"].(map[string]any)
	intent, _ := inner["payment_intent"].(map[string]any)
	id, _ := intent["id"].(string)
	return id
}

// account is the one that a denial speaks of, as it stood.
func (a httpAnswer) account() (account, error) {
	settled, err := money.Parse(a.text("settled_usd"))
	if err != nil {
		return account{}, err
	}
	var held money.USD
	for _, name := range []string{"reserved_usd", "unknown_usd"} {
		part, err := money.Parse(a.text(name))
		if err != nil {
			return account{}, err
		}
		held += part
	}
	return account{settled: settled, held: held}, nil
}
