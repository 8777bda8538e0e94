package vaultproxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// restored is a proxy over a backup, beside the one that the backup was made of.
type restored struct {
	*testBundle
	store *sqlite.Store
}

// restore puts a proxy before a copy of the ledger; it has the same keys, clock
// and vendor.
func (b *testBundle) restore(path string) *restored {
	b.t.Helper()
	store, err := sqlite.Open(b.t.Context(), sqlite.Config{Path: path, Now: b.clock.now})
	require.NoError(b.t, err)
	proxy := b.newProxy(store)
	front := serveQuietly(proxy.Combined())
	control, err := client.New(client.Config{BaseURL: front.URL, AdminKey: adminKey})
	require.NoError(b.t, err)
	copied := *b
	copied.proxy, copied.front, copied.control = proxy, front, control
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), forAsLongAsItTakes)
		defer cancel()
		front.Close()
		require.NoError(b.t, proxy.Close(ctx))
		require.NoError(b.t, store.Close())
	})
	return &restored{testBundle: &copied, store: store}
}

func TestL15_ARestoredBackupReplaysWhatItKnowsAndChargesNothing(t *testing.T) {
	t.Parallel()
	arrived, pass := make(chan struct{}), make(chan struct{})
	b := setup(t, setupOptions{upstream: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			if strings.Contains(string(body), "cus_slow") {
				close(arrived)
				<-pass
			}
			next.ServeHTTP(w, r)
		})
	}})
	open := sync.OnceFunc(func() { close(pass) })
	t.Cleanup(open)
	key := b.issue(100_000*money.Dollar, func(r *client.IssueRequest) { r.Phase = "charge" })
	before := b.post(key.VaultKey, intents, "before", charge)
	require.Equal(t, http.StatusOK, before.status)
	slow := strings.Replace(charge, "cus_1", "cus_slow", 1)
	inFlight := b.inBackground(key.VaultKey, intents, "in flight", slow)
	<-arrived

	// It is made while others charge.
	var load sync.WaitGroup
	enough := make(chan struct{})
	for i := range 8 {
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-enough:
					return
				default:
					_, _ = b.try(key.VaultKey, intents, fmt.Sprintf("load-%d-%d", i, n), charge)
				}
			}
		})
	}
	file := filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, sqlite.Backup(t.Context(), b.path, file))
	close(enough)
	load.Wait()

	require.Equal(t, http.StatusOK, b.post(key.VaultKey, intents, "after", charge).status)
	later := b.issue(money.Dollar, func(r *client.IssueRequest) { r.AgentRunLabel = b.run() + "/later" })
	open()
	require.Equal(t, http.StatusOK, (<-inFlight).status)
	live, err := b.control.Key(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.Equal(t, "live", live.State, "the ledger itself goes on")

	lines, err := sqlite.Verify(t.Context(), file)
	require.NoError(t, err)
	require.Empty(t, lines)
	copied := b.restore(file)
	lines, err = copied.store.Verify(t.Context())
	require.NoError(t, err)
	require.Empty(t, lines)
	keys, err := copied.control.Keys(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, "revoked", keys[0].State)
	require.True(t, copied.report().Closed)

	posts := b.sim.Truth().Posts
	got := copied.post(key.VaultKey, intents, "before", charge)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	require.Equal(t, "true", got.header.Get("Tollgate-Replayed"))
	require.Equal(t, before.text("id"), got.text("id"))
	require.Equal(t, "unknown", copied.call("in flight").State, "it was on its way when the copy was made")
	got = copied.post(key.VaultKey, intents, "in flight", slow)
	require.Equal(t, http.StatusOK, got.status, "it is looked up, and not sent: %s", got.raw)
	require.Equal(t, "key_revoked", copied.post(key.VaultKey, intents, "after", charge).code())
	require.Equal(t, "key_unknown", copied.post(later.VaultKey, intents, "after", charge).code())
	require.Equal(t, posts, b.sim.Truth().Posts)

	for phase, want := range map[string]string{"charge": "run_revoked", "another": "run_closed"} {
		_, err := copied.control.Issue(t.Context(), b.terms(100_000*money.Dollar, func(r *client.IssueRequest) { r.Phase = phase }), "")
		var refused *client.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusConflict, refused.Status)
		require.Equal(t, want, refused.Code)
	}
	copied.issue(money.Dollar, func(r *client.IssueRequest) { r.AgentRunLabel = b.run() + "/new" }) // with a label of its own one goes on

	page, err := copied.control.Audit(t.Context(), client.AuditQuery{Verdict: "revoked"})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	require.Equal(t, "backup", page.Rows[0].Code)
}
