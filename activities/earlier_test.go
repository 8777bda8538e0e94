package activities_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
)

type attemptsCase struct {
	ledger map[string]map[string]any // by idempotency key
	retry  bool
	sent   []string // idempotency keys, in order
	as     string   // error type; empty: charged
}

func TestChargeCustomer_NumbersANewAttemptOnlyWhereTheLedgerShowsADecline(t *testing.T) {
	t.Parallel()
	const key = "billing-pro-2026-11-7"
	since := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	call := func(state string, declined bool, at time.Time) map[string]any {
		return map[string]any{"call_id": "call_1", "state": state, "declined": declined, "final_at": at}
	}
	old, fresh := since.Add(-time.Hour), since.Add(time.Second)
	for sentence, c := range map[string]attemptsCase{
		"declined by an earlier run": {
			ledger: map[string]map[string]any{key: call("released", true, old)}, retry: true,
			sent: []string{key, key + "-retry-1"},
		},
		"declined by an earlier run, but nobody asked to try again": {
			ledger: map[string]map[string]any{key: call("released", true, old)},
			sent:   []string{key}, as: activities.TypeChargeDeclined,
		},
		"declined by this run": {
			ledger: map[string]map[string]any{key: call("released", true, fresh)}, retry: true,
			sent: []string{key}, as: activities.TypeChargeDeclined,
		},
		"tried again by an earlier run, and charged": {
			ledger: map[string]map[string]any{key: call("released", true, old), key + "-retry-1": call("settled", false, old)},
			sent:   []string{key, key + "-retry-1"},
		},
		"tried again by an earlier run, and declined": {
			ledger: map[string]map[string]any{key: call("released", true, old), key + "-retry-1": call("released", true, old)}, retry: true,
			sent: []string{key, key + "-retry-2"},
		},
		"tried again by this run, and its outcome is open": {
			ledger: map[string]map[string]any{key: call("released", true, old), key + "-retry-1": call("unknown", false, fresh)}, retry: true,
			sent: []string{key, key + "-retry-1"},
		},
		"tried again by this run, and declined": {
			ledger: map[string]map[string]any{key: call("released", true, old), key + "-retry-1": call("released", true, fresh)}, retry: true,
			sent: []string{key, key + "-retry-1"}, as: activities.TypeChargeDeclined,
		},
		"waiting for its customer, who may still pay": {
			ledger: map[string]map[string]any{key: call("committed", true, old)}, retry: true,
			sent: []string{key}, as: activities.TypeChargeDeclined,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = playLedger(c.ledger)
			in := chargeInput()
			in.Earlier = &activities.Earlier{RunLabel: "label", Since: since, RetryDeclined: c.retry}

			_, err := b.env.ExecuteActivity(b.act.ChargeCustomer, in)

			if c.as == "" {
				require.NoError(t, err)
			} else {
				requireFault(t, err, c.as, false)
			}
			var sent []string
			for _, r := range b.requests {
				if r.method == http.MethodPost {
					sent = append(sent, r.header.Get("Idempotency-Key"))
				}
			}
			require.Equal(t, c.sent, sent)
		})
	}
}

// playLedger replays the declines that a ledger knows, and takes all else.
func playLedger(ledger map[string]map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			calls := []any{}
			if call, ok := ledger[r.URL.Query().Get("idempotency_key")]; ok {
				calls = append(calls, call)
			}
			answerJSON(w, http.StatusOK, map[string]any{"calls": calls})
			return
		}
		if call, ok := ledger[r.Header.Get("Idempotency-Key")]; ok && call["declined"] == true {
			vendorError(http.StatusPaymentRequired, map[string]any{"type": "card_error", "code": "card_declined"}, "Tollgate-Replayed", "true")(w, r)
			return
		}
		intent("succeeded")(w, r)
	}
}

func TestChargeCustomer_OfARunThatContinuesNoneTakesADeclineForAnEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = playLedger(map[string]map[string]any{"billing-pro-2026-11-7": {"state": "released", "declined": true}})
	_, err := b.charge(t)
	requireFault(t, err, activities.TypeChargeDeclined, false)
	b.requireOne(t)
}
