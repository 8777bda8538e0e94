package vaultproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
)

const (
	// scrapeTimeout bounds what a scrape asks the ledger: a monitor must get its
	// answer above all when the ledger gives none.
	scrapeTimeout = 2 * time.Second
	// maxScrapes keeps those who ask without a key from keeping the ledger busy.
	maxScrapes = 4
)

// metrics are what the proxy tells of itself by numbers. Every label is out of a
// small set that this program knows: none holds a run, a key, a customer or a
// code of a vendor's own invention.
type metrics struct {
	handler  http.Handler
	calls    metric.Int64Counter
	duration metric.Float64Histogram
	upstream metric.Float64Histogram
	rounds   metric.Int64Counter
	overruns metric.Int64Counter
}

// queues is a store that knows who waits in it.
type queues interface {
	Waiting() int // reservations for room in a budget
	Queued() int  // operations for the next commit
}

// seconds suit calls that take from a millisecond to a deadline of a minute.
var seconds = metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)

// newMetrics makes them, on a registry of the proxy's own.
func newMetrics(store ledger.Store, leads func() bool) (*metrics, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	m := &metrics{
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, ErrorHandling: promhttp.ContinueOnError}),
	}
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(resource.Empty())).Meter("tollgate")
	var errs [6]error
	m.calls, errs[0] = meter.Int64Counter("tollgate.calls",
		metric.WithDescription("calls answered, by what became of them"))
	m.duration, errs[1] = meter.Float64Histogram("tollgate.call.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("time from a call's arrival to its answer"))
	m.upstream, errs[2] = meter.Float64Histogram("tollgate.upstream.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("time that the vendor took for one request, look-ups included"))
	m.rounds, errs[3] = meter.Int64Counter("tollgate.reconciler.rounds",
		metric.WithDescription("rounds of the reconciler over what is due"))
	m.overruns, errs[4] = meter.Int64Counter("tollgate.overruns",
		metric.WithDescription("calls that cost more than was held for them"))
	errs[5] = observe(meter, store, leads)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return m, nil
}

// observe registers what is read when somebody asks.
func observe(meter metric.Meter, store ledger.Store, leads func() bool) error {
	var errs []error
	gauge := func(name, description string, options ...metric.Int64ObservableGaugeOption) metric.Int64ObservableGauge {
		g, err := meter.Int64ObservableGauge(name, append(options, metric.WithDescription(description))...)
		errs = append(errs, err)
		return g
	}
	up := gauge("tollgate.ledger.up", "1 if the ledger answered this scrape in time")
	open := gauge("tollgate.calls.open", "calls without a final outcome, by state")
	overdue := gauge("tollgate.proof.overdue", "how long the oldest proof of an unknown call is overdue", metric.WithUnit("s"))
	leader := gauge("tollgate.reconciler.leader", "1 if this process reconciles, of those that share the ledger")
	waiting := gauge("tollgate.reservations.waiting", "calls that wait for calls in flight to give room back")
	queued := gauge("tollgate.commits.queued", "operations that wait for the ledger's next commit")
	_, err := meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		o.ObserveInt64(leader, flag(leads()))
		if q, ok := store.(queues); ok {
			o.ObserveInt64(waiting, int64(q.Waiting()))
			o.ObserveInt64(queued, int64(q.Queued()))
		}
		ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
		defer cancel()
		backlog, err := store.Backlog(ctx)
		o.ObserveInt64(up, flag(err == nil))
		if err != nil {
			return nil // told by the gauge; the other numbers are good
		}
		for state, n := range map[string]int{
			"in_flight": backlog.Counts.InFlight, "committed": backlog.Counts.Committed, "unknown": backlog.Counts.Unknown,
		} {
			o.ObserveInt64(open, int64(n), metric.WithAttributes(attribute.String("state", state)))
		}
		o.ObserveInt64(overdue, int64(backlog.OldestDue/time.Second))
		return nil
	}, up, open, overdue, leader, waiting, queued)
	return errors.Join(append(errs, err)...)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// call counts a call that was answered.
func (m *metrics) call(c *call) {
	vendor, ctx := "", context.Background()
	if c.upstream != nil {
		vendor = c.upstream.vendor.Name()
	}
	verdict := metric.WithAttributes(attribute.String("vendor", vendor), attribute.String("verdict", c.verdict))
	m.calls.Add(ctx, 1, verdict, metric.WithAttributes(attribute.String("code", boundedCode(c.verdict, c.reason))))
	m.duration.Record(ctx, time.Since(c.started).Seconds(), verdict)
}

// request counts one request to a vendor.
func (m *metrics) request(u *upstream, method string, began time.Time, r result) {
	status := "none"
	if r.err == nil {
		status = fmt.Sprintf("%dxx", r.answer.Status/100)
	}
	m.upstream.Record(context.Background(), time.Since(began).Seconds(), metric.WithAttributes(
		attribute.String("vendor", u.vendor.Name()), attribute.String("method", method), attribute.String("status", status)))
}

// booked counts a call that was moved, if it cost more than was held.
func (m *metrics) booked(row ledger.Call, moved bool) {
	if moved && strings.HasPrefix(row.Reason, overrun) {
		m.overruns.Add(context.Background(), 1, metric.WithAttributes(attribute.String("vendor", row.Vendor)))
	}
}

func (m *metrics) round(result string) {
	m.rounds.Add(context.Background(), 1, metric.WithAttributes(attribute.String("result", result)))
}

// overrun begins the reason of a call that cost more than was held for it.
const overrun = "overrun:"

// boundedCode is a denial's code, or a reason that is common or of the proxy's
// own. Others are the vendor's, which may invent as many as it likes.
func boundedCode(verdict, reason string) string {
	if verdict == ledger.VerdictDenied {
		return reason
	}
	switch reason = strings.TrimPrefix(reason, overrun); reason {
	case "", "succeeded", "card_declined", "rate_limited", "requires_capture", "requires_confirmation", "processing", "canceled",
		string(OutcomeUnknown), "answer_lost", "answer_not_understood", storedFailure, "interrupted", "not_sent", "not_stored", "not_done",
		"object_taken", settledByPerson, releasedByPerson:
		return reason
	}
	return "other"
}
