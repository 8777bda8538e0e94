package vaultproxy_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestRead_CostsNothingAndNeedsALiveKeyAndTheAllowlist(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.create(key, "create", unconfirmed)

	got := b.get(key.VaultKey, intents+"/"+id)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, id, got.text("id"))
	b.requireBudget(4*money.Dollar, 0)

	got = b.get(key.VaultKey, "/stripe/v1/customers/cus_1")
	require.Equal(t, http.StatusForbidden, got.status)
	require.Equal(t, "endpoint_not_allowed", got.code())

	_, err := b.control.Revoke(t.Context(), key.KeyID)
	require.NoError(t, err)
	got = b.get(key.VaultKey, intents+"/"+id)
	require.Equal(t, "key_revoked", got.code())
	require.Len(t, b.seen.of(http.MethodGet), 1)
}

func TestRead_WithAnExpiredKeyIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(4 * money.Dollar)
	id := b.create(key, "create", unconfirmed)
	b.clock.advance(3 * time.Hour)
	require.Equal(t, "key_expired", b.get(key.VaultKey, intents+"/"+id).code())
	require.Empty(t, b.seen.of(http.MethodGet))
}

func TestAllow_RefusesWhatIsNotListedOrNotMetered(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	narrow := b.issue(10*money.Dollar, func(r *client.IssueRequest) { r.AllowedEndpoints = []string{"POST /v1/payment_intents"} })
	wide := b.issue(10*money.Dollar, func(r *client.IssueRequest) {
		r.AllowedEndpoints, r.Phase = []string{"POST /v1/subscriptions", "POST /v1/payment_intents/{id}"}, "wide"
	})
	for name, tc := range map[string]struct {
		key        client.IssuedKey
		path, body string
		status     int
		code       string
	}{
		"another endpoint":                {narrow, charges, "amount=100&currency=usd&source=tok_visa", 403, "endpoint_not_allowed"},
		"below a listed endpoint":         {narrow, intents + "/pi_1/confirm", "", 403, "endpoint_not_allowed"},
		"an operation without a meter":    {wide, "/stripe/v1/subscriptions", "customer=cus_1", 403, "unmetered_operation"},
		"an update of an invoice":         {wide, "/stripe/v1/invoices/in_1", "auto_advance=true", 403, "unmetered_operation"},
		"another vendor":                  {wide, "/acme/v1/payment_intents", "", 404, "vendor_unknown"},
		"a path with an empty segment":    {narrow, "/stripe//v1/payment_intents", charge, 400, "request_ambiguous"},
		"a path that needs decoding":      {narrow, "/stripe/v1/payment%5fintents", charge, 400, "request_ambiguous"},
		"a path that climbs":              {narrow, "/stripe/v1/../v1/payment_intents", charge, 400, "request_ambiguous"},
		"parameters in the query":         {narrow, intents + "?amount=1", charge, 400, "request_ambiguous"},
		"an amount that is given twice":   {narrow, intents, charge + "&amount=1", 400, "request_ambiguous"},
		"an amount of nothing":            {narrow, intents, "amount=0&currency=usd", 422, "amount_invalid"},
		"another currency":                {narrow, intents, "amount=100&currency=eur", 422, "currency_unsupported"},
		"a transfer to another account":   {narrow, intents, charge + "&transfer_data[destination]=acct_1", 403, "scope_denied"},
		"a stamp that the caller chooses": {narrow, intents, charge + "&metadata[tollgate_call]=x", 400, "request_invalid"},
	} {
		got := b.post(tc.key.VaultKey, tc.path, "key of "+name, tc.body)
		require.Equal(t, tc.status, got.status, "%s: %s", name, got.raw)
		require.Equal(t, tc.code, got.code(), name)
		require.Equal(t, tc.code, got.header.Get("Tollgate-Denied"), name)
		require.Equal(t, "false", got.header.Get("Stripe-Should-Retry"), name)
	}
	require.Zero(t, b.sim.Truth().Posts, "nothing of it reached the vendor")
	require.Zero(t, b.report().Calls)
}
