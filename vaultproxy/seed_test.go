package vaultproxy_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// plainClient speaks as a client does that knows nothing of Tollgate but its
// paths: JSON in, JSON out, a bearer, an idempotency key.
type plainClient struct {
	b        *testBundle
	vaultKey string
	keyID    string
}

func newPlainClient(b *testBundle) *plainClient {
	got := b.admin(http.MethodPost, "/vault/keys", fmt.Sprintf(`{
		"vendor": "stripe",
		"daily_usd_cap": 500,
		"allowed_endpoints": ["POST /v1/payment_intents"],
		"expires_in": "2h",
		"agent_run_label": %q
	}`, b.run()))
	require.Equal(b.t, http.StatusCreated, got.status, got.raw)
	require.NotEmpty(b.t, got.text("expires_at"))
	require.Len(b.t, got.body, 3)
	return &plainClient{b: b, vaultKey: got.text("vault_key"), keyID: got.text("key_id")}
}

func (c *plainClient) charge(item, cents int) httpAnswer {
	c.b.t.Helper()
	got, err := c.b.do(http.MethodPost, c.b.front.URL+"/stripe/v1/payment_intents",
		fmt.Sprintf(`{"amount":%d,"currency":"usd","customer":"cus_%d"}`, cents, item),
		"Authorization", "Bearer "+c.vaultKey, "Idempotency-Key", fmt.Sprintf("instance-%d", item),
		"Content-Type", "application/json")
	require.NoError(c.b.t, err)
	return got
}

func TestPlainClient_StopsAtItsFiveHundredDollarsToTheCent(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	c := newPlainClient(b)

	for item := range 6 { // to $428.58
		got := c.charge(item, 7143)
		require.Equal(t, http.StatusOK, got.status, got.raw)
		require.Equal(t, "payment_intent", got.text("object"))
		require.InDelta(t, 7143, got.body["amount"], 0)
	}
	got := c.charge(6, 7143) // would make 500.01
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "cap_exhausted", got.code())
	require.NotEmpty(t, got.text("message"))
	require.Equal(t, "500.00", got.text("cap_usd"))
	require.Equal(t, "0.00", got.text("settled_usd"))
	require.Equal(t, "428.58", got.text("reserved_usd"), "what is created and not confirmed counts")
	require.Equal(t, "0.00", got.text("unknown_usd"))

	require.Equal(t, http.StatusOK, c.charge(7, 7142).status, "this makes 500.00")
	require.Equal(t, "cap_exhausted", c.charge(8, 1).code())
	require.Equal(t, 7, b.sim.Truth().PaymentIntents)
	require.Equal(t, 7, b.sim.Truth().Posts)
	require.Equal(t, 500*money.Dollar, b.report().Budget.CommittedUSD)
}

func TestPlainClient_IsToldThatItsKeyWasRevoked(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	c := newPlainClient(b)
	first := c.charge(1, 4900)
	require.Equal(t, http.StatusOK, first.status, first.raw)

	got := b.admin(http.MethodDelete, "/vault/keys/"+c.keyID, "")
	require.Equal(t, http.StatusOK, got.status, got.raw)

	got = c.charge(2, 4900)
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Equal(t, "key_revoked", got.code())
	again := c.charge(1, 4900)
	require.Equal(t, http.StatusOK, again.status, "what was made before is still told")
	require.Equal(t, first.raw, again.raw)
	b.sentOnce()
}
