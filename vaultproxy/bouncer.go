package vaultproxy

import "golang.org/x/time/rate"

// bouncer bounds the audit rows that callers without a vault key can cause.
type bouncer struct{ limit *rate.Limiter }

func newBouncer() *bouncer { return &bouncer{limit: rate.NewLimiter(10, 100)} }

func (b *bouncer) admit() bool { return b.limit.Allow() }
