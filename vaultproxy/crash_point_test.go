package vaultproxy_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
)

// crashPoint is a moment at which a proxy is killed.
type crashPoint struct {
	atStore bool        // right before or after a commit that matters
	death   death       // the step of the ledger, if it is one
	posts   []treatment // of the last item, if the vendor is where it happens
	lookUp  treatment   // of the last item
	dies    func(*crash)
	charged bool         // the vendor does charge the last item for what was sent in that life
	again   func(*crash) // what an operator does once more after the restart
	revoked bool         // and then nothing new may be sent
}

func crashPoints() map[string]crashPoint {
	return map[string]crashPoint{
		"before a call is reserved":                   {death: beforeReserve, dies: posting},
		"after it is reserved and before it is sent":  {atStore: true, death: afterReserve, dies: posting},
		"when it has arrived":                         {posts: []treatment{killedUnexecuted}, dies: posting},
		"when it has arrived and is executed late":    {posts: []treatment{killedBeforeItIsExecuted}, dies: posting, charged: true},
		"when it is executed and not answered":        {posts: []treatment{killedExecuted}, dies: posting, charged: true},
		"when it is half answered":                    {posts: []treatment{killedHalfAnswered}, dies: posting, charged: true},
		"when it is answered and not settled":         {atStore: true, death: beforeSettle, dies: posting, charged: true},
		"when it is settled and its caller not told":  {atStore: true, death: afterSettle, dies: posting, charged: true},
		"while a caller who asks again is looked up":  {posts: []treatment{requestLost}, lookUp: killedUnexecuted, dies: postingTwice},
		"when a call that is sent again has arrived":  {posts: []treatment{requestLost, killedUnexecuted}, dies: postingTwice},
		"when a call that is sent again is executed":  {posts: []treatment{requestLost, killedExecuted}, dies: postingTwice, charged: true},
		"when a call that was sent again is answered": {posts: []treatment{requestLost}, death: beforeProof, dies: postingTwice, charged: true},
		"when a call that was sent again is settled":  {atStore: true, posts: []treatment{requestLost}, death: afterProof, dies: postingTwice, charged: true},
		"while the reconciler looks up":               {posts: []treatment{answerLost}, lookUp: killedUnexecuted, dies: reconciling, charged: true},
		"before the reconciler books what it found":   {posts: []treatment{answerLost}, death: beforeProof, dies: reconciling, charged: true},
		"after the reconciler booked what it found":   {atStore: true, posts: []treatment{answerLost}, death: afterProof, dies: reconciling, charged: true},
		"before a key is issued":                      {death: beforeIssue, dies: issuing, again: issueAgain(1)},
		"after a key is issued and before it is told": {atStore: true, death: afterIssue, dies: issuing, again: issueAgain(2)},
		"before a key is revoked":                     {death: beforeRevoke, dies: revoking, again: revokeAgain("live"), revoked: true},
		"after a key is revoked":                      {atStore: true, death: afterRevoke, dies: revoking, again: revokeAgain("revoked"), revoked: true},
		"before a run is closed":                      {death: beforeClose, dies: closing, again: closeAgain("live"), revoked: true},
		"after a run is closed":                       {atStore: true, death: afterClose, dies: closing, again: closeAgain("revoked"), revoked: true},
	}
}

// items are those that somebody asks for after the restart.
func (p crashPoint) items() []item {
	if p.revoked {
		return crowd()
	}
	return append(crowd(), last())
}

// chargedAtFirst are the items that the vendor charges for what was sent before
// the restart.
func (p crashPoint) chargedAtFirst() []item {
	var out []item
	for _, i := range crowd() {
		if !i.declines() && i.name != "request_lost" {
			out = append(out, i)
		}
	}
	if p.charged {
		out = append(out, last())
	}
	return out
}

// chargedInTheEnd are the items that are charged once everybody asked again.
func (p crashPoint) chargedInTheEnd() []item {
	if p.revoked {
		return p.chargedAtFirst()
	}
	var out []item
	for _, i := range p.items() {
		if !i.declines() {
			out = append(out, i)
		}
	}
	return out
}

// requireCut: the connection broke, so that nobody knows what came of a request.
func requireCut(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err, "the proxy is alive and has answered")
	var answered *client.Error
	require.NotErrorAs(t, err, &answered, "the proxy is alive and has answered")
}

func posting(c *crash) {
	c.t.Helper()
	_, err := c.post(last())
	requireCut(c.t, err)
}

func postingTwice(c *crash) {
	c.t.Helper()
	c.postInVain()
	posting(c)
}

func (c *crash) postInVain() {
	c.t.Helper()
	got, err := c.post(last())
	require.NoError(c.t, err)
	require.Equal(c.t, "outcome_unknown", told(got), got.raw)
}

func reconciling(c *crash) {
	c.t.Helper()
	c.postInVain()
	c.clock.advance(3 * time.Second) // a reconciler first looks after two
	c.reconcileTheVictim()
}

// reconcileTheVictim runs the reconciler of a proxy that dies of it.
func (c *crash) reconcileTheVictim() {
	c.t.Helper()
	_, err := roundTrip(c.t.Context(), c.caller, http.MethodPost, c.url+reconcilePath, c.clock.lead().String())
	requireCut(c.t, err)
}

func issuing(c *crash) {
	c.t.Helper()
	_, err := c.issue(secondPhase)
	requireCut(c.t, err)
}

// issueAgain asks for the same key, of which there may be as many as before.
func issueAgain(keys int) func(*crash) {
	return func(c *crash) {
		c.t.Helper()
		there, err := c.control.Keys(c.t.Context(), c.run())
		require.NoError(c.t, err)
		require.Len(c.t, there, keys)
		for range 2 {
			c.second, err = c.issue(secondPhase)
			require.NoError(c.t, err)
			there, err = c.control.Keys(c.t.Context(), c.run())
			require.NoError(c.t, err)
			require.Len(c.t, there, 2)
			require.Contains(c.t, []string{there[0].KeyID, there[1].KeyID}, c.second.KeyID)
		}
	}
}

func revoking(c *crash) {
	c.t.Helper()
	_, err := c.control.Revoke(c.t.Context(), c.key.KeyID)
	requireCut(c.t, err)
}

func revokeAgain(state string) func(*crash) {
	return func(c *crash) {
		c.t.Helper()
		c.requireKey(state)
		_, err := c.control.Revoke(c.t.Context(), c.key.KeyID)
		require.NoError(c.t, err)
		c.requireKey("revoked")
	}
}

func closing(c *crash) {
	c.t.Helper()
	_, err := c.control.RevokeRun(c.t.Context(), c.run(), "")
	requireCut(c.t, err)
}

func closeAgain(state string) func(*crash) {
	return func(c *crash) {
		c.t.Helper()
		c.requireKey(state)
		_, err := c.control.RevokeRun(c.t.Context(), c.run(), "")
		require.NoError(c.t, err)
		c.requireKey("revoked")
		_, err = c.issue(secondPhase)
		var no *client.Error
		require.ErrorAs(c.t, err, &no)
		require.Equal(c.t, "run_closed", no.Code)
	}
}

func (c *crash) requireKey(state string) {
	c.t.Helper()
	k, err := c.control.Key(c.t.Context(), c.key.KeyID)
	require.NoError(c.t, err)
	require.Equal(c.t, state, k.State)
}
