package sqlite_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/ledger/sqlite"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// BenchmarkReserve counts durable reservations a second of 64 callers on one
// key, in a real file, alone and each with its booking.
func BenchmarkReserve(b *testing.B) {
	const callers = 64
	for name, books := range map[string]bool{"Reserve": false, "ReserveAndResolve": true} {
		b.Run(name, func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), sqlite.Config{Path: b.TempDir() + "/ledger.db"})
			require.NoError(b, err)
			defer func() { require.NoError(b, s.Close()) }()
			limit := money.Max
			k, _, err := s.Issue(b.Context(), ledger.KeySpec{
				KeyID: "key_1", IssueID: "issue_1", Run: "run", Vendor: "stripe", Digest: "d", ExpiresIn: time.Hour,
				Terms: ledger.Terms{DailyCap: &limit, TotalCap: &limit},
			})
			require.NoError(b, err)
			request := make([]byte, 400)
			answer := make([]byte, 1200)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						id := fmt.Sprintf("call_%032d", n)
						got, err := s.Reserve(b.Context(), ledger.Reservation{
							CallID: id, KeyID: k.ID, Vendor: "stripe", Operation: "payment_intents.create", Method: "POST",
							Path: "/v1/payment_intents", IdempotencyKey: "billing-pro-2026-11-" + id[28:], Item: id[28:],
							WorkflowID: "billing-pro-2026-11", Price: money.Dollar, Request: request,
						})
						if err != nil {
							b.Error(err)
							return
						}
						if !books {
							continue
						}
						if _, _, err := s.Resolve(b.Context(), ledger.Resolution{
							Seq: got.Call.Seq, Seen: &got.Call, Outcome: ledger.OutcomeSettled, Amount: money.Dollar, Reason: "succeeded",
							Object: "pi_" + id, Answered: true, AnswerStatus: 200, Answer: answer,
							Audit: ledger.AuditRow{By: ledger.ByCaller, Status: 200},
						}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reservations/s") //nolint:forbidigo // a rate, not an amount
		})
	}
}
