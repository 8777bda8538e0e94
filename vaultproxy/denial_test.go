package vaultproxy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/paymentintent"

	"github.com/tollgate/tollgate/vaultproxy"
	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// sdk speaks to the proxy as stripe-go does.
func (b *testBundle) sdk(key client.IssuedKey) paymentintent.Client {
	backend := stripego.GetBackendWithConfig(stripego.APIBackend, &stripego.BackendConfig{
		URL: stripego.String(b.front.URL + "/stripe"), HTTPClient: b.front.Client(),
		MaxNetworkRetries: stripego.Int64(2), LeveledLogger: &stripego.LeveledLogger{Level: stripego.LevelNull},
	})
	return paymentintent.Client{B: backend, Key: key.VaultKey}
}

func oneDollar(idempotencyKey string) *stripego.PaymentIntentParams {
	params := &stripego.PaymentIntentParams{
		Amount: stripego.Int64(100), Currency: stripego.String("usd"), Customer: stripego.String("cus_1"),
		PaymentMethod: stripego.String("pm_card_visa"), PaymentMethodTypes: stripego.StringSlice([]string{"card"}),
		Confirm: stripego.Bool(true), OffSession: stripego.Bool(true),
	}
	params.SetIdempotencyKey(idempotencyKey)
	return params
}

func TestDenial_IsAStripeErrorToStripesSDK(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		provoke func(*testBundle, client.IssuedKey, *stripego.PaymentIntentParams)
		status  int
		code    vaultproxy.Code
		kind    stripego.ErrorType
	}{
		"a full cap": {
			func(b *testBundle, k client.IssuedKey, _ *stripego.PaymentIntentParams) {
				b.create(k, "all of it", strings.Replace(charge, "100", "1000", 1))
			},
			429, vaultproxy.CapExhausted, stripego.ErrorTypeInvalidRequest,
		},
		"a revoked key": {
			func(b *testBundle, k client.IssuedKey, _ *stripego.PaymentIntentParams) { revoke(b, k) },
			401, vaultproxy.KeyRevoked, stripego.ErrorTypeInvalidRequest,
		},
		"another currency": {
			func(_ *testBundle, _ client.IssuedKey, p *stripego.PaymentIntentParams) {
				p.Currency = stripego.String("eur")
			},
			422, vaultproxy.CurrencyUnsupported, stripego.ErrorTypeInvalidRequest,
		},
		"a transfer": {
			func(_ *testBundle, _ client.IssuedKey, p *stripego.PaymentIntentParams) {
				p.OnBehalfOf = stripego.String("acct_1")
			},
			403, vaultproxy.ScopeDenied, stripego.ErrorTypeInvalidRequest,
		},
		"another request": {
			func(b *testBundle, k client.IssuedKey, _ *stripego.PaymentIntentParams) {
				b.create(k, "item-1", strings.Replace(charge, "100", "200", 1))
			},
			409, vaultproxy.IdempotencyMismatch, stripego.ErrorTypeIdempotency,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, setupOptions{})
			key := b.issue(10 * money.Dollar)
			params := oneDollar("item-1")
			tc.provoke(b, key, params)
			posts := b.sim.Truth().Posts
			_, err := b.sdk(key).New(params)
			var got *stripego.Error
			require.ErrorAs(t, err, &got)
			require.Equal(t, tc.status, got.HTTPStatusCode)
			require.Equal(t, string(tc.code), string(got.Code))
			require.Equal(t, tc.kind, got.Type)
			require.NotEmpty(t, got.Msg)
			require.Equal(t, posts, b.sim.Truth().Posts)
			require.Equal(t, 1, strings.Count(b.logs.String(), `"code":"`+string(tc.code)+`"`), "the SDK does not retry what is final")
		})
	}
}

func TestSDK_AsksAgainAfterALostAnswerAndGetsItsPayment(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	b.sim.NextFaults(vendorsim.AnswerLost)
	_, err := b.sdk(key).New(oneDollar("item-1"))
	var inDoubt *stripego.Error
	require.ErrorAs(t, err, &inDoubt)
	require.Equal(t, stripego.ErrorTypeAPI, inDoubt.Type)
	require.Equal(t, string(vaultproxy.OutcomeUnknown), string(inDoubt.Code))
	got, err := b.sdk(key).New(oneDollar("item-1"))
	require.NoError(t, err)
	require.Equal(t, stripego.PaymentIntentStatusSucceeded, got.Status)
	b.sentOnce()
}

func TestCodes_EachHasAStatusAndARetryRule(t *testing.T) {
	t.Parallel()
	codes := vaultproxy.Codes()
	require.Len(t, codes, 23)
	for code, info := range codes {
		require.GreaterOrEqual(t, info.Status, 400, code)
		require.NotEqual(t, http.StatusInternalServerError, info.Status, code)
	}
	for _, code := range []vaultproxy.Code{
		vaultproxy.CapContended, vaultproxy.RateLimited, vaultproxy.IdempotencyInFlight, vaultproxy.OutcomeUnknown,
		vaultproxy.LedgerUnavailable, vaultproxy.Overloaded, vaultproxy.WrongLedger, vaultproxy.VendorUnavailable,
	} {
		require.True(t, codes[code].Retry, code)
		delete(codes, code)
	}
	for code, info := range codes {
		require.False(t, info.Retry, code)
	}
}

// logLines returns the canonical lines of calls.
func (b *testBundle) logLines() []map[string]any {
	b.t.Helper()
	var lines []map[string]any
	scanner := bufio.NewScanner(strings.NewReader(b.logs.String()))
	for scanner.Scan() {
		line := map[string]any{}
		require.NoError(b.t, json.Unmarshal(scanner.Bytes(), &line))
		if line["msg"] == "call" {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestLog_EachCallHasOneLineWithConstantNames(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(money.Dollar)
	made := b.post(key.VaultKey, intents, "idempotency-key-1", charge, "Tollgate-Item", "1", "Tollgate-Workflow-Id", "wf")
	b.post(key.VaultKey, intents, "idempotency-key-1", charge)
	b.post(key.VaultKey, intents, "idempotency-key-2", charge)
	b.post("nobody", intents, "idempotency-key-3", charge)

	lines := b.logLines()
	require.Len(t, lines, 4)
	always := []string{
		"amount_usd", "call_id", "code", "duration", "item", "level", "method", "msg", "object", "operation", "price_usd", "status",
		"time", "verdict", "workflow_id",
	}
	ofAKey := append([]string{"key_id", "run", "vendor"}, always...)
	slices.Sort(ofAKey)
	for i, want := range [][]string{ofAKey, ofAKey, ofAKey, always} {
		var names []string
		for name := range lines[i] {
			names = append(names, name)
		}
		slices.Sort(names)
		require.Equal(t, want, names)
	}
	for _, line := range lines {
		delete(line, "duration")
		delete(line, "time")
	}
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "call", "verdict": "settled", "code": "succeeded", "status": 200.0, "method": "POST",
		"operation": "payment_intents.create", "call_id": made.header.Get("Tollgate-Call-Id"), "item": "1", "workflow_id": "wf",
		"object": made.text("id"), "price_usd": "1.00", "amount_usd": "1.00", "vendor": "stripe", "run": b.run(), "key_id": key.KeyID,
	}, lines[0])
	require.Equal(t, "replayed", lines[1]["verdict"])
	require.Equal(t, "denied", lines[2]["verdict"])
	require.Equal(t, "cap_exhausted", lines[2]["code"])
	require.Equal(t, "key_unknown", lines[3]["code"])
	require.NotContains(t, b.logs.String(), "cus_1")
	require.NotContains(t, b.logs.String(), "idempotency-key")
}

func TestSecrets_AreInNoFileOfTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	body := strings.Replace(charge, "cus_1", "cus_whose_name_is_private", 1)
	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "item-1", body).status)
	b.sim.NextFaults(vendorsim.ClosedAfterRead)
	require.Equal(t, "outcome_unknown", b.post(key.VaultKey, intents, "item-2", body).code())
	b.post(key.VaultKey+"x", intents, "item-3", body)
	mac := key.VaultKey[strings.LastIndex(key.VaultKey, "_")+1:]

	files, err := os.ReadDir(strings.TrimSuffix(b.path, "/ledger.db"))
	require.NoError(t, err)
	scanned := 0
	for _, file := range files {
		content, err := os.ReadFile(strings.TrimSuffix(b.path, "ledger.db") + file.Name())
		require.NoError(t, err)
		scanned += len(content)
		for _, secret := range []string{vendorSecret, key.VaultKey, mac, adminKey, "cus_whose_name_is_private"} {
			require.Zero(t, bytes.Count(content, []byte(secret)), "%s holds %.12s…", file.Name(), secret) // a failure must not print the file
		}
		require.Zero(t, fileMode(t, b.path, file.Name())&0o077, "%s is readable by its owner alone", file.Name())
	}
	require.Greater(t, scanned, 10_000, "there was something to scan")
}

func fileMode(t *testing.T, path, name string) os.FileMode {
	t.Helper()
	info, err := os.Stat(strings.TrimSuffix(path, "ledger.db") + name)
	require.NoError(t, err)
	return info.Mode().Perm()
}
