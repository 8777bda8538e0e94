package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

// request is what a person asked for on the command line, as it was typed.
type request struct {
	target        target
	customers     string
	generate      int
	seed          int64
	budget        string
	perChargeCap  string
	keyTTL        time.Duration
	chargeTimeout time.Duration
	settleTimeout time.Duration
	window        int
	batchSize     int
	parallelism   int
	perActivity   int
	activityWidth int
	outageLimit   time.Duration
	batchTimeout  time.Duration
	keyRenewals   int
	duplicates    bool
	notices       notices
	again         bool
	retryDeclined bool
	tenant        string
	approval      approvalFlags
	flags         *pflag.FlagSet
}

func (r *request) bind(set *pflag.FlagSet) {
	r.target.bind(set)
	r.bindTerms(set)
	set.BoolVar(&r.again, "continue", false, "finish a run that ended: same list, same budget; who was charged is not charged again")
	set.BoolVar(&r.retryDeclined, "retry-declined", false, "with --continue: ask once more for what the vendor had declined")
}

// bindTerms binds everything but what is billed.
func (r *request) bindTerms(set *pflag.FlagSet) {
	r.flags = set
	set.StringVar(&r.customers, "customers", "", "file of customers, CSV or JSON lines; the worker must be able to read it too")
	set.IntVar(&r.generate, "generate", 0, "make up this many customers instead, for demonstrations")
	set.Int64Var(&r.seed, "seed", 1, "seed of the made-up customers; the same seed makes the same list")
	set.StringVar(&r.budget, "budget-usd", "", "what the run may spend at most, in dollars, such as 500 or 499.99")
	set.StringVar(&r.perChargeCap, "per-charge-cap-usd", "", "refuse single charges above this many dollars")
	set.DurationVar(&r.keyTTL, "key-ttl", 2*time.Hour, "life of the run's vault key; when it ends, so does the spending")
	set.DurationVar(&r.chargeTimeout, "charge-timeout", 10*time.Minute, "for all attempts at one charge together")
	set.DurationVar(&r.settleTimeout, "settle-timeout", 5*time.Minute, "wait at the end for charges whose outcome is being proved")
	set.IntVar(&r.window, "window", 64, "concurrent charges in one batch")
	set.IntVar(&r.batchSize, "batch-size", 500, "customers in one batch, a child workflow; 2000 if --charges-per-activity is above 1")
	set.IntVar(&r.parallelism, "parallelism", 2, "batches at once")
	r.notices.bind(set)
	set.IntVar(&r.perActivity, "charges-per-activity", 1, "charges made by one activity; more make a large run cheaper for Temporal, and one charge harder to see in it")
	set.IntVar(&r.activityWidth, "activity-window", 8, "concurrent charges in such an activity, of those of --window")
	set.DurationVar(&r.outageLimit, "outage-limit", 4*time.Hour, "wait for a vault proxy that does not answer, before the run stops")
	set.DurationVar(&r.batchTimeout, "batch-timeout", 24*time.Hour, "wait for one batch to return, before the run stops without it")
	set.IntVar(&r.keyRenewals, "key-renewals", 12, "how often a vault key that expired is issued anew")
	set.StringVar(&r.tenant, "tenant", "", "whose budget the run draws on as well; see 'PUT /vault/budgets/tenant/…'")
	r.approval.bind(set)
	set.BoolVar(&r.duplicates, "allow-duplicates", false, "accept a customer on more than one line; each line is charged")
}

// input checks everything that can be checked without a server, the whole
// customer list included: a wrong line is told before anything is started.
func (r *request) input(ctx context.Context) (workflows.BillingInput, error) {
	if _, err := workflowID(r.target.plan, r.target.period); err != nil {
		return workflows.BillingInput{}, err
	}
	in, err := r.terms(ctx)
	if err != nil {
		return in, err
	}
	in.Plan, in.Period = r.target.plan, r.target.period
	if err := in.Validate(); err != nil {
		return in, usage(err.Error())
	}
	return in, nil
}

// terms is everything but what is billed.
func (r *request) terms(ctx context.Context) (workflows.BillingInput, error) {
	in := workflows.BillingInput{
		KeyTTL:        r.keyTTL,
		ChargeTimeout: r.chargeTimeout,
		SettleTimeout: r.settleTimeout,
		Window:        r.window,
		BatchSize:     r.batchSize,
		Parallelism:   r.parallelism,

		ChargesPerActivity: r.perActivity,
		ActivityWindow:     r.activityWidth,
		OutageLimit:        r.outageLimit,
		BatchTimeout:       r.batchTimeout,
		KeyRenewals:        &r.keyRenewals,
		Continue:           r.again,
		RetryDeclined:      r.retryDeclined,
		Tenant:             r.tenant,
	}
	if r.perActivity > 1 && !r.flags.Changed("batch-size") {
		in.BatchSize = 0 // the default of such a run
	}
	if r.retryDeclined && !r.again {
		return in, usage("--retry-declined goes with --continue: a run tries again what an earlier one had declined")
	}
	var err error
	if in.BudgetUSD, err = amount("--budget-usd", r.budget); err != nil {
		return in, err
	}
	if in.Approval, err = r.approval.input(); err != nil {
		return in, err
	}
	if r.perChargeCap != "" {
		if in.PerChargeCapUSD, err = amount("--per-charge-cap-usd", r.perChargeCap); err != nil {
			return in, err
		}
	}
	if err := r.notices.into(&in); err != nil {
		return in, err
	}
	if err := r.checkBounds(); err != nil {
		return in, err
	}
	if err := r.checkEffect(in); err != nil {
		return in, err
	}
	if in.Customers, err = r.source(); err != nil {
		return in, err
	}
	in.Pinned, err = customerlist.Pin(ctx, in.Customers)
	if err != nil {
		return in, listFailure(r.customers, err)
	}
	return in, nil
}

func listFailure(path string, err error) error {
	var unusable *customerlist.Error
	switch {
	case errors.As(err, &unusable):
		return usage(unusable.Error())
	case errors.Is(err, fs.ErrNotExist):
		return usage(fmt.Sprintf("there is no customer list %s: check --customers", path))
	case errors.Is(err, fs.ErrPermission):
		return usage(fmt.Sprintf("the customer list %s may not be read: check its permissions", path))
	}
	return err
}

func (r *request) checkBounds() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"--key-ttl", r.keyTTL}, {"--charge-timeout", r.chargeTimeout}, {"--settle-timeout", r.settleTimeout}, {"--outage-limit", r.outageLimit}, {"--batch-timeout", r.batchTimeout}} {
		if d.value < time.Second {
			return usage(fmt.Sprintf("%s is %s: it must be at least 1s, such as 2h or 90s", d.flag, d.value))
		}
	}
	for _, n := range []struct {
		flag            string
		value, min, max int
	}{
		{"--window", r.window, 1, workflows.MaxWindow},
		{"--batch-size", r.batchSize, 1, workflows.MaxBatchSize},
		{"--parallelism", r.parallelism, 1, workflows.MaxParallelism},
		{"--charges-per-activity", r.perActivity, 1, workflows.MaxChargesPerActivity},
		{"--activity-window", r.activityWidth, 1, workflows.MaxActivityWindow},
		{"--notice-window", r.notices.window, 1, workflows.MaxNoticeConcurrency},
		{"--key-renewals", r.keyRenewals, 0, workflows.MaxKeyRenewals},
	} {
		if n.value < n.min || n.value > n.max {
			return usage(fmt.Sprintf("%s is %d: it must be from %d to %d", n.flag, n.value, n.min, n.max))
		}
	}
	return nil
}

// checkEffect refuses flags that would change nothing: whoever gives one believes
// that it does.
func (r *request) checkEffect(in workflows.BillingInput) error {
	for _, f := range []struct {
		name    string
		effect  bool
		missing string
	}{
		{"approval-timeout", in.Approval != nil, "is for charges that wait: give --approve all or --approve-above-usd too"},
		{"approved-key-ttl", in.Approval != nil, "is for charges that wait: give --approve all or --approve-above-usd too"},
		{"on-approval-timeout", in.Approval != nil, "is for charges that wait: give --approve all or --approve-above-usd too"},
		{"notice-window", in.Receipts != nil || in.Texts != nil, "is for receipts and texts: give --receipts-from, --texts-from or --texts-messaging-service too"},
		{"seed", r.generate != 0, "is for made-up customers: give --generate too"},
	} {
		if r.flags.Changed(f.name) && !f.effect {
			return usage("--" + f.name + " " + f.missing)
		}
	}
	return nil
}

func (r *request) source() (customerlist.Source, error) {
	src := customerlist.Source{AllowDuplicates: r.duplicates}
	switch {
	case r.customers != "" && r.generate != 0:
		return src, usage("give --customers or --generate, not both")
	case r.customers == "" && r.generate == 0:
		return src, usage("whom to charge? give --customers FILE, or --generate N for a made-up list")
	case r.generate < 0 || r.generate > customerlist.MaxCustomers:
		return src, usage(fmt.Sprintf("--generate is %d: it must be from 1 to %d", r.generate, customerlist.MaxCustomers))
	case r.generate > 0:
		src.Generate, src.Seed = r.generate, r.seed
		return src, nil
	}
	path, err := filepath.Abs(r.customers)
	if err != nil {
		return src, fmt.Errorf("find %s: %w", r.customers, err)
	}
	src.Path = path
	return src, nil
}

func amount(flag, text string) (money.USD, error) {
	if text == "" {
		return 0, usage("how much may the run spend? give " + flag + ", such as " + flag + " 500")
	}
	usd, err := money.Parse(text)
	if err != nil {
		return 0, usage(flag + ": " + err.Error())
	}
	if usd == 0 {
		return 0, usage(flag + " is zero: give an amount of dollars above it, such as 500")
	}
	return usd, nil
}
