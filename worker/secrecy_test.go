package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/tollgate/tollgate/activities"
	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/e2e/peer"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/serve"
	"github.com/tollgate/tollgate/vendorsim"
	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
	"github.com/tollgate/tollgate/workflows"
)

const (
	secrecyCustomers = 60
	secrecyVendor    = "sk_test_secrecy_of_the_vendor"
	secrecyAdmin     = "admin_key_of_the_secrecy_test"
)

// secrecyList is a list whose every value can be looked for. Amounts are too common
// to be told from other numbers.
func secrecyList() (csv string, values []string) {
	var text strings.Builder
	text.WriteString("customer,payment_method,amount_cents,currency,email,phone\n")
	methods := []string{"pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_secrecy_missing"}
	for i := range secrecyCustomers {
		one := []string{fmt.Sprintf("cus_secrecy_%03d", i), fmt.Sprintf("person%03d@secrecy.example", i), fmt.Sprintf("+1555010%04d", i)}
		method := methods[0]
		if i%4 == 1 {
			method = methods[1+i/4%3]
		}
		fmt.Fprintf(&text, "%s,%s,1000,usd,%s,%s\n", one[0], method, one[1], one[2])
		values = append(values, one...)
	}
	return text.String(), append(values, methods...)
}

// shaky is a vault proxy behind a line that is cut for a while.
func shaky(t *testing.T, proxyURL string) (string, *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(proxyURL)
	require.NoError(t, err)
	through := httputil.NewSingleHostReverseProxy(target)
	var calls, cut atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/stripe/") {
			if n := calls.Add(1); n > 5 && n <= 25 {
				cut.Add(1)
				if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
					_ = connection.Close()
				}
				return
			}
		}
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, &cut
}

// secrecyStand is a worker over a proxy that cannot always be reached and a vendor
// that misbehaves, and a client with the worker's keys.
type secrecyStand struct {
	*testBundle
	client client.Client
	keys   *payloadcodec.Keyring
	cut    *atomic.Int64
	worker *started
}

func newSecrecyStand(t *testing.T) *secrecyStand {
	t.Helper()
	_, address := peer.DevServer(t)
	sim, err := vendorsim.New(vendorsim.Config{Seed: 1, Faults: vendorsim.DefaultFaults(), SlowDelay: 100 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(sim.Close)
	vendor := httptest.NewServer(sim.Handler())
	t.Cleanup(vendor.Close)

	b := setup(t)
	b.env["TEMPORAL_ADDRESS"] = address
	admin := b.file(t, "admin.key", secrecyAdmin)
	server, err := serve.Start(t.Context(), serve.Config{
		StateDir: filepath.Join(b.dir, "proxy"), DataAddr: "127.0.0.1:0", AdminKeyFile: admin,
		StripeSecretFile: b.file(t, "stripe.key", secrecyVendor), StripeURL: vendor.URL,
		UpstreamTimeout: 30 * time.Second, Logger: discard(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close(t.Context()) })
	front, cut := shaky(t, server.DataURL())

	state := filepath.Join(b.dir, "state")
	w := b.begin(t, []string{"--proxy-url", front, "--control-url", server.ControlURL(), "--admin-key-file", admin, "--state-dir", state, "--log-level", "error"})
	source := payloadcodec.Source{StateDir: state}
	opts, err := temporaldial.Options(temporaldial.Config{Env: b.env, Keys: source})
	require.NoError(t, err)
	connected, err := temporaldial.Dial(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(connected.Close)
	keys, err := source.Keys(b.env, address)
	require.NoError(t, err)
	return &secrecyStand{testBundle: b, client: connected, keys: keys, cut: cut, worker: w}
}

func (s *secrecyStand) start(t *testing.T, plan, list string) client.WorkflowRun {
	t.Helper()
	in := workflows.BillingInput{
		Plan: plan, Period: "2026-11", Customers: customerlist.Source{Path: list}, BudgetUSD: 300 * money.Dollar,
		BatchSize: 40, Window: 4, ChargeTimeout: hangs, SettleTimeout: hangs,
	}
	run, err := s.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "billing-" + plan + "-2026-11", TaskQueue: workflows.TaskQueue, StaticSummary: "60 customers",
	}, workflows.Billing, in)
	require.NoError(t, err)
	return run
}

// stored is everything that the server has of these runs, as JSON, and the same
// with payloads and failures decrypted.
func (s *secrecyStand) stored(t *testing.T, ids ...string) (raw, opened string) {
	t.Helper()
	add := func(to *string, message proto.Message) {
		text, err := protojson.Marshal(message)
		require.NoError(t, err)
		*to += string(text) + "\n"
	}
	for _, id := range ids {
		events := &history.History{}
		page := s.client.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for page.HasNext() {
			event, err := page.Next()
			require.NoError(t, err)
			events.Events = append(events.Events, event)
		}
		add(&raw, events)
		described, err := s.client.DescribeWorkflowExecution(t.Context(), id, "")
		require.NoError(t, err)
		add(&raw, described)
		require.NoError(t, s.keys.Clear(t.Context(), events))
		add(&opened, events)
	}
	return raw, opened
}

// found returns those values that can be read in JSON: as they are, in base64, or in
// base64 of what holds them.
func found(t *testing.T, document string, values []string) []string {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(document) {
		var tree any
		require.NoError(t, json.Unmarshal([]byte(line), &tree))
		read(&text, tree, 3)
	}
	var hits []string
	for _, value := range values {
		if strings.Contains(text.String(), value) {
			hits = append(hits, value)
		}
	}
	return hits
}

// read writes every string of a JSON document, and what it decodes to.
func read(into *strings.Builder, node any, depth int) {
	switch node := node.(type) {
	case map[string]any:
		for name, child := range node {
			read(into, name, depth)
			read(into, child, depth)
		}
	case []any:
		for _, child := range node {
			read(into, child, depth)
		}
	case string:
		into.WriteString(node + "\n")
		decoded, err := base64.StdEncoding.DecodeString(node)
		if err != nil || depth == 0 {
			return
		}
		var inner any
		if json.Unmarshal(decoded, &inner) == nil {
			read(into, inner, depth-1)
		} else {
			read(into, string(decoded), depth-1)
		}
	}
}

func TestWorker_LeavesNoSecretInTemporal(t *testing.T) {
	t.Parallel()
	s := newSecrecyStand(t)
	csv, values := secrecyList()
	run := s.start(t, "secrecy", s.file(t, "customers.csv", csv))
	// A line that cannot be used is told by its place alone, in an error that the
	// failure holds: whoever may read it need not be who wrote the list.
	refused := s.start(t, "refused", s.file(t, "wrong.csv", csv+"cus_secrecy_999,pm_card_visa,person999@secrecy.example,usd,,\n"))

	var summary workflows.Summary
	require.NoError(t, run.Get(t.Context(), &summary))
	require.Positive(t, summary.Charged)
	require.Positive(t, summary.Declined)
	require.Positive(t, summary.Failed)
	require.Equal(t, activities.TypeCapExhausted, summary.StopReason)
	require.Positive(t, s.cut.Load(), "the proxy could not be reached for a while")
	err := refused.Get(t.Context(), nil)
	require.ErrorContains(t, err, filepath.Join(s.dir, "wrong.csv")+":62: ", "who has the key reads the error")
	require.NotContains(t, err.Error(), "person999@secrecy.example")

	raw, decrypted := s.stored(t, run.GetID(), workflows.BatchWorkflowID(run.GetID(), 0), workflows.BatchWorkflowID(run.GetID(), 1), refused.GetID())
	token := regexp.MustCompile(`vault_key_[A-Za-z0-9_-]{20,}`)
	var text strings.Builder
	for line := range strings.Lines(decrypted) {
		var tree any
		require.NoError(t, json.Unmarshal([]byte(line), &tree))
		read(&text, tree, 3)
	}
	require.Regexp(t, token, text.String(), "the run had a vault key, and it was stored")
	secrets := append([]string{
		token.FindString(text.String()), "vault_key_", secrecyVendor, "sk_test_", secrecyAdmin,
		"person999@secrecy.example", "@secrecy.example", s.dir,
	}, values...)

	require.Empty(t, found(t, raw, secrets))
	require.NotContains(t, raw, "stackTrace\":\"", "where a fault was is not told either")

	// The same search in what was decrypted: were nothing there, the first would
	// prove nothing.
	there := found(t, decrypted, secrets)
	require.Contains(t, there, token.FindString(text.String()))
	require.NotContains(t, there, "person999@secrecy.example")
	require.Contains(t, there, s.dir)
	for _, value := range values {
		switch {
		case strings.HasPrefix(value, "cus_"), strings.HasPrefix(value, "pm_"):
			require.Contains(t, there, value)
		default:
			require.NotContains(t, there, value, "what the run does not need does not come so far")
		}
	}
	require.NotContains(t, there, secrecyVendor)
	require.NotContains(t, there, secrecyAdmin)
}
