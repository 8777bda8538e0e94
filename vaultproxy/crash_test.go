package vaultproxy_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCrash_TheLedgerAgreesWithTheVendorWhereverTheProxyWasKilled(t *testing.T) {
	t.Parallel()
	for _, b := range backends() {
		for name, p := range crashPoints() {
			if b.sparing && !p.atStore {
				continue
			}
			t.Run(b.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				t.Run("and callers ask again", func(t *testing.T) {
					t.Parallel()
					c := killAt(t, b, p)
					c.requireAnswers(c.comeBack(p.items()), p)
					c.reconcile() // a caller may have been told of what is still pending
					c.agrees(p.chargedInTheEnd())
					c.requireNoRoom(p)
				})
				t.Run("and nobody asks again for a long time", func(t *testing.T) {
					t.Parallel()
					c := killAt(t, b, p)
					c.reconcile()
					c.agrees(p.chargedAtFirst())
					c.requireAnswers(c.comeBack(p.items()), p)
					c.agrees(p.chargedInTheEnd())
					c.requireNoRoom(p)
				})
			})
		}
	}
}

// killAt leads a run to the point at which its proxy is killed, and starts
// another one.
func killAt(t *testing.T, b backend, p crashPoint) *crash {
	t.Helper()
	c := newCrash(t, b)
	c.vendor.treatPosts(last().customer(), p.posts...)
	if p.lookUp != nil {
		c.vendor.treatLookUps(last().customer(), p.lookUp)
	}
	c.live(p.death)
	c.crowdIn()
	p.dies(c)
	c.killed()
	c.liveOn()
	c.nothingGivenBack()
	if p.again != nil {
		p.again(c)
	}
	return c
}

func TestCrash_AProxyThatIsKilledWhileItProvesIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	firsts := map[string]crashPoint{
		"what was not done":   {posts: []treatment{killedUnexecuted}},
		"what was done":       {posts: []treatment{killedExecuted}, charged: true},
		"what was never sent": {death: afterReserve},
	}
	seconds := map[string]crashPoint{
		"while it looks up":   {lookUp: killedUnexecuted},
		"before it books it":  {death: beforeProof},
		"after it has booked": {death: afterProof},
	}
	for _, b := range backends() {
		for first, p := range firsts {
			for second, then := range seconds {
				if b.sparing && (then.death == "" || !p.charged) {
					continue
				}
				t.Run(b.name+"/"+first+"/"+second, func(t *testing.T) {
					t.Parallel()
					c := newCrash(t, b)
					c.vendor.treatPosts(last().customer(), p.posts...)
					c.live(p.death)
					c.crowdIn()
					posting(c)
					c.killed()

					if then.lookUp != nil {
						c.vendor.treatLookUps(last().customer(), then.lookUp)
					}
					c.vendor.letThrough()
					c.clock.advance(pastFence)
					c.live(then.death)
					c.reconcileTheVictim()
					c.killed()

					c.liveOn()
					c.beside = true
					c.requireAnswers(c.comeBack(p.items()), p)
					c.reconcile()
					c.agrees(p.chargedInTheEnd())
					c.requireNoRoom(p)
				})
			}
		}
	}
}

func TestCrash_ALedgerIsRefusedToASecondProxyUntilTheFirstIsKilled(t *testing.T) {
	t.Parallel()
	for _, b := range backends() {
		if !b.exclusive {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := newCrash(t, b)
			c.live("")
			c.crowdIn()
			for range 3 {
				_, err := b.open(t.Context(), c.where, c.clock.now)
				require.ErrorContains(t, err, c.where)
				require.ErrorContains(t, err, "another vault proxy holds it")
			}
			require.NoError(t, c.control.Ready(t.Context()), "the refused ones did it no harm")
			c.victim.kill()
			c.killed()
			c.liveOn()
			var p crashPoint
			c.requireAnswers(c.comeBack(p.items()), p)
			c.reconcile()
			c.agrees(p.chargedInTheEnd())
		})
	}
}
