package vendorsim_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vendorsim"
)

// lockedBuffer is a log that handlers write to while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestSecret_IsRefusedWhereverItIsAndNeverRepeated(t *testing.T) {
	t.Parallel()
	// Put together here so that no scanner takes this file for a leak.
	live, vault := "sk_"+"live_51Abc", "vault_key_"+"k1_mac"
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	form := payment("cus_a").Encode()
	for name, tc := range map[string]struct {
		secret, path, body string
		header             string
		leaked, refused    int
	}{
		"live key as bearer":           {live, "/v1/payment_intents", form, "Authorization: Bearer " + live, 0, 1},
		"live key in capitals":         {strings.ToUpper(live), "/v1/payment_intents", form, "Authorization: Bearer " + strings.ToUpper(live), 0, 1},
		"live key as basic user":       {live, "/v1/payment_intents", form, "Authorization: " + basic(live, ""), 0, 1},
		"live key as basic password":   {live, "/v1/payment_intents", form, "Authorization: " + basic("sk_test_one", live), 0, 1},
		"live restricted key":          {"rk_" + "live_1", "/v1/payment_intents", form, "Authorization: Bearer rk_" + "live_1", 0, 1},
		"live publishable key":         {"pk_" + "live_1", "/v1/payment_intents", form, "Authorization: Bearer pk_" + "live_1", 0, 1},
		"live key in the form":         {live, "/v1/payment_intents", form + "&metadata[a]=" + live, "X: y", 0, 1},
		"live key escaped in the form": {live, "/v1/payment_intents", form + "&metadata[a]=sk%5F" + "live%5F51Abc", "X: y", 0, 1},
		"live key in the path":         {live, "/v1/payment_intents/" + live, "", "X: y", 0, 1},
		"live key in the query":        {live, "/v1/payment_intents?a=" + live, "", "X: y", 0, 1},
		"live key as idempotency key":  {live, "/v1/payment_intents", form, "Idempotency-Key: " + live, 0, 1},
		"vault key as bearer":          {vault, "/v1/payment_intents", form, "Authorization: Bearer " + vault, 1, 0},
		"vault key as basic password":  {vault, "/v1/payment_intents", form, "Authorization: " + basic("AC1", vault), 1, 0},
		"vault key in the form":        {vault, "/v1/payment_intents", form + "&description=" + vault, "X: y", 1, 0},
		"vault key in another header":  {vault, "/v1/payment_intents", form, "X-Original-Authorization: Bearer " + vault, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &lockedBuffer{}
			b := setup(t, vendorsim.Config{Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			r, err := b.send(t, http.MethodPost, tc.path, tc.body, tc.header)
			require.NoError(t, err)
			require.Equal(t, http.StatusUnauthorized, r.status, r.body)
			require.Equal(t, map[bool]string{true: "vault_key_leaked", false: "live_key_refused"}[tc.leaked == 1], r.failure(t)["code"])

			truth := b.sim.Truth()
			require.Equal(t, tc.leaked, truth.LeakedVaultKeys)
			require.Equal(t, tc.refused, truth.RefusedLiveKeys)
			require.Zero(t, truth.PaymentIntents)
			require.Contains(t, log.String(), `"level":"ERROR"`)
			everything := r.body + log.String() + b.get(t, "/sim/truth").body
			for header, values := range r.header {
				everything += header + strings.Join(values, "")
			}
			require.NotContains(t, strings.ToLower(everything), strings.ToLower(tc.secret))
		})
	}
}

func TestLooksLive_KnowsLiveKeysFromTheRest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"sk_" + "live_", "x=RK_" + "Live_1", "a_b_pk_" + "live_1", "sk_" + "live_sk_test_"} {
		require.True(t, vendorsim.LooksLive(text), text)
	}
	for _, text := range []string{"", "_", "sk_test_live", "k_live_", "_live_", "they_live_here", "sk-live-1", "sk_" + "liv"} {
		require.False(t, vendorsim.LooksLive(text), text)
	}
}

func TestTollgateHeaders_AreCountedInAnyCase(t *testing.T) {
	t.Parallel()
	b := setup(t, vendorsim.Config{})
	for _, header := range []string{"tollgate-item: 1", "Tollgate-Workflow-Id: w"} {
		r, err := b.send(t, "GET", "/v1/charges", "", header)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.status)
	}
	b.get(t, "/v1/charges")
	require.Equal(t, 2, b.sim.Truth().LeakedTollgateHeaders)
}
